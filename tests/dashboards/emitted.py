"""Metrics and their labels, and the labels that remain in a query's result."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import promql_parser as promql

from tests import shipped
from tonwatch.serve.metrics import catalogue
from tonwatch.serve.metrics.collector import ERRORS

ROOT: Final = Path(__file__).parents[2]

SCRAPED: Final = frozenset({"job", "instance"})

PROMETHEUS: Final[Mapping[str, frozenset[str]]] = {
    "up": SCRAPED,
    "scrape_duration_seconds": SCRAPED,
    **dict.fromkeys(
        (
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
        ),
        SCRAPED,
    ),
    **dict.fromkeys(
        ("ALERTS", "ALERTS_FOR_STATE"),
        SCRAPED | {"alertname", "alertstate", "severity", "target", "wallet", "asset", "contract"},
    ),
}
"""Series that Prometheus adds, and those of prometheus_client about the process."""

HISTOGRAM: Final = ("_bucket", "_count", "_sum")


@cache
def series() -> Mapping[str, frozenset[str]]:
    """Every series that a query may name, with its labels."""
    known = dict(PROMETHEUS)
    known[ERRORS] = SCRAPED | {"component"}
    for group in catalogue.GROUPS:
        for metric in group.metrics:
            labels = SCRAPED.union(group.labels, metric.labels)
            known |= _named(metric.name, metric.type, labels)
    for name, kind, labels in _of_services():
        known |= _named(name, kind, labels)
    return known


def _named(name: str, kind: str, labels: frozenset[str]) -> dict[str, frozenset[str]]:
    if kind != "histogram":
        return {name: labels}
    return {name + ending: labels | {"le"} for ending in HISTOGRAM}


def _of_services() -> Iterator[tuple[str, str, frozenset[str]]]:
    """The rows of the tables of metrics in docs/service-metrics.md: name, type, labels."""
    page = (ROOT / "docs/service-metrics.md").read_text(encoding="utf-8")
    row = r"^\| `(\w+)` \| (counter|gauge|histogram)\b[^|]*\|[^|]*\|([^|]*)\|"
    for name, kind, labels in re.findall(row, page, re.MULTILINE):
        yield name, kind, SCRAPED.union(re.findall(r"`(\w+)`", labels))


@cache
def rules() -> Mapping[str, tuple[dict[str, Any], ...]]:
    """Recording rules by the series that they record."""
    found: dict[str, tuple[dict[str, Any], ...]] = {}
    for rule in shipped.rules():
        if "record" in rule:
            found[rule["record"]] = (*found.get(rule["record"], ()), rule)
    return found


def alerts() -> set[str]:
    """The names of all alerts."""
    return {rule["alert"] for rule in shipped.rules() if "alert" in rule}


def labels_of(name: str) -> frozenset[str]:
    """The labels of a series.

    Raises:
        AssertionError: nothing emits it.
    """
    if name in rules():
        recorded = [
            left(promql.parse(rule["expr"])).union(rule.get("labels", ())) for rule in rules()[name]
        ]
        return frozenset().union(*recorded)
    assert name in series(), f"nothing emits {name}"
    return series()[name]


def left(expr: Any) -> frozenset[str]:
    """The labels that the values of a query may have.

    Raises:
        AssertionError: it selects, groups or joins by a label that is not there.
    """
    match expr:
        case promql.VectorSelector():
            labels = labels_of(expr.name or "")
            asked = {matcher.name for matcher in expr.matchers.matchers}
            assert asked <= labels, f"{expr.name} has no {asked - labels}"
            return labels
        case promql.MatrixSelector():
            return left(expr.vector_selector)
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
            return left(expr.expr)
        case promql.AggregateExpr():
            return _aggregated(expr)
        case promql.Call():
            labels = frozenset().union(*[left(arg) for arg in expr.args])
            if expr.func.name in ("label_replace", "label_join"):
                return labels | {expr.args[1].val}
            lost = {"histogram_quantile": {"le"}, "scalar": labels}
            return labels.difference(lost.get(expr.func.name, ()))
        case promql.BinaryExpr():
            return _joined(expr)
        case promql.NumberLiteral() | promql.StringLiteral():
            return frozenset()
        case _:
            raise AssertionError(f"cannot read {expr}")


def _aggregated(expr: Any) -> frozenset[str]:
    labels = left(expr.expr)
    if expr.modifier is None:
        return frozenset()
    named = frozenset(expr.modifier.labels)
    assert named <= labels, f"grouped by {named - labels}, which is not there: {expr.prettify()}"
    return named if expr.modifier.type == promql.AggModifierType.By else labels - named


def _joined(expr: Any) -> frozenset[str]:
    ours, theirs = left(expr.lhs), left(expr.rhs)
    modifier = expr.modifier
    if modifier is not None and modifier.matching is not None:
        named = set(modifier.matching.labels)
        if modifier.matching.type == promql.LabelModifierType.Include:
            assert named <= ours & theirs, f"joined by what is not on both sides: {named}"
        brought = frozenset(modifier.group_labels or ())
        many, one = (
            (theirs, ours)
            if modifier.card == promql.VectorMatchCardinality.OneToMany
            else (ours, theirs)
        )
        assert brought <= one, f"there is no {brought - one} to take over"
        return many | brought
    return ours if str(expr.op) in {"and", "unless"} else ours | theirs
