"""Asks each question on its own beat: kept grid, spread start, no pile-up."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tonwatch.probes.sample import Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch.board import Board, Told

CONFIRM_AFTER: Final = 1.0
"""Seconds from the start of a first failed look at a target's head to a second one."""

FIRST_BEAT_WITHIN: Final = 1.0
"""Seconds over which first beats are spread, so that few targets do not wait for an interval."""


@dataclass(frozen=True, slots=True)
class Job:
    """A question asked again and again.

    Attributes:
        targets: whom it is asked, by configured name.
        probe: which question.
        interval: seconds from beat to beat.
        ask: runs the probe once; a sample for each target that was asked, and what was told.
        delay: seconds before the first beat; None to spread it with the others'.
    """

    targets: tuple[str, ...]
    probe: Probe
    interval: float
    ask: Callable[[], Awaitable[Sequence[Told]]]
    delay: float | None = None


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
            delay = random.uniform(0, spread) if job.delay is None else job.delay
            name = f"{job.probe} {' '.join(job.targets)}"
            group.create_task(_repeat(job, board, delay), name=name)


async def _repeat(job: Job, board: Board, delay: float) -> None:
    loop = asyncio.get_running_loop()
    beat = loop.time() + delay
    well = True
    while True:
        await asyncio.sleep(beat - loop.time())
        asked = loop.time()
        was_well, well = well, await _ask(job, board)
        skipped = next_beat(beat, job.interval, loop.time())[1]
        if skipped:
            for target in job.targets:
                board.overrun(target, job.probe, skipped)
        if job.probe is Probe.HEAD and was_well and not well:
            # One lost answer changes nothing, so do not let a real loss wait for the next beat.
            await asyncio.sleep(asked + CONFIRM_AFTER - loop.time())
            well = await _ask(job, board)
        beat = next_beat(beat, job.interval, loop.time())[0]


async def _ask(job: Job, board: Board) -> bool:
    """Ask once; returns whether there is nothing to confirm by asking again soon."""
    well = True
    for told in await job.ask():
        board.add(told)
        if isinstance(told, Sample):
            well = well and (told.ok or told.reason is Reason.RATE_LIMITED)
    return well


def next_beat(beat: float, interval: float, now: float) -> tuple[float, int]:
    """The next time on the grid of `beat` that is not past, and how many were missed."""
    missed = max(0, math.ceil((now - beat) / interval) - 1)
    return beat + (missed + 1) * interval, missed
