"""Asks each question on its own beat: kept grid, spread start, no pile-up.

What goes wrong in one question costs that question one sample, and never the others.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tonwatch.config.models import Config
from tonwatch.samples.sample import Probe, Sample
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.ton.errors import Reason
from tonwatch.watch.store import Board, Told

CONFIRM_AFTER: Final = 1.0
"""Seconds from the start of a first failed look at a target's head to a second one."""

FIRST_BEAT_WITHIN: Final = 1.0
"""Seconds over which first beats are spread, so that few targets do not wait for an interval."""

LAST_RESORT: Final = 120.0
"""Seconds that a job may take on top of the deadlines of all that it asks."""

_SHARING: Final = 6
"""Jobs that take turns at a provider, so that its rate limit is kept: one of each kind."""

_CLOSING: Final = 1.0
"""Seconds that a question has at the end of the daemon to close what it opened."""


@dataclass(frozen=True, slots=True)
class Job:
    """A question asked again and again.

    Attributes:
        targets: whom it is asked, by configured name.
        probe: which question.
        interval: seconds from beat to beat.
        ask: runs the probe once; a sample for each target that was asked, and what was told.
        delay: seconds before the first beat; None to spread it with the others'.
        deadline: seconds that `ask` may take. It has deadlines of its own for all that it waits
            for, so this is for what they do not cover: a bug.
    """

    targets: tuple[str, ...]
    probe: Probe
    interval: float
    ask: Callable[[], Awaitable[Sequence[Told]]]
    delay: float | None = None
    deadline: float = LAST_RESORT

    @property
    def name(self) -> str:
        """For the log."""
        return f"{self.probe} {self.targets[0]}" if len(self.targets) == 1 else str(self.probe)


def last_resort(config: Config, questions: int) -> float:
    """Seconds after which a job is given up that asks so many questions one after another.

    Each may wait for its turn at the slowest provider, and then take until its own deadline.
    """
    slowest = max((1 / provider.requests_per_second for provider in config.providers), default=0.0)
    return LAST_RESORT + questions * (config.probe.timeout + _SHARING * slowest)


class Asker:
    """Runs jobs one time each, and keeps what they find.

    Args:
        board: takes the samples.
        errors: counts what went wrong in us.
    """

    def __init__(self, board: Board, errors: InternalErrors) -> None:
        self._board = board
        self._errors = errors
        self._stuck: dict[str, asyncio.Task[Sequence[Told]]] = {}

    async def ask(self, job: Job) -> Sequence[Told]:
        """What the job found; nothing where it failed or did not end, which is counted.

        One that does not even end when it is cancelled is not run again before it has.
        """
        if job.name in self._stuck:
            self._failed(job, TimeoutError("it still has not ended"))
            return ()
        task = asyncio.create_task(_run(job), name=job.name)
        task.add_done_callback(_retrieve)
        try:
            await asyncio.wait({task}, timeout=job.deadline)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING)
            raise
        if not task.done():
            task.cancel()
            self._stuck[job.name] = task
            task.add_done_callback(lambda _: self._stuck.pop(job.name))
            self._failed(job, TimeoutError(f"it has not ended within {job.deadline:.0f} s"))
            return ()
        try:
            found = tuple(task.result())
        except asyncio.CancelledError:
            # Not by us: that would have raised above.
            self._failed(job, RuntimeError("it was cancelled from within"))
            return ()
        except Exception as error:  # noqa: BLE001 - whatever it is costs this sample alone
            self._failed(job, error)
            return ()
        with self._errors.guard(Component.STORE, job.name):
            self._keep(job, found)
        return found

    def overrun(self, job: Job, beats: int) -> None:
        """Count beats that were skipped because the job still ran."""
        for target in job.targets:
            with self._errors.guard(Component.STORE, f"overruns of {job.name}"):
                self._board.overrun(target, job.probe, beats)

    def _keep(self, job: Job, found: Sequence[Told]) -> None:
        bugs = [told for told in found if told.bug]
        for told in bugs:
            of = told.target if isinstance(told, Sample) else " ".join(told.key)
            self._errors.failed(_component(job), job.name, told.bug, of=of)
        if not bugs:
            self._errors.worked(_component(job), job.name)
        for told in found:
            with self._errors.guard(Component.STORE, job.name):
                self._board.add(told)

    def _failed(self, job: Job, error: BaseException | str) -> None:
        self._errors.failed(_component(job), job.name, error)


async def _run(job: Job) -> Sequence[Told]:
    return await job.ask()


def _retrieve(task: asyncio.Task[Sequence[Told]]) -> None:
    """Take note of how it ended, which asyncio would complain of where nobody waits any more."""
    if not task.cancelled():
        task.exception()


def _component(job: Job) -> Component:
    return Component.PAYOUTS if job.probe is Probe.PAYOUTS else Component.PROBES


async def run(jobs: Sequence[Job], board: Board, random: Random, errors: InternalErrors) -> None:
    """Run all jobs until cancelled; each one's samples go to the board.

    Args:
        jobs: what to ask.
        board: takes the samples.
        random: source of the jitter that keeps targets from being asked all at once.
        errors: counts what goes wrong in us.
    """
    asker = Asker(board, errors)
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            # Few targets answer within a second of the start; many are spread further.
            spread = min(job.interval, max(FIRST_BEAT_WITHIN, len(jobs) * 0.02))
            delay = random.uniform(0, spread) if job.delay is None else job.delay
            name = f"{job.probe} {' '.join(job.targets)}"
            group.create_task(_repeat(job, asker, delay), name=name)


async def _repeat(job: Job, asker: Asker, delay: float) -> None:
    loop = asyncio.get_running_loop()
    beat = loop.time() + delay
    well = True
    while True:
        await asyncio.sleep(beat - loop.time())
        asked = loop.time()
        was_well, well = well, _is_well(await asker.ask(job))
        skipped = next_beat(beat, job.interval, loop.time())[1]
        if skipped:
            asker.overrun(job, skipped)
        if job.probe is Probe.HEAD and was_well and not well:
            # One lost answer changes nothing, so do not let a real loss wait for the next beat.
            await asyncio.sleep(asked + CONFIRM_AFTER - loop.time())
            well = _is_well(await asker.ask(job))
        beat = next_beat(beat, job.interval, loop.time())[0]


def _is_well(found: Sequence[Told]) -> bool:
    """Whether there is nothing to confirm by asking again soon."""
    samples = (told for told in found if isinstance(told, Sample))
    return all(sample.ok or sample.reason is Reason.RATE_LIMITED for sample in samples)


def next_beat(beat: float, interval: float, now: float) -> tuple[float, int]:
    """The next time on the grid of `beat` that is not past, and how many were missed."""
    missed = max(0, math.ceil((now - beat) / interval) - 1)
    return beat + (missed + 1) * interval, missed
