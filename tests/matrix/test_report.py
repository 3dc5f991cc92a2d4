"""docs/faults.md matches the matrix."""

import pytest

from tests.matrix.report import PAGE, REMEDY, documented, report
from tests.matrix.situations import situations
from tonwatch.simulator.scenarios.scenario import Scenario, parse


def test_the_documentation_is_up_to_date() -> None:
    """All but the measured times, which each situation's own test compares."""
    lines = documented()
    written = PAGE.read_text(encoding="utf-8")
    assert written == report(lambda situation: lines.get(situation.name, "")), REMEDY


def test_every_situation_can_be_rehearsed(subtests: pytest.Subtests) -> None:
    for situation in situations():
        with subtests.test(situation.name):
            scenario = parse(Scenario, situation.scenario(), situation.name)
            assert [step.set for step in scenario.steps] == [
                step.set for step in situation.steps if step.set or step.clear
            ]
