"""When a kept connection is replaced though it works."""

from collections.abc import Sequence
from typing import Final

import pytest

from tonwatch.ton.kept import GREATEST_AGE, STEPS_BACK, WITHOUT_PROGRESS, Kept

OPENED: Final = 1000.0


def is_due(
    seen: Sequence[tuple[float, int | None]], *, elsewhere: int | None = None, at: float = 0.0
) -> bool:
    """Whether a connection is to be replaced.

    Args:
        seen: seconds since it was opened, and the last block that it reported then.
        elsewhere: the last block that another connection reported before the last of them.
        at: seconds since it was opened.
    """
    kept = Kept("node 1")
    kept.opened(OPENED)
    for seconds, seqno in seen[:-1]:
        kept.saw(seqno, OPENED + seconds)
    if elsewhere is not None:
        kept.saw_elsewhere(elsewhere)
    for seconds, seqno in seen[-1:]:
        kept.saw(seqno, OPENED + seconds)
    return kept.is_due(OPENED + max([at, *(seconds for seconds, _ in seen)]))


@pytest.mark.parametrize(
    ("seen", "elsewhere", "expected"),
    [
        pytest.param([], None, False, id="nothing yet"),
        pytest.param([(0, 100), (5, 105), (10, 110)], None, False, id="new blocks"),
        pytest.param([(0, 100), (5, 105), (14, 105)], None, False, id="no new one for 9 s"),
        pytest.param([(0, 100), (5, 105), (15, 105)], None, True, id="no new one for 10 s"),
        pytest.param([(0, 100), (5, 98), (10, 99)], None, True, id="only older ones"),
        pytest.param([(5, None), (9, None)], None, False, id="no answer for 9 s"),
        pytest.param([(5, None), (10, None)], None, True, id="no answer for 10 s"),
        pytest.param([(0, 100), (5, 101)], 106, False, id="another is a little ahead"),
        pytest.param([(0, 100), (5, 101)], 107, True, id="another is ahead"),
        pytest.param([(0, 100), (5, 120)], 115, False, id="another was behind what came then"),
    ],
)
def test_by_what_it_reports(
    seen: Sequence[tuple[float, int | None]], elsewhere: int | None, expected: bool
) -> None:
    assert (STEPS_BACK, WITHOUT_PROGRESS) == (5, 9.9)
    assert is_due(seen, elsewhere=elsewhere) is expected


def test_a_new_one_is_judged_anew() -> None:
    kept = Kept("node 1")
    kept.saw(100, OPENED)
    kept.saw_elsewhere(200)
    kept.saw(101, OPENED)
    assert kept.is_due(OPENED)
    kept.opened(OPENED + 1)
    kept.saw(90, OPENED + 1)
    assert not kept.is_due(OPENED + 1)


def test_the_greatest_age_is_spread_over_targets() -> None:
    ages = [Kept(f"node-{number} 4924").greatest_age for number in range(200)]
    assert ages == [Kept(f"node-{number} 4924").greatest_age for number in range(200)]
    assert 0.8 * GREATEST_AGE <= min(ages) < 0.84 * GREATEST_AGE
    assert 1.16 * GREATEST_AGE < max(ages) <= 1.2 * GREATEST_AGE


def test_is_replaced_at_its_greatest_age() -> None:
    kept = Kept("node 1")
    kept.opened(OPENED)
    assert not kept.is_due(OPENED + kept.greatest_age - 1)
    assert kept.is_due(OPENED + kept.greatest_age + 1)
