"""A short history as an inline SVG: a line with gaps where there is no value, marks for failures.

Time runs to the right over a fixed window, so that a row of them can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 120
"""Of the picture, in its own units; the template draws it 24 high."""

_TOP: Final = 2.0
_BOTTOM: Final = 20.0
"""Below it is room for the marks of failures."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """What the template draws.

    Attributes:
        path: SVG path of the values.
        failures: x of each probe that failed.
        limit: y of a threshold; None where it is off the scale or there is none.
        low: the smallest value; None without any.
        high: the largest.
    """

    path: str
    failures: tuple[float, ...]
    limit: float | None
    low: float | None
    high: float | None


def sparkline(
    points: Sequence[tuple[float, float | None]],
    *,
    window: float,
    floor: float,
    limit: float | None = None,
) -> Sparkline:
    """Draw values over their age.

    Args:
        points: age in seconds and value, oldest first; None where the probe failed.
        window: seconds from the left edge to the right.
        floor: the scale reaches up to this at least, so that noise stays flat.
        limit: value to draw a line at.
    """
    shown = [(age, value) for age, value in points if age <= window]
    values = [value for _, value in shown if value is not None]
    top = max([floor, *values])

    def x(age: float) -> float:
        return round(WIDTH * (1 - max(0.0, age) / window), 1)

    def y(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * max(0.0, value) / top, 1)

    path, pen = [], False
    for age, value in shown:
        if value is None:
            pen = False
            continue
        # A point between two gaps is a line of no length, which round caps make a dot.
        path.append(f"{'L' if pen else 'M'}{x(age):g} {y(value):g}{'' if pen else 'h0'}")
        pen = True
    return Sparkline(
        path="".join(path),
        failures=tuple(x(age) for age, value in shown if value is None),
        limit=y(limit) if limit is not None and limit <= top else None,
        low=min(values, default=None),
        high=max(values, default=None),
    )
