"""Every situation of the matrix: the right cause is named in time, and no other."""

from itertools import pairwise

import pytest

from tests.matrix.playing import Played, played
from tests.matrix.report import REMEDY, agree, documented, measured
from tests.matrix.situations import Balances, Situation, situations
from tonwatch.watch.findings import Cause
from tonwatch.watch.readiness import Phase

READY_WITHIN = 3.0
"""Probe intervals from naming a cause to what /ready makes of it: its hysteresis."""


@pytest.mark.parametrize("situation", situations(), ids=lambda row: f"{row.group}: {row.name}")
def test_situation(situation: Situation) -> None:
    before = {Cause.HEALTHY}
    never: set[Cause] = set()
    parts = played(situation)
    for number, part in enumerate(parts):
        where = f"step {number}: {part.step.text or 'recovery'}"
        expected = part.step.expect
        story = f"{where}: " + ", ".join(f"{after:.1f} {cause}" for after, cause in part.causes)
        check_named(part, before, story)
        assert part.last.also == expected.also, story
        assert expected.states in (None, part.last.states), story
        check_readiness(part, story)
        check_balances(part, story)
        named = {cause for moment in part.moments for cause in (moment.cause, *moment.also)}
        never |= set(expected.never)
        assert not named & never, story
        before = {expected.cause, *expected.also, *expected.on_the_way}
    line = measured(situation, parts)
    assert agree(documented().get(situation.name), line), f"{REMEDY}\n{line}"


def check_named(part: Played, before: set[Cause], story: str) -> None:
    """The right cause is named in time and stays; before it only allowed or earlier causes."""
    expected = part.step.expect
    assert part.named_after is not None, story
    assert round(part.named_after, 1) <= expected.within, story
    assert part.last.cause is expected.cause, story
    allowed = before | {expected.cause, *expected.on_the_way}
    if part.restarts:
        allowed.add(Cause.STARTING)
    assert {cause for _, cause in part.causes} <= allowed, story
    since = [cause for after, cause in part.causes if after >= part.named_after]
    assert since == [expected.cause], story


def check_readiness(part: Played, story: str) -> None:
    """/ready reaches the right answer and changes at most once."""
    expected = part.step.expect
    if expected.ready is None:
        return
    phases = [moment.phase for moment in part.moments if moment.phase is not Phase.STARTING]
    story = f"{story}; {', '.join(phases)}"
    assert phases[-1] is (Phase.READY if expected.ready else Phase.UNREADY), story
    turns = sum(old is not new for old, new in pairwise(phases))
    assert turns <= 1, story
    assert part.named_after is not None
    assert round(part.decided_after, 1) <= expected.within + READY_WITHIN, story


def check_balances(part: Played, story: str) -> None:
    """Balances are known as expected, and do not become unknown meanwhile."""
    expected = part.step.expect.balances
    known = [moment.balances for moment in part.moments]
    if known[-1] is Balances.NONE:
        return
    assert known[-1] is expected, story
    if not part.restarts and known[0] is not Balances.UNKNOWN:
        assert expected is Balances.UNKNOWN or Balances.UNKNOWN not in known, story


def test_names_are_unique() -> None:
    names = [situation.name for situation in situations()]
    assert len(set(names)) == len(names) >= 40


def test_every_cause_is_expected_somewhere() -> None:
    expected = {step.expect.cause for row in situations() for step in row.steps}
    # `starting` ends before the first fault; the others are failures of tonwatch's own machine or
    # configuration.
    assert set(Cause) - expected == {
        Cause.STARTING,
        Cause.NO_DATA,
        Cause.LOCAL_RESOURCES,
        Cause.STATE_DIR_FAILING,
        Cause.WRITE_PROBE_IDLE,
    }
