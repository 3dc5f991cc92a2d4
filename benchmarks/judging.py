"""Three hundred targets: judging all of them, beside taking the snapshot that is judged."""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Final

from benchmarks.report import Goal, table
from tests.watch.conftest import NODE, PROVIDER, Scene
from tonwatch.watch.judge import judge
from tonwatch.watch.store import HISTORY
from tonwatch.watch.verdicts import Judgement

_TARGETS: Final = 300
_LAGGING: Final = 100
_ROUNDS: Final = 30
_LIMIT: Final = 0.020
"""Seconds; the event loop judges twice a second."""


class _Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.wall_time = 1_800_000_000.0
        self.monotonic_time = 1000.0

    def wall(self) -> float:
        return self.wall_time

    def monotonic(self) -> float:
        return self.monotonic_time

    def advance(self, seconds: float) -> None:
        self.wall_time += seconds
        self.monotonic_time += seconds


def measure() -> tuple[str, list[Goal]]:
    """Returns the table and the goals."""
    clock = _Clock()
    targets = [
        replace(PROVIDER if index % 2 else NODE, name=f"target-{index}", operator=f"{index}")
        for index in range(_TARGETS)
    ]
    scene = Scene(clock, *targets)
    for _ in range(HISTORY):
        clock.advance(5.0)
        for index, target in enumerate(targets):
            scene.answer(target, lag=float(index % 40) if index < _LAGGING else 0.0)
    snapshot = scene.store.snapshot(wall=clock.wall_time, monotonic=clock.monotonic_time)
    config = scene.config
    before: Judgement | None = None

    def judged() -> None:
        nonlocal before
        before = judge(
            snapshot,
            before,
            zerostate=config.zerostate,
            thresholds=config.thresholds,
            probe=config.probe,
            gates=config.readiness.gates,
        )

    judging = _seconds(judged)
    taking = _seconds(
        lambda: scene.store.snapshot(wall=clock.wall_time, monotonic=clock.monotonic_time)
    )
    rows = [
        ["300 targets, 100 of them lagging, full histories", "ms", "times judging"],
        ["judging", f"{1e3 * judging:.1f}", "1.0"],
        ["taking the snapshot", f"{1e3 * taking:.1f}", f"{taking / judging:.2f}"],
    ]
    goal = Goal(
        "judging 300 targets", f"under {1e3 * _LIMIT:.0f} ms", f"{1e3 * judging:.1f} ms",
        judging < _LIMIT,
    )  # fmt: skip
    return table(rows), [goal]


def _seconds(run: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return median(times)
