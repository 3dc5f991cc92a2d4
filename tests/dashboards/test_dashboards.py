"""The dashboards: committed as built, consistent, and readable."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final
from urllib.parse import quote

import promql_parser as promql
import pytest
from pydantic import TypeAdapter, ValidationError

from dashboards.build.__main__ import FOLDER, built
from dashboards.build.links import DIAGNOSES, RUNBOOKS, TITLES
from tests.dashboards.boards import BOARDS, filled, parsed, variables
from tests.dashboards.emitted import ROOT, left
from tonwatch.config.types import Name
from tonwatch.watch.findings import Cause

Tree = dict[str, Any]

PANELS: Final[list[tuple[str, Tree, Tree]]] = [
    (f"{uid}: {panel['title']}", panel, board)
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
"""Each with its name and its dashboard."""


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


def test_names_need_no_quoting_in_links() -> None:
    adapter = TypeAdapter(Name)
    for ref in map(chr, range(32, 127)):
        try:
            adapter.validate_python(f"a{ref}b")
        except ValidationError:
            continue
        assert quote(ref, safe="") == ref


@pytest.mark.parametrize("uid", TITLES)
class TestBoard:
    def test_is_imported_as_it_is(self, uid: str) -> None:
        """Into any Grafana of this schema version or newer, without ids of another instance."""
        board = BOARDS[uid]
        assert not {"__inputs", "__requires", "id", "version"} & board.keys()
        assert board["schemaVersion"] <= 41, "docs/bundle.md promises Grafana 11.6"
        assert len(uid) <= 40
        source = variables(board)["datasource"]
        assert (source["type"], source["query"]) == ("datasource", "prometheus")
        assert "current" not in source, "Grafana's default data source comes first"

    def test_queries_the_chosen_datasource_and_instances(self, uid: str) -> None:
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

    def test_annotates_firing_alerts(self, uid: str) -> None:
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

    def test_links_to_all_others_with_the_chosen_variables(self, uid: str) -> None:
        links = {link["url"]: link for link in BOARDS[uid]["links"]}
        assert {f"/d/{other}" for other in TITLES if other != uid} < links.keys()
        for url, link in links.items():
            if url.startswith("/d/"):
                assert link["includeVars"]
                assert link["keepTime"]


def test_panels_say_what_they_show(subtests: pytest.Subtests) -> None:
    for name, panel, _ in PANELS:
        with subtests.test(name):
            assert panel["title"]
            assert re.fullmatch(r"[A-Z].{20,}[.?]", panel["description"], re.DOTALL)
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["targets"]


def test_panels_name_series_by_labels_they_have(subtests: pytest.Subtests) -> None:
    for name, panel, board in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            with subtests.test(name):
                assert named <= left(parsed(target["expr"], board)), target


def test_series_of_several_tonwatches_have_different_names(subtests: pytest.Subtests) -> None:
    """A label missing in a series' name has one value: an instance implies its job."""
    for name, panel, board in PANELS:
        if panel["type"] not in {"timeseries", "state-timeline", "bargauge"}:
            continue
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            alike = {"job"} if {"job", "instance"} & named else set()
            constant = {"service", "measure", "slo", "limit", "sli"}
            with subtests.test(name):
                assert left(parsed(target["expr"], board)) <= named | alike | constant, target


def test_columns_are_what_queries_give(subtests: pytest.Subtests) -> None:
    for name, panel, board in PANELS:
        with subtests.test(name):
            kept = {
                column
                for transformation in panel.get("transformations", ())
                if transformation["id"] == "filterFieldsByName"
                for column in transformation["options"]["include"]["names"]
            }
            if panel["type"] != "table":
                assert not kept
                continue
            refs = [target["refId"] for target in panel["targets"]]
            one = len(refs) == 1
            values = {"Value"} if one else {f"Value #{ref}" for ref in refs}
            answers = [left(parsed(target["expr"], board)) for target in panel["targets"]]
            assert values <= kept
            assert kept <= values.union(*answers)


def test_links_lead_somewhere(subtests: pytest.Subtests) -> None:
    for name, panel, _ in PANELS:
        for url in links(panel):
            with subtests.test(name):
                leads_somewhere(url)


def leads_somewhere(url: str) -> None:
    """Fail where a panel's link leads to no section, dashboard or runbook."""
    runbook = re.fullmatch(rf"{re.escape(RUNBOOKS)}/(.+)\.md", url)
    if url.startswith(DIAGNOSES):
        assert url.endswith("#${__field.labels.cause}")
        sections = (ROOT / "docs" / "diagnoses.md").read_text(encoding="utf-8")
        assert set(Cause) <= set(re.findall(r"(?m)^## (\w+)$", sections))
    elif runbook is None:
        led = re.match(r"/d/([\w-]+)\?(.*)", url)
        assert led is not None, url
        there = variables(BOARDS[led[1]])
        assert set(re.findall(r"\$\{(\w+):queryparam\}", led[2])) <= there.keys()
        assert set(re.findall(r"var-(\w+)=", led[2])) <= there.keys()
    elif runbook[1] != "${__value.raw}":
        assert (ROOT / "docs/runbooks" / f"{runbook[1]}.md").is_file(), url


def test_limits_are_not_written_into_panels(subtests: pytest.Subtests) -> None:
    for name, panel, _ in PANELS:
        for steps in found(panel, "steps"):
            # Any, or all: no thresholds.
            with subtests.test(name):
                assert {step["value"] for step in steps} <= {None, 1}


def links(panel: dict[str, Any]) -> Iterator[str]:
    """The links of a panel and of its cells."""
    for link in (*panel.get("links", ()), *panel["fieldConfig"]["defaults"].get("links", ())):
        yield link["url"]
    for override in panel["fieldConfig"].get("overrides", ()):
        for changed in override["properties"]:
            if changed["id"] == "links":
                yield from (link["url"] for link in changed["value"])


def found(tree: Any, key: str) -> Iterator[Any]:
    """All values of a key, at any depth."""
    if isinstance(tree, dict):
        for name, below in tree.items():
            if name == key:
                yield below
            yield from found(below, key)
    elif isinstance(tree, list):
        for below in tree:
            yield from found(below, key)
