"""What of each view goes into the record."""

from dataclasses import replace
from typing import Any, Final

import pytest

from tests.conftest import Clock
from tests.serve.scene import NODE, Scene
from tonwatch.samples.incident import Incident, IncidentKind
from tonwatch.samples.sample import Probe
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.incidents import REFRESH, Incidents, past
from tonwatch.watch.view import View

FINDING: Final = IncidentKind.FINDING


class Recorded:
    """A scene whose every view is recorded: the last state of each incident."""

    def __init__(self, clock: Clock) -> None:
        self.scene = Scene(clock)
        self.incidents = Incidents()
        self.record: dict[str, Incident] = {}
        self.writes = 0

    def see(self, view: View) -> list[Incident]:
        changed = self.incidents.of(view)
        self.record |= {incident.id: incident for incident in changed}
        self.writes += bool(changed)
        return changed

    def ticks(self, count: int, tick: Any) -> None:
        for _ in range(count):
            self.see(self.scene.ticks(1, tick))

    def of(self, cause: Cause, kind: IncidentKind = FINDING) -> list[Incident]:
        return [each for each in self.record.values() if (each.cause, each.kind) == (cause, kind)]


@pytest.fixture
def recorded(clock: Clock) -> Recorded:
    made = Recorded(clock)
    made.ticks(3, made.scene.all_answer)
    return made


def test_an_incident_from_begin_to_end(recorded: Recorded, clock: Clock) -> None:
    scene = recorded.scene
    began = clock.wall() + 10.0
    recorded.ticks(4, scene.node_refuses)
    [down] = recorded.of(Cause.NODE_DOWN)
    assert (down.since, down.until) == (began, None)
    assert (down.target, down.account, down.primary) == ("node", "", True)
    assert down.sentence.startswith("node refuses connections")
    assert down.evidence[0].startswith("node: ")
    assert down.network == scene.config.zerostate
    recorded.ticks(2, scene.all_answer)
    [down] = recorded.of(Cause.NODE_DOWN)
    assert down.until is not None
    assert began < down.until <= clock.wall()
    assert not down.cut_off


def test_what_was_named(recorded: Recorded) -> None:
    """Also that nothing was wrong, which is no finding."""
    recorded.ticks(4, recorded.scene.node_refuses)
    recorded.ticks(2, recorded.scene.all_answer)
    causes = [each.cause for each in recorded.record.values() if each.kind is not FINDING]
    assert causes == ["healthy", "node_down", "healthy"]
    assert recorded.of(Cause.HEALTHY) == []
    named = recorded.of(Cause.HEALTHY, IncidentKind.DIAGNOSIS)
    assert [each.until is None for each in named] == [False, True]


def test_what_does_not_explain_the_rest_is_a_finding_too(recorded: Recorded) -> None:
    def two_wrong() -> None:
        recorded.scene.node_refuses()
        recorded.scene.put(NODE, Probe.ACCOUNT, {}, reason=Reason.QUERY_TIMEOUT)

    recorded.ticks(4, two_wrong)
    lasting = {each.cause for each in recorded.incidents.lasting() if each.kind is FINDING}
    view = recorded.scene.watcher.view
    assert lasting == {finding.cause for finding in (view.diagnosis.finding, *view.diagnosis.also)}


def test_while_nothing_begins_or_ends_little_is_written(recorded: Recorded) -> None:
    """Sentences change with each view: their numbers do."""
    recorded.ticks(3, recorded.scene.node_refuses)
    recorded.writes = 0
    recorded.ticks(36, recorded.scene.node_refuses)
    assert recorded.writes == 36 * 5 / REFRESH
    [down] = recorded.of(Cause.NODE_DOWN)
    assert recorded.scene.clock.wall() - down.seen < REFRESH


def test_each_time_is_another_incident(recorded: Recorded) -> None:
    for _ in range(3):
        recorded.ticks(4, recorded.scene.node_refuses)
        recorded.ticks(4, recorded.scene.all_answer)
    assert len(recorded.of(Cause.NODE_DOWN)) == 3


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_clock_that_is_set(recorded: Recorded, clock: Clock, seconds: float) -> None:
    """Nothing ends before it began, and it stays one incident."""
    recorded.ticks(4, recorded.scene.node_refuses)
    clock.wall_time += seconds
    recorded.ticks(4, recorded.scene.node_refuses)
    recorded.ticks(4, recorded.scene.all_answer)
    for each in recorded.record.values():
        assert each.since <= each.seen
        assert each.until is None or each.since <= each.until
    assert len(recorded.of(Cause.NODE_DOWN)) == 1


def test_texts_and_names_are_bounded(recorded: Recorded) -> None:
    view = recorded.scene.watcher.view
    long = "x" * 100_000
    finding = replace(
        view.diagnosis.finding,
        cause=Cause.WALLET_LOW,
        sentence=long,
        impact=long,
        evidence=(long,) * 100,
        others=("name",) * 20_000,
    )
    recorded.see(replace(view, diagnosis=replace(view.diagnosis, finding=finding)))
    for each in recorded.incidents.lasting():
        assert len(each.sentence) == len(each.impact) == 1000
        assert [len(line) for line in each.evidence] == [1000] * 10
        assert len(each.others) == 1000


def test_the_record_as_history(recorded: Recorded) -> None:
    recorded.ticks(4, recorded.scene.node_refuses)
    recorded.ticks(2, recorded.scene.all_answer)
    ended = [each for each in recorded.record.values() if each.kind is not FINDING and each.until]
    kept = past(reversed(ended))
    shown = recorded.scene.watcher.view.history[: len(kept)]
    assert [(each.finding.cause, each.since, each.until) for each in kept] == [
        (each.finding.cause, each.since, each.until) for each in shown
    ]
    assert kept[0].finding.sentence == shown[0].finding.sentence


def test_a_cause_that_is_unknown_today(recorded: Recorded) -> None:
    [named] = recorded.of(Cause.HEALTHY, IncidentKind.DIAGNOSIS)
    assert past([replace(named, until=named.seen, cause="of_another_version")]) == ()
