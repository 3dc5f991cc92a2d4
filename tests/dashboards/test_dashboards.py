"""The dashboards: what is committed is what is built, and every query can have an answer."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import promql_parser as promql
import pytest

from dashboards.build.__main__ import FOLDER, built
from dashboards.build.links import RUNBOOKS, TITLES
from tests.dashboards.emitted import ROOT, labels_of, left, series
from tonwatch.config import Thresholds
from tonwatch.probes.sample import Probe
from tonwatch.ton.errors import Reason
from tonwatch.watch.readiness import Phase
from tonwatch.watch.verdict import State

BOARDS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")
}

PANELS: Final = [
    pytest.param(panel, board, id=f"{uid}: {panel['title']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]

QUERIES: Final = [
    pytest.param(target["expr"], board, id=f"{uid}: {panel['title']} {target['refId']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]

BUILT_IN: Final = {"__rate_interval": "5m", "__range": "1h", "__url_time_range": "from=now-1h"}

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


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def filled(text: str, board: dict[str, Any]) -> str:
    """With a value in the place of each variable; there must be no other."""
    known = dict.fromkeys(variables(board), "x") | BUILT_IN
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], text)


def parsed(text: str, board: dict[str, Any]) -> Any:
    return promql.parse(filled(text, board))


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


def test_committed_is_what_is_built() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    for name, text in built().items():
        assert committed.get(name) == text, f"{name} is not what `python -m dashboards.build` makes"
    assert committed.keys() == built().keys()


def test_uids_are_those_that_bookmarks_hold() -> None:
    assert {board["uid"] for board in BOARDS.values()} == {
        "tonwatch-overview",
        "tonwatch-nodes",
        "tonwatch-providers",
        "tonwatch-wallets",
        "tonwatch-services",
        "tonwatch-itself",
    }
    assert all(uid == board["uid"] for uid, board in BOARDS.items())


@pytest.mark.parametrize("uid", TITLES)
class TestBoard:
    def test_asks_whom_it_is_told_to(self, uid: str) -> None:
        board = BOARDS[uid]
        assert [*variables(board)][:3] == ["datasource", "job", "instance"]
        source = {"type": "prometheus", "uid": "${datasource}"}
        asking = [*board["annotations"]["list"], *variables(board).values(), *board["panels"]]
        asking += [target for panel in board["panels"] for target in panel.get("targets", ())]
        for asked in asking:
            if asked.get("type") not in {"row", "datasource"}:
                assert asked["datasource"] == source, asked

    def test_lists_values_of_what_is_emitted(self, uid: str) -> None:
        for variable in variables(BOARDS[uid]).values():
            if variable["type"] == "query":
                text = filled(variable["query"], BOARDS[uid])
                asked = re.fullmatch(r"label_values\((.*), (\w+)\)", text)
                assert asked is not None, text
                assert asked[2] in left(promql.parse(asked[1]))

    def test_marks_what_fires(self, uid: str) -> None:
        for marks in BOARDS[uid]["annotations"]["list"]:
            labels = left(parsed(marks["expr"], BOARDS[uid]))
            assert set(re.findall(r"\{\{(\w+)\}\}", marks["titleFormat"])) <= labels

    def test_panels_fill_the_grid_without_touching(self, uid: str) -> None:
        panels = BOARDS[uid]["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        places = [panel["gridPos"] for panel in panels]
        for one, other in combinations(places, 2):
            apart = (
                one["x"] + one["w"] <= other["x"]
                or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"]
                or other["y"] + other["h"] <= one["y"]
            )
            assert apart, (one, other)
        assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)

    def test_is_read_at_a_glance(self, uid: str) -> None:
        shown = [panel for panel in BOARDS[uid]["panels"] if panel["type"] != "row"]
        assert len(shown) <= 24
        titles = [panel["title"] for panel in shown]
        assert len(set(titles)) == len(titles)

    def test_leads_to_all_others_with_what_was_chosen(self, uid: str) -> None:
        links = {link["url"]: link for link in BOARDS[uid]["links"]}
        assert {f"/d/{other}" for other in TITLES if other != uid} < links.keys()
        for url, link in links.items():
            if url.startswith("/d/"):
                assert link["includeVars"]
                assert link["keepTime"]


@pytest.mark.parametrize(("panel", "board"), PANELS)
class TestPanel:
    def test_says_what_it_shows(self, panel: dict[str, Any], board: dict[str, Any]) -> None:
        del board
        assert panel["title"]
        assert re.fullmatch(r"[A-Z].{20,}[.?]", panel["description"], re.DOTALL)
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]

    def test_names_series_by_labels_they_have(
        self, panel: dict[str, Any], board: dict[str, Any]
    ) -> None:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert named <= left(parsed(target["expr"], board)), target

    def test_columns_are_what_queries_give(
        self, panel: dict[str, Any], board: dict[str, Any]
    ) -> None:
        kept = [
            name
            for transformation in panel.get("transformations", ())
            if transformation["id"] == "filterFieldsByName"
            for name in transformation["options"]["include"]["names"]
        ]
        if panel["type"] != "table":
            assert not kept
            return
        letters = [target["refId"] for target in panel["targets"]]
        values = ["Value"] if len(letters) == 1 else [f"Value #{letter}" for letter in letters]
        answers = [left(parsed(target["expr"], board)) for target in panel["targets"]]
        assert set(values) <= set(kept)
        assert set(kept) <= {*values}.union(*answers)

    def test_links_lead_somewhere(self, panel: dict[str, Any], board: dict[str, Any]) -> None:
        for url in links(panel):
            runbook = re.fullmatch(rf"{re.escape(RUNBOOKS)}/(.+)\.md", url)
            if runbook is None:
                led = re.match(r"/d/([\w-]+)\?(.*)", url)
                assert led is not None, url
                there = variables(BOARDS[led[1]])
                assert set(re.findall(r"\$\{(\w+):queryparam\}", led[2])) <= there.keys()
                assert set(re.findall(r"var-(\w+)=", led[2])) <= there.keys()
            elif runbook[1] != "${__value.raw}":
                assert (ROOT / "docs/runbooks" / f"{runbook[1]}.md").is_file(), url
        assert board["uid"] in BOARDS

    def test_limits_are_not_written_into_it(
        self, panel: dict[str, Any], board: dict[str, Any]
    ) -> None:
        del board
        for steps in found(panel, "steps"):
            # Whether there is any, or whether it is all: no measure of ours.
            assert {step["value"] for step in steps} <= {None, 1}


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


def links(panel: dict[str, Any]) -> Iterator[str]:
    """Where a panel's corner and cells lead."""
    for link in panel.get("links", ()):
        yield link["url"]
    for override in panel["fieldConfig"].get("overrides", ()):
        for changed in override["properties"]:
            if changed["id"] == "links":
                yield from (link["url"] for link in changed["value"])


def found(tree: Any, key: str) -> Iterator[Any]:
    """All that stands under a key, however deep."""
    if isinstance(tree, dict):
        for name, below in tree.items():
            if name == key:
                yield below
            yield from found(below, key)
    elif isinstance(tree, list):
        for below in tree:
            yield from found(below, key)
