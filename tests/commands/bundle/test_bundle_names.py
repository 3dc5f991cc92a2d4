"""Exported files select, carry and link to what the options say, and nothing else changes in them.

The export fills named places, which it knows by how they are written. What is expected here comes
from a parser of PromQL, from YAML and JSON as parsed, and from promtool and amtool: where a rule, a
route, a dashboard or a runbook writes a job or a severity differently, a test here fails.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import promql_parser as promql
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dashboards.boards import filled
from tests.programs import program
from tests.shipped import ALERTS, accepted, promtool
from tonwatch.cli import main
from tonwatch.commands.bundle.options import JOBS, RUNBOOKS_URL, SEVERITIES, Names
from tonwatch.commands.bundle.text import in_rules

ROOT: Final = Path(__file__).parents[3]
RULES: Final = sorted(set(ALERTS.glob("*.yaml")) - {ALERTS / "alertmanager.yaml"})

Tree = dict[str, Any]

CASES: Final = {
    "nothing": Names(),
    "everything": Names(
        jobs={job: f"prod/{job}" for job in JOBS},
        severities={"critical": "page", "warning": "ticket", "info": "note"},
        labels={"team": "payments", "tier": "1"},
        runbooks_url="https://wiki.example/ton",
    ),
    "something": Names(jobs={"wallet-api": "wallets"}, severities={"warning": "ticket"}),
    "what needs quotes": Names(
        jobs={
            "tonwatch": 'it\'s "our" #1: {job}',
            "payout-helper": "`: #`",
            "wallet-api": r"a\b, c]: # d",
            "analytics-api": "|: #",
        },
        severities={"critical": "P1: wake", "info": "it's, [n]"},
        labels={"a": "yes", "b": "1.5", "c": 'say "hi": {x}', "d": "null", "e": "ünï # x"},
    ),
    "what looks like a pattern": Names(
        jobs={"tonwatch": r"\1.*", "wallet-api": "a|b", "analytics-api": "(?i)^job$"},
        severities={"critical": r"\g<0>", "warning": "^w$"},
    ),
    "exchanged": Names(
        jobs={"tonwatch": "wallet-api", "wallet-api": "tonwatch"},
        severities={"critical": "warning", "warning": "critical"},
    ),
}


def options(names: Names) -> Iterator[str]:
    for job, called in names.jobs.items():
        yield f"{JOBS[job]}={called}"
    for pair in names.severities.items():
        yield f"--severity={'='.join(pair)}"
    for pair in names.labels.items():
        yield f"--label={'='.join(pair)}"
    yield f"--runbooks-url={names.runbooks_url}"


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def names(request: pytest.FixtureRequest) -> Names:
    chosen: Names = request.param
    return chosen


@pytest.fixture(scope="module")
def exported(names: Names, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported")
    assert main(["bundle", "export", *options(names), str(directory)]) == 0
    return directory


def test_severities_are_those_of_the_alerts() -> None:
    alerts = [rule for file in RULES for rule in rules_in(file.read_text()) if "alert" in rule]
    assert {rule["labels"]["severity"] for rule in alerts} == set(SEVERITIES)


class TestRules:
    def test_select_and_carry_what_the_options_say(self, names: Names, exported: Path) -> None:
        for file in RULES:
            check_rules(file.read_text(), (exported / "rules" / file.name).read_text(), names)

    def test_keep_their_comments(self, exported: Path) -> None:
        for file in RULES:
            new = (exported / "rules" / file.name).read_text()
            assert comments(new) == comments(file.read_text())

    def test_are_the_same_in_the_prometheusrule(self, exported: Path) -> None:
        spec = loaded(exported / "prometheusrule.yaml")["spec"]
        files = [loaded(exported / "rules" / file.name) for file in RULES]
        assert spec["groups"] == [group for file in files for group in file["groups"]]

    def test_promtool_evaluates_them_so(self, names: Names, exported: Path, tmp_path: Path) -> None:
        """A target that is down is selected by its new job name; the alert has the new labels."""
        promtool("check", "rules", *sorted((exported / "rules").iterdir()))
        called = tables(names)["job"]
        up = {
            labels(job=name, instance=job): int(job != "tonwatch") for job, name in called.items()
        }
        up |= {labels(job=job, instance="x"): 1 for job in JOBS.keys() - set(called.values())}
        firing = {
            "alertname": "TonwatchAbsent",
            "alertstate": "firing",
            "job": called["tonwatch"],
            "instance": "tonwatch",
            "severity": tables(names)["severity"]["critical"],
            **names.labels,
        }
        del called["tonwatch"]
        expected = {
            'ALERTS{alertname="TonwatchAbsent"}': [f"ALERTS{labels(**firing)}"],
            "job:up:sum": [
                f"job:up:sum{labels(job=name, service=job)}" for job, name in called.items()
            ],
        }
        content = {
            "rule_files": [str(exported / "rules" / file.name) for file in RULES],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [
                        {"series": f"up{chosen}", "values": f"{value}x10"}
                        for chosen, value in up.items()
                    ],
                    "promql_expr_test": [
                        {
                            "expr": query,
                            "eval_time": "5m",
                            "exp_samples": [{"labels": one, "value": 1} for one in series],
                        }
                        for query, series in expected.items()
                    ],
                }
            ],
        }
        (tmp_path / "test.yaml").write_text(yaml.safe_dump(content))
        promtool("test", "rules", tmp_path / "test.yaml")


CHARACTERS: Final = st.sampled_from(" :#'\"\\{}[],|&*!%@`$") | st.characters().filter(
    str.isprintable
)
NAME: Final = st.text(CHARACTERS, min_size=1, max_size=12)


@settings(max_examples=30)
@given(
    jobs=st.lists(NAME, min_size=4, max_size=4, unique=True),
    severities=st.lists(NAME, min_size=3, max_size=3, unique=True),
    label=NAME,
)
def test_rules_take_whatever_can_be_printed(
    jobs: list[str], severities: list[str], label: str
) -> None:
    names = Names(
        jobs=dict(zip(JOBS, jobs, strict=True)),
        severities=dict(zip(SEVERITIES, severities, strict=True)),
        labels={"team": label},
    )
    for file in RULES:
        if "job=" in (text := file.read_text()):
            check_rules(text, in_rules(text, names), names)


class TestAlertmanager:
    def test_selects_what_the_options_say(self, names: Names, exported: Path) -> None:
        called = tables(names)

        def renamed(node: Any, key: str = "") -> Any:
            if isinstance(node, dict):
                return {name: renamed(below, name) for name, below in node.items()}
            if isinstance(node, list):
                return [renamed(item, key) for item in node]
            if not key.endswith("matchers"):
                return node
            matcher = re.fullmatch(r'(\w+)(=|=~|!=|!~)"(.*)"', node)
            assert matcher is not None, node
            label, operator, value = matcher.groups()
            if label not in called:
                return node
            assert operator == "=", node
            return f"{label}={quoted(called[label][value])}"

        shipped = ALERTS / "alertmanager.yaml"
        assert loaded(exported / "alertmanager.yaml") == renamed(loaded(shipped))
        new = (exported / "alertmanager.yaml").read_text()
        assert comments(new) == comments(shipped.read_text())

    def test_routes_by_them(self, names: Names, exported: Path) -> None:
        file = exported / "alertmanager.yaml"
        amtool = program("amtool")
        accepted(amtool, "check-config", file)
        receivers = {"critical": "ton-nodes-pager", "warning": "ton-nodes-chat", "info": "notes"}
        for severity, receiver in receivers.items():
            value = quoted(names.severities.get(severity, severity))
            alert = ("alertname=TonwatchNodeDown", f"severity={value}", "target=node-1")
            done = accepted(amtool, "config", "routes", "test", f"--config.file={file}", *alert)
            assert done.stdout == f"{receiver}\n"


def test_dashboards_ask_for_and_show_what_the_options_say(names: Names, exported: Path) -> None:
    for file in (ROOT / "dashboards").glob("*.json"):
        old = json.loads(file.read_text())
        new = json.loads((exported / "dashboards" / file.name).read_text())

        def query(text: str, board: Tree = old) -> str:
            return re.sub(r"label_values\((.*), \w+\)", r"\1", filled(text, board))

        for (path, before), (same, after) in zip(leaves(old), leaves(new), strict=True):
            assert same == path
            match path:
                case (*_, "expr") | ("templating", "list", int(), "query") if "(" in before:
                    assert parsed(query(after)) == renamed_query(query(before), names)
                case ("templating", "list", int(), "current", _, int()):
                    assert before in {*JOBS, "All", "$__all"}
                    assert after == names.jobs.get(before, before)
                case (*_, "properties", int(), "value", int(), "options", str(), "text"):
                    assert after == names.severities.get(before, before)
                case (*above, "legendFormat") if chosen := severities_in(
                    query(at(old, *above, "expr"))
                ):
                    assert {before} == chosen
                    assert after == names.severities.get(before, before)
                case _ if isinstance(before, str):
                    assert after == before.replace(RUNBOOKS_URL, names.runbooks_url)
                case _:
                    assert after == before


def test_runbooks_ask_for_what_the_options_say(names: Names, exported: Path) -> None:
    for file in (ROOT / "docs/runbooks").glob("*.md"):
        old, new = file.read_text(), (exported / "runbooks" / file.name).read_text()
        for before, after in zip(queries(old), queries(new), strict=True):
            if '".*' not in before:  # looks for a job of whatever name
                assert parsed(after) == renamed_query(before, names)


def check_rules(text: str, new: str, names: Names) -> None:
    """Every rule with its own labels and query."""
    called = tables(names)
    for old, rule in zip(rules_in(text), rules_in(new), strict=True):
        expected = dict(old) | {"expr": renamed_query(old["expr"], names)}
        if "alert" in old:
            severity = called["severity"][old["labels"]["severity"]]
            expected["labels"] = {**old["labels"], "severity": severity, **names.labels}
            url = old["annotations"]["runbook_url"].replace(RUNBOOKS_URL, names.runbooks_url)
            expected["annotations"] = {**old["annotations"], "runbook_url": url}
        assert dict(rule) | {"expr": parsed(rule["expr"])} == expected


def tables(names: Names) -> dict[str, dict[str, str]]:
    """For each label what its values are called, those with no other name included."""
    return {
        "job": {job: names.jobs.get(job, job) for job in JOBS},
        "severity": {each: names.severities.get(each, each) for each in SEVERITIES},
    }


def parsed(query: str) -> str:
    """A query as its parser writes it: comments and layout make no difference."""
    return promql.parse(query).prettify()


def renamed_query(query: str, names: Names) -> str:
    """The same for a query whose selectors of jobs and severities have the new values.

    Fails where it selects them by a pattern.
    """
    called = tables(names)

    def renamed(node: promql.Expr) -> promql.Expr | None:
        if not isinstance(node, promql.VectorSelector):
            return None
        matchers = []
        for matcher in node.matchers.matchers:
            table, value = called.get(matcher.name, {}), matcher.value
            if matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe):
                assert not any(re.fullmatch(value, old) for old in table), query
            operator = str(matcher).removeprefix(matcher.name).partition('"')[0]
            matchers.append(f"{matcher.name}{operator}{quoted(table.get(value, value))}")
        if not matchers:
            return None
        offset = node.prettify().rpartition("}")[2]
        return promql.parse(f"{node.name or ''}{{{', '.join(matchers)}}}{offset}")

    return promql.transform(promql.parse(query), post_visit=renamed).prettify()


def severities_in(query: str) -> set[str]:
    """The severities that a query selects."""
    found: set[str] = set()

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.update(m.value for m in node.matchers.matchers if m.name == "severity")

    promql.walk(promql.parse(query), visit)
    return found


def leaves(node: Any, *path: str | int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Everything below a node of JSON that has nothing below it, each with its path."""
    if isinstance(node, dict) and node:
        for key, below in node.items():
            yield from leaves(below, *path, key)
    elif isinstance(node, list) and node:
        for number, below in enumerate(node):
            yield from leaves(below, *path, number)
    else:
        yield path, node


def at(node: Any, *path: str | int) -> Any:
    for step in path:
        node = node[step]
    return node


def labels(**pairs: str) -> str:
    return "{" + ", ".join(f"{key}={quoted(value)}" for key, value in pairs.items()) + "}"


def quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def loaded(file: Path) -> Any:
    return yaml.load(file.read_text(), yaml.CSafeLoader)


def rules_in(text: str) -> list[dict[str, Any]]:
    groups = yaml.load(text, yaml.CSafeLoader)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def comments(text: str) -> list[str]:
    return re.findall(r"(?m)^ *#.*", text)


def queries(runbook: str) -> list[str]:
    blocks = re.findall(r"(?ms)^```promql\n(.*?)^```", runbook)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
