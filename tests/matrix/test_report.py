"""docs/faults.md says what the matrix measures."""

from pathlib import Path

import pytest

from tests.matrix.report import report
from tests.matrix.situations import situations
from tonwatch.simulator.scenario import Scenario, parse


@pytest.mark.timeout(300)
def test_the_documentation_is_up_to_date() -> None:
    written = Path(__file__).parents[2] / "docs" / "faults.md"
    assert written.read_text(encoding="utf-8") == report(), (
        "write it anew: python -m tests.matrix.report > docs/faults.md"
    )


def test_every_situation_can_be_rehearsed(subtests: pytest.Subtests) -> None:
    for situation in situations():
        with subtests.test(situation.name):
            scenario = parse(Scenario, situation.scenario(), situation.name)
            assert [step.set for step in scenario.steps] == [
                step.set for step in situation.steps if step.set or step.clear
            ]
