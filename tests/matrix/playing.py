"""Plays a situation in virtual time and says what tonwatch thought, moment by moment."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from random import Random
from typing import Final

from tests import virtual_time
from tests.matrix.situations import INTERVAL, MatrixStep, Situation
from tests.virtual_time import VirtualLoop
from tonwatch.assembly import Assembly, assembled
from tonwatch.config import Config
from tonwatch.probes.sample import Probe
from tonwatch.simulator.network import CHAIN, Simulator
from tonwatch.simulator.scenario import do
from tonwatch.watch import scheduler
from tonwatch.watch.diagnosis import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.verdict import State
from tonwatch.watch.watcher import BEAT, View

_ALL_WELL: Final = 20.0
"""Seconds before anything breaks."""

_GLANCE: Final = 0.1
"""Seconds from look to look where a moment is waited for."""


_PLAYED: Final[dict[str, "tuple[Played, ...]"]] = {}


@dataclass(frozen=True)
class Moment:
    """What was thought from some time on, which is in seconds after the step."""

    after: float
    cause: Cause
    also: tuple[Cause, ...]
    states: dict[str, State]
    phase: Phase

    @classmethod
    def of(cls, view: View, after: float) -> "Moment":
        verdicts = view.judgement.verdicts
        return cls(
            after,
            view.diagnosis.cause,
            tuple(finding.cause for finding in view.diagnosis.also),
            {n: v.state for n, v in verdicts.items() if v.state is not State.OK},
            view.readiness.phase,
        )


@dataclass(frozen=True)
class Played:
    """A step and what was thought while it lasted, from the moment it began."""

    step: MatrixStep
    moments: Sequence[Moment]

    @property
    def last(self) -> Moment:
        return self.moments[-1]

    @cached_property
    def causes(self) -> list[tuple[float, Cause]]:
        """Each cause that was named, and when in probe intervals; the first from before."""
        named = [(moment.after / INTERVAL, moment.cause) for moment in self.moments]
        return named[:1] + [new for old, new in pairwise(named) if old[1] is not new[1]]

    @property
    def named_after(self) -> float | None:
        """Probe intervals until the expected cause was named first; None for never."""
        cause = self.step.expect.cause
        return next((after for after, named in self.causes if named is cause), None)

    @property
    def decided_after(self) -> float:
        """Probe intervals until readiness was as it stayed."""
        after = self.moments[0].after
        for old, new in pairwise(self.moments):
            if old.phase is not new.phase:
                after = new.after
        return after / INTERVAL


def played(situation: Situation) -> tuple[Played, ...]:
    """Play `situation`, once for whoever asks."""
    if situation.name not in _PLAYED:
        _PLAYED[situation.name] = virtual_time.run(lambda loop: _play(loop, situation))
    return _PLAYED[situation.name]


@asynccontextmanager
async def watched(simulator: Simulator, clock: "OurClock", seed: int) -> AsyncIterator[Assembly]:
    """tonwatch with all its defaults at work on a simulated network; nobody looks yet."""
    config = Config.model_validate(simulator.config())
    async with assembled(config, wall=clock) as parts:
        asking = asyncio.create_task(scheduler.run(parts.jobs, parts.board, Random(seed)))
        try:
            yield parts
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def views(parts: Assembly) -> AsyncGenerator[View, None]:
    """Every view, on the beat on which the daemon makes them."""
    while True:
        yield parts.watcher.look()
        await asyncio.sleep(BEAT)


class OurClock:
    """The wall clock of the machine that tonwatch runs on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._loop.wall() + self.ahead


async def _play(loop: VirtualLoop, situation: Situation) -> tuple[Played, ...]:
    clock = OurClock(loop)
    simulator = situation.simulator(clock=loop.wall)
    seen: list[tuple[float, View]] = []

    async def look() -> None:
        async for view in views(parts):
            seen.append((loop.time(), view))  # noqa: PERF401 - the views have no end

    async with simulator, watched(simulator, clock, seed=1) as parts:
        looking = asyncio.create_task(look())
        await asyncio.sleep(_ALL_WELL)
        await _just_asked(parts, situation)
        began = []
        for step in situation.played:
            began.append(loop.time())
            if step.our_clock is not None:
                clock.ahead = step.our_clock
            await do(step, simulator)
            await asyncio.sleep(step.lasts)
        looking.cancel()
    ends = [*began[1:], loop.time()]
    return tuple(
        Played(step, _moments(seen, start, end))
        for step, start, end in zip(situation.played, began, ends, strict=True)
    )


async def _just_asked(parts: Assembly, situation: Situation) -> None:
    """Wait until the first target that will break has been asked: the worst moment to break."""
    targets = [target for target in situation.steps[0].set if target != CHAIN]
    record = parts.watcher.view.snapshot.records[targets[0]] if targets else None
    asked = record.latest[Probe.HEAD].finished if record else None
    while record and record.latest[Probe.HEAD].finished == asked:
        await asyncio.sleep(_GLANCE)
        record = parts.watcher.look().snapshot.records[targets[0]]


def _moments(seen: Sequence[tuple[float, View]], start: float, end: float) -> list[Moment]:
    before = [view for time, view in seen if time <= start][-1]
    return [
        Moment.of(before, 0.0),
        *(Moment.of(view, time - start) for time, view in seen if start < time <= end),
    ]
