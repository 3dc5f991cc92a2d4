"""Alerts, causes and runbooks match, both ways; queries and commands in runbooks are valid."""

import re
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest

from tests import shipped
from tonwatch.cli import Parser
from tonwatch.config.models import Config
from tonwatch.samples.sample import Probe
from tonwatch.watch.findings import Cause, alert_of

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "runbooks"
RUNBOOKS: Final = sorted(FOLDER.glob("Tonwatch*.md"))
PAGES: Final = sorted(FOLDER.glob("*.md"))
SECTIONS: Final = ["Meaning", "Impact", "Diagnosis", "Mitigation"]

PLACES: Final = {"/health", "/ready", "/live", "/metrics"}
"""Paths that tonwatch serves."""

JQ: Final = {"select", "map_values", "tonumber", "if", "then", "else", "end"} | {
    "and",
    "or",
    "null",
    "true",
    "false",
}
"""Words of jq's own."""

PROBES: Final = {str(probe) for probe in Probe}

NOT_OURS: Final = {"up", "ALERTS"} | {
    f"process_{name}"
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds")
}
"""Series of Prometheus itself, and of every process."""


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [block.replace("\\\n", " ") for block in found]


def queries(page: Path) -> list[str]:
    return [line for block in blocks(page, "promql") for line in block.splitlines()]


def commands(page: Path) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """The series that a query names, and the labels that it selects them by."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: promql_parser.Expr) -> None:
        vector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(vector, promql_parser.VectorSelector):
            found.append((str(vector.name), {m.name for m in vector.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(query), visit)
    yield from found


def catalogue() -> dict[str, set[str]]:
    """Every metric of docs/metrics.md, and its labels."""
    metrics: dict[str, set[str]] = {}
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )
    for name, kind, labels in rows:
        own = set(re.findall(r"`(\w+)`", labels)) | {"job", "instance"}
        if kind == "histogram":
            metrics |= {f"{name}_bucket": own | {"le"}, f"{name}_count": own, f"{name}_sum": own}
        else:
            metrics[name] = own
    return metrics


ALERTS: Final = {rule["alert"] for rule in shipped.rules() if "alert" in rule}
RECORDED: Final = {rule["record"] for rule in shipped.rules() if "record" in rule}
IN_RULES: Final = {
    re.sub("_(bucket|count|sum)$", "", name)
    for rule in shipped.rules()
    for name, _ in selectors(rule["expr"])
}
CATALOGUE: Final = catalogue()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {runbook.stem for runbook in RUNBOOKS} == ALERTS


def test_every_cause_but_starting_and_healthy_has_an_alert() -> None:
    named = {cause: alert_of(cause) for cause in Cause}
    assert {cause for cause, alert in named.items() if alert is None} == {
        Cause.STARTING,
        Cause.HEALTHY,
    }
    assert {alert for alert in named.values() if alert is not None} <= ALERTS


def test_every_alert_links_to_its_own_runbook() -> None:
    links = {
        rule["alert"]: rule["annotations"]["runbook_url"].rpartition("/")[2]
        for rule in shipped.rules()
        if "alert" in rule
    }
    assert links == {alert: f"{alert}.md" for alert in ALERTS}


def test_every_diagnosis_links_to_its_runbook() -> None:
    text = (ROOT / "docs/diagnoses.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    linked = {
        cause: re.findall(r"\]\((runbooks/\w+\.md)\)", section)
        for cause, section in sections.items()
    }
    assert linked == {
        str(cause): [f"runbooks/{alert}.md"] if (alert := alert_of(cause)) else []
        for cause in Cause
    }


def test_the_index_lists_each_runbook_once() -> None:
    index = (FOLDER / "README.md").read_text()
    listed = re.findall(r"^- \[(\w+)\]\((\w+)\.md\)", index, re.MULTILINE)
    assert sorted(listed) == [(runbook.stem, runbook.stem) for runbook in RUNBOOKS]


def test_a_runbook_has_its_sections_in_order_and_none_is_empty(subtests: pytest.Subtests) -> None:
    for runbook in RUNBOOKS:
        with subtests.test(runbook.stem):
            title, *parts = re.split(r"^## ", runbook.read_text(), flags=re.MULTILINE)
            assert title.strip() == f"# {runbook.stem}"
            contents = [part.partition("\n")[::2] for part in parts]
            assert [heading for heading, _ in contents] == SECTIONS
            assert all(len(content.split()) >= 8 or "Wait." in content for _, content in contents)
            assert queries(runbook), "nothing to paste into Prometheus"


def test_links_lead_somewhere(subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page.stem):
            for target, anchor in re.findall(r"\]\(([^)#:]*)#?([^)]*)\)", page.read_text()):
                linked = page.parent / target if target else page
                assert linked.exists(), target
                if anchor:
                    headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
                    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_queries_name_only_series_that_exist(subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page.stem):
            for query in queries(page):
                for name, labels in selectors(query):
                    if name in CATALOGUE:
                        assert labels <= CATALOGUE[name], query
                    else:
                        plain = re.sub("_(bucket|count|sum)$", "", name)
                        assert name in RECORDED | NOT_OURS or plain in IN_RULES, query


def test_metrics_in_the_text_exist(subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page.stem):
            named = set(re.findall(r"`(tonwatch_\w+)`", page.read_text()))
            assert named <= CATALOGUE.keys()


def test_commands_of_tonwatch_are_valid(
    monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for page in PAGES:
        with subtests.test(page.stem):
            monkeypatch.delenv("TONWATCH_CONFIG", raising=False)
            inline = re.findall(r"`(tonwatch [^`]+)`", page.read_text())
            for command in chain(inline, commands(page)):
                if command.startswith("tonwatch "):
                    words = shlex.split(re.split(r"[|;>]|&&", command)[0], comments=True)
                    Parser().parse_args(words[1:])


def test_paths_of_tonwatch_are_served(subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page.stem):
            asked = re.findall(r"localhost:9717(/[a-z]*)", "\n".join(commands(page)))
            assert set(asked) <= PLACES


def test_fields_that_jq_picks_are_in_the_document(subtests: pytest.Subtests) -> None:
    """Every key of the programs is one that docs/http.md shows."""
    for page in PAGES:
        with subtests.test(page.stem):
            known = set(re.findall(r'"(\w+)":', (ROOT / "docs/http.md").read_text()))
            for command in commands(page):
                asked = re.search(r"localhost:9717/health[^|]*\| *jq '([^']*)'", command)
                if asked:
                    program = re.sub(r'"[^"]*"', "", asked[1])
                    named = set(re.findall(r"\b[a-z_]+\b(?!:)", program))
                    assert named - known - PROBES - JQ == set(), command


def test_settings_exist(subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page.stem):
            sections = "probe|thresholds|readiness"
            for setting in re.findall(rf"`((?:{sections})\.[a-z_.]+)`", page.read_text()):
                value: Any = Config()
                for key in setting.split("."):
                    assert hasattr(value, key), setting
                    value = getattr(value, key)
