"""Sparklines, and times as text."""

import pytest

from tonwatch.serve.health.sparkline import sparkline
from tonwatch.serve.text import offset, short_time


class TestSparkline:
    def test_gaps_where_there_is_no_value(self) -> None:
        line = sparkline([(40, 1.0), (30, 1.0), (20, None), (10, 2.0)], window=60, floor=2.0)
        assert line.path == "M40 11h0L60 11M100 2h0"
        assert list(line.failures) == [80]
        assert (line.low, line.high) == (1.0, 2.0)

    def test_what_is_older_than_the_window_is_left_out(self) -> None:
        assert sparkline([(61, 1.0)], window=60, floor=1.0).path == ""

    def test_noise_below_the_floor_stays_flat(self) -> None:
        assert sparkline([(0, 0.001)], window=60, floor=1.0).path == "M120 20h0"

    @pytest.mark.parametrize(("limit", "y"), [(5.0, 11.0), (10.0, 2.0), (20.0, None)])
    def test_a_limit_is_drawn_where_it_is_on_the_scale(self, limit: float, y: float | None) -> None:
        assert sparkline([(0, 10.0)], window=60, floor=1.0, limit=limit).limit == y

    def test_no_values(self) -> None:
        line = sparkline([], window=60, floor=1.0)
        assert (line.path, line.low, line.high) == ("", None, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.00034, "0.34 ms"), (0.0012, "1.2 ms"), (0.0449, "45 ms"), (0.9996, "1.0 s"), (12, "12 s")],
)
def test_short_times(seconds: float, words: str) -> None:
    assert short_time(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "±0.0 s"), (0.3, "+0.3 s"), (-12.2, "−12 s")]
)
def test_offsets_have_a_sign(seconds: float, words: str) -> None:
    assert offset(seconds) == words
