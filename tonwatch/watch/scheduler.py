"""Asks each question on its own beat: jittered start, kept grid, no pile-up."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tonwatch.probes.sample import Probe, Sample
from tonwatch.watch.board import Board

FIRST_BEAT_WITHIN: Final = 1.0
"""Seconds over which first beats are spread, so that few targets do not wait for an interval."""


@dataclass(frozen=True, slots=True)
class Job:
    """A question asked again and again.

    Attributes:
        target: configured name.
        probe: which question.
        interval: seconds from beat to beat.
        ask: runs the probe once.
    """

    target: str
    probe: Probe
    interval: float
    ask: Callable[[], Awaitable[Sample]]


async def run(jobs: Sequence[Job], board: Board, random: Random) -> None:
    """Run all jobs until cancelled; each one's samples go to the board.

    Args:
        jobs: what to ask.
        board: takes the samples.
        random: source of the jitter that keeps targets from being asked all at once.
    """
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            # Few targets answer within a second of the start; many are spread further.
            spread = min(job.interval, max(FIRST_BEAT_WITHIN, len(jobs) * 0.02))
            group.create_task(
                _repeat(job, board, random.uniform(0, spread)), name=f"{job.probe} {job.target}"
            )


async def _repeat(job: Job, board: Board, delay: float) -> None:
    loop = asyncio.get_running_loop()
    beat = loop.time() + delay
    while True:
        await asyncio.sleep(beat - loop.time())
        board.add(await job.ask())
        beat, skipped = next_beat(beat, job.interval, loop.time())
        if skipped:
            board.overrun(job.target, job.probe, skipped)


def next_beat(beat: float, interval: float, now: float) -> tuple[float, int]:
    """The next time on the grid of `beat` that is not past, and how many were missed."""
    missed = max(0, math.ceil((now - beat) / interval) - 1)
    return beat + (missed + 1) * interval, missed
