"""The unit tests of the rules, converted for other programs than promtool."""

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import promql_parser
import yaml

from tests.shipped import Rule

Content = dict[str, Any]
"""What a file of YAML says."""

_ASKED: Final = re.compile(r'\balertname=~?"([^"]+)"')


def selectors(node: Any) -> Iterator[Any]:
    """Every selector of series below a node of the syntax tree of a query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for part in ("vector_selector", "expr", "lhs", "rhs"):
        below = getattr(node, part, None)
        if below is not None:
            yield from selectors(below)
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)


def cases(path: Path, into: Path) -> Iterator[Path]:
    """Write each case of a unit test as a file, with no other rules than it asks for and they need.

    Unneeded rules take most of the time, and do not affect the others.

    Args:
        path: the unit test.
        into: a folder for the files.
    """
    content = _read(path)
    groups = [
        group for name in content["rule_files"] for group in _read(path.parent / name)["groups"]
    ]
    for number, case in enumerate(content["tests"]):
        needed = _needed(groups, _asked(case))
        rules = into / f"{path.stem}-{number}-rules.yaml"
        rules.write_text(yaml.safe_dump({"groups": needed}), encoding="utf-8")
        shorter = content | {"rule_files": [str(rules)], "tests": [case]}
        if "group_eval_order" in content:
            names = {group["name"] for group in needed}
            order = [name for name in content["group_eval_order"] if name in names]
            shorter["group_eval_order"] = order
        written = into / f"{path.stem}-{number}.yaml"
        written.write_text(yaml.safe_dump(shorter), encoding="utf-8")
        yield written


def for_vmalert(path: Path, interval: str = "") -> None:
    """Rewrite a unit test as vmalert-tool reads it.

    Args:
        path: the unit test.
        interval: evaluate so often, and not as often as the unit test says.
    """
    content = _read(path)
    if interval:
        content["evaluation_interval"] = interval
    for case in content["tests"]:
        case.pop("name", None)
        asked = case.pop("promql_expr_test", ())
        for query in asked:
            # vmalert adds this label to what it stores of alerts.
            query["expr"] = f"sum without (alertgroup) ({query['expr']})"
            for sample in query["exp_samples"]:
                sample["labels"] = sample["labels"].removeprefix("ALERTS")
        if asked:
            case["metricsql_expr_test"] = asked
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def _read(path: Path) -> Content:
    content: Content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _asked(case: Content) -> re.Pattern[str]:
    """The names of the alerts that a case asks for."""
    names = [each["alertname"] for each in case.get("alert_rule_test", ())]
    for query in case.get("promql_expr_test", ()):
        names += _ASKED.findall(query["expr"]) or [".+"]
    return re.compile("|".join(names))


def _needed(groups: Sequence[Content], alerts: re.Pattern[str]) -> list[Content]:
    """The groups with nothing but these alerts, and the rules whose series they need."""
    everything: list[Rule] = [rule for group in groups for rule in group["rules"]]
    wanted = [rule for rule in everything if alerts.fullmatch(rule.get("alert", ""))]
    for rule in wanted:  # grows meanwhile
        names = {each.name for each in selectors(promql_parser.parse(rule["expr"]))}
        wanted += [
            each for each in everything if each.get("record") in names and each not in wanted
        ]
    kept = deepcopy(list(groups))
    for group in kept:
        group["rules"] = [rule for rule in group["rules"] if rule in wanted]
    return [group for group in kept if group["rules"]]
