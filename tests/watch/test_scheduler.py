"""When questions are asked: on a grid, spread out, never piled up."""

import asyncio
import itertools
from random import Random
from typing import Any

import pytest

from tonwatch.probes.sample import Probe, Sample
from tonwatch.watch import scheduler
from tonwatch.watch.board import Board, Target
from tonwatch.watch.scheduler import Job, next_beat


@pytest.mark.parametrize(
    ("now", "following", "skipped"),
    [
        pytest.param(100.0, 105.0, 0, id="at once"),
        pytest.param(103.0, 105.0, 0, id="in time"),
        pytest.param(105.0, 105.0, 0, id="just in time"),
        pytest.param(105.1, 110.0, 1, id="a little too late"),
        pytest.param(117.0, 120.0, 3, id="far too late"),
    ],
)
def test_next_beat(now: float, following: float, skipped: int) -> None:
    assert next_beat(100.0, 5.0, now) == (following, skipped)


def sample(target: str) -> Sample:
    return Sample(target=target, probe=Probe.HEAD, started=0.0, finished=0.0, duration=0.0)


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_every_job_has_its_own_beat() -> None:
    board = Board([Target(name, "toncenter-v2", "primary") for name in ("a", "b")])
    asked: list[str] = []

    def job(name: str, interval: float) -> Job:
        async def ask() -> Sample:
            asked.append(name)
            return sample(name)

        return Job(name, Probe.HEAD, interval, ask)

    running = asyncio.create_task(scheduler.run([job("a", 0.02), job("b", 5.0)], board, Random(1)))
    await until(lambda: asked.count("a") >= 5 and "b" in asked)
    running.cancel()
    assert asked.count("b") == 1


async def test_a_slow_probe_is_counted_and_does_not_hold_up_the_others() -> None:
    board = Board([Target(name, "toncenter-v2", "primary") for name in ("slow", "quick")])
    quick = itertools.count()

    async def ask_slow() -> Sample:
        await until(lambda: next(quick) > 50)
        return sample("slow")

    async def ask_quick() -> Sample:
        next(quick)
        return sample("quick")

    running = asyncio.create_task(
        scheduler.run(
            [
                Job("slow", Probe.HEAD, 0.005, ask_slow),
                Job("quick", Probe.HEAD, 0.005, ask_quick),
            ],
            board,
            Random(1),
        )
    )

    def overruns() -> int:
        records = board.snapshot(wall=0.0, monotonic=0.0).records
        return records["slow"].overruns.get(Probe.HEAD, 0)

    await until(lambda: overruns() > 0)
    running.cancel()
