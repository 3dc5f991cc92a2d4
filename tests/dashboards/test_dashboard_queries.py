"""Every query of the dashboards can have an answer, and the right one."""

import re
from typing import Any, Final

import promql_parser as promql
import pytest

from tests.dashboards.boards import BOARDS, parsed
from tests.dashboards.emitted import labels_of, left, series
from tonwatch.config import Thresholds
from tonwatch.probes.sample import Probe
from tonwatch.ton.errors import Reason
from tonwatch.watch.readiness import Phase
from tonwatch.watch.verdict import State

QUERIES: Final = [
    pytest.param(target["expr"], board, id=f"{uid}: {panel['title']} {target['refId']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]

VALUES: Final = {
    "threshold": {*Thresholds.model_fields},
    "probe": {*Probe},
    "reason": {*Reason, "ok"},
    "state": {*State, "active", "uninitialized", "frozen", "missing", "unknown"},
    "phase": {*Phase},
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


@pytest.mark.parametrize(("expr", "board"), QUERIES)
class TestQuery:
    def test_names_what_is_emitted(self, expr: str, board: dict[str, Any]) -> None:
        left(parsed(expr, board))

    def test_names_values_that_occur(self, expr: str, board: dict[str, Any]) -> None:
        for selector in selectors(parsed(expr, board)):
            for matcher in selector.matchers.matchers:
                if matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual):
                    assert matcher.value in VALUES.get(matcher.name, {matcher.value}), matcher

    def test_asks_those_that_were_chosen(self, expr: str, board: dict[str, Any]) -> None:
        for selector in selectors(parsed(expr, board)):
            if "instance" in labels_of(selector.name):
                chosen = {matcher.name for matcher in selector.matchers.matchers}
                assert "instance" in chosen, selector.prettify()

    def test_wallets_count_once_however_many_watch_them(
        self, expr: str, board: dict[str, Any]
    ) -> None:
        for added in sums(parsed(expr, board)):
            if any(name.startswith("tonwatch_wallet_") for name in names(added.expr)):
                whole = {"instance", "job"} <= set(getattr(added.modifier, "labels", ()))
                assert whole or not left(added.expr) & {"instance", "job"}, expr

    def test_severities_are_where_the_bundle_renames_them(
        self, expr: str, board: dict[str, Any]
    ) -> None:
        del board
        for before in re.findall(r'(\w*=~?|\s)"(?:critical|warning|info)"', expr):
            assert before in {"severity=", "limit="}

    def test_counters_are_rates_of_a_fitting_window(self, expr: str, board: dict[str, Any]) -> None:
        del board
        windows = set(re.findall(r"\[(.*?)\]", expr))
        assert windows <= {"$__rate_interval", "$__range"}


def test_reads_what_is_emitted() -> None:
    """The tests above mean something."""
    assert series()["tonwatch_target_behind_seconds"] == {"job", "instance", "target"}
    assert left(promql.parse("sum by (target) (rate(tonwatch_probe_results_total[5m]))")) == {
        "target"
    }
    for wrong in (
        "tonwatch_no_such_thing",
        'tonwatch_ready{target="x"}',
        "sum by (wallet) (tonwatch_target_up)",
        "tonwatch_target_up * on (wallet) tonwatch_wallet_low",
        "tonwatch_target_up * on (target) group_left (version) tonwatch_target_info",
    ):
        with pytest.raises(AssertionError):
            left(promql.parse(wrong))
