"""When questions are asked: on a grid, spread out, never piled up."""

import asyncio
import itertools
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests import virtual_time
from tests.virtual_time import VirtualLoop
from tonwatch.internal_errors import InternalErrors
from tonwatch.probes.sample import Probe, Sample
from tonwatch.ton.errors import Reason
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


def errors() -> InternalErrors:
    return InternalErrors(wall=lambda: 0.0, monotonic=asyncio.get_running_loop().time)


def sample(target: str) -> Sample:
    return Sample(target=target, probe=Probe.HEAD, started=0.0, finished=0.0, duration=0.0)


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_every_job_has_its_own_beat() -> None:
    board = Board([Target(name, "toncenter-v2", "primary") for name in ("a", "b")])
    asked: list[str] = []

    def job(name: str, interval: float) -> Job:
        async def ask() -> list[Sample]:
            asked.append(name)
            return [sample(name)]

        return Job((name,), Probe.HEAD, interval, ask)

    running = asyncio.create_task(
        scheduler.run([job("a", 0.02), job("b", 5.0)], board, Random(1), errors())
    )
    await until(lambda: asked.count("a") >= 5 and "b" in asked)
    running.cancel()
    assert asked.count("b") == 1


async def test_a_slow_probe_is_counted_and_does_not_hold_up_the_others() -> None:
    board = Board([Target(name, "toncenter-v2", "primary") for name in ("slow", "quick")])
    quick = itertools.count()

    async def ask_slow() -> list[Sample]:
        await until(lambda: next(quick) > 50)
        return [sample("slow")]

    async def ask_quick() -> list[Sample]:
        next(quick)
        return [sample("quick")]

    running = asyncio.create_task(
        scheduler.run(
            [
                Job(("slow",), Probe.HEAD, 0.005, ask_slow),
                Job(("quick",), Probe.HEAD, 0.005, ask_quick),
            ],
            board,
            Random(1),
            errors(),
        )
    )

    def overruns() -> int:
        records = board.snapshot(wall=0.0, monotonic=0.0).records
        return records["slow"].overruns.get(Probe.HEAD, 0)

    await until(lambda: overruns() > 0)
    running.cancel()


class TestConfirmation:
    """A first failure is looked at again soon, and not only on the next beat."""

    @staticmethod
    def asked_at(reasons: list[Reason]) -> list[float]:
        """When a target was asked that answers like this, on a beat of ten seconds."""

        async def play(loop: VirtualLoop) -> list[float]:
            board = Board([Target("it", "toncenter-v2", "primary")])
            times: list[float] = []
            answers = iter(reasons)

            async def ask() -> list[Sample]:
                times.append(round(loop.time(), 1))
                return [replace(sample("it"), reason=next(answers))]

            job = Job(("it",), Probe.HEAD, 10.0, ask, delay=0.0)
            running = asyncio.create_task(scheduler.run([job], board, Random(1), errors()))
            while len(times) < len(reasons):
                await asyncio.sleep(0.1)
            running.cancel()
            return times

        return virtual_time.run(play)

    @pytest.mark.parametrize(
        ("reasons", "times"),
        [
            pytest.param([Reason.OK] * 3, [0.0, 10.0, 20.0], id="all is well"),
            pytest.param(
                [Reason.OK, Reason.QUERY_TIMEOUT, Reason.OK, Reason.OK],
                [0.0, 10.0, 11.0, 20.0],
                id="one lost answer",
            ),
            pytest.param(
                [Reason.OK, *[Reason.QUERY_TIMEOUT] * 4],
                [0.0, 10.0, 11.0, 20.0, 30.0],
                id="lost for good: confirmed once",
            ),
            pytest.param(
                [Reason.OK, Reason.RATE_LIMITED, Reason.RATE_LIMITED],
                [0.0, 10.0, 20.0],
                id="whoever limits us is not pressed",
            ),
        ],
    )
    def test_when(self, reasons: list[Reason], times: list[float]) -> None:
        assert self.asked_at(reasons) == times
