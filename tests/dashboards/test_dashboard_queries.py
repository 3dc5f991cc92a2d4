"""Every query of the dashboards names series and values that exist."""

import re
from typing import Any, Final, NamedTuple

import promql_parser as promql
import pytest

from tests.dashboards.boards import BOARDS, parsed
from tests.dashboards.emitted import labels_of, left, series
from tonwatch.config.models import Thresholds
from tonwatch.samples.sample import Probe
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.errors import Reason
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State


class Query(NamedTuple):
    """A query of a panel, as it is committed and as Prometheus would read it."""

    name: str
    text: str
    expr: Any


QUERIES: Final = [
    Query(
        f"{uid}: {panel['title']} {target['refId']}", target["expr"], parsed(target["expr"], board)
    )
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]

VALUES: Final = {
    "threshold": {*Thresholds.model_fields},
    "probe": {*Probe},
    "reason": {*Reason},
    "state": {*State},
    "status": {*AccountStatus, "unknown"},
    "outcome": {"ok", "failed"},
    "readiness": {*Phase},
    "kind": {"liteserver"},
    "severity": {"critical", "warning", "info"},
    "alertstate": {"firing"},
    "measure": {"payouts", "coins"},
}
"""Those that a matcher may name, of labels whose values are known."""


def selectors(expr: Any) -> list[Any]:
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(expr, visit)
    return found


def names(expr: Any) -> list[str]:
    return [selector.name for selector in selectors(expr)]


def sums(expr: Any) -> list[Any]:
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql.AggregateExpr) and str(node.op) == "sum":
            found.append(node)
        return True

    promql.walk(expr, visit)
    return found


def test_queries_name_what_is_emitted(subtests: pytest.Subtests) -> None:
    for query in QUERIES:
        with subtests.test(query.name):
            left(query.expr)


def test_queries_name_values_that_occur(subtests: pytest.Subtests) -> None:
    for query in QUERIES:
        for selector in selectors(query.expr):
            for matcher in selector.matchers.matchers:
                if matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual):
                    with subtests.test(query.name):
                        assert matcher.value in VALUES.get(matcher.name, {matcher.value}), matcher


def test_queries_ask_the_chosen_instances(subtests: pytest.Subtests) -> None:
    for query in QUERIES:
        for selector in selectors(query.expr):
            if "instance" in labels_of(selector.name):
                chosen = {matcher.name for matcher in selector.matchers.matchers}
                with subtests.test(query.name):
                    assert "instance" in chosen, selector.prettify()


def test_wallets_count_once_however_many_instances_watch_them(subtests: pytest.Subtests) -> None:
    for query in QUERIES:
        for added in sums(query.expr):
            if any(name.startswith("tonwatch_wallet_") for name in names(added.expr)):
                whole = {"instance", "job"} <= set(getattr(added.modifier, "labels", ()))
                with subtests.test(query.name):
                    assert whole or not left(added.expr) & {"instance", "job"}, query.text


def test_severities_are_where_the_bundle_renames_them(subtests: pytest.Subtests) -> None:
    for query in QUERIES:
        for before in re.findall(r'(\w*=~?|\s)"(?:critical|warning|info)"', query.text):
            with subtests.test(query.name):
                assert before in {"severity=", "limit="}


def test_counters_are_rates_of_a_fitting_window(subtests: pytest.Subtests) -> None:
    for query in QUERIES:
        with subtests.test(query.name):
            windows = set(re.findall(r"\[(.*?)\]", query.text))
            windows |= set(re.findall(r"offset (\S+?)\)*(?:\s|$)", query.text))
            assert windows <= {"$__rate_interval", "$__range", "$__interval"}


def test_queries_are_read() -> None:
    """The tests above do read queries."""
    assert series()["tonwatch_target_lag_seconds"] == {"job", "instance", "target"}
    assert left(promql.parse("sum by (target) (rate(tonwatch_probes_total[5m]))")) == {"target"}
    for wrong in (
        "tonwatch_no_such_thing",
        'tonwatch_ready{target="x"}',
        "sum by (wallet) (tonwatch_target_up)",
        "tonwatch_target_up * on (wallet) tonwatch_wallet_info",
        "tonwatch_target_up * on (target) group_left (version) tonwatch_target_info",
    ):
        with pytest.raises(AssertionError):
            left(promql.parse(wrong))
