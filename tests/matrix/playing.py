"""Plays a situation in virtual time, and records what tonwatch reported, moment by moment."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests import virtual_time
from tests.configs import configured
from tests.matrix.situations import INTERVAL, Balances, MatrixStep, Situation, overlaid
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.runtime import Runtime, running
from tonwatch.samples.sample import Probe
from tonwatch.simulator.contracts.wallets.wallet import COIN
from tonwatch.simulator.network import CHAIN, Simulator
from tonwatch.simulator.scenarios.scenario import apply_step
from tonwatch.watch.findings import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State
from tonwatch.watch.view import INTERVAL as VIEW_INTERVAL
from tonwatch.watch.view import View

_HEALTHY_AFTER: Final = 20.0
"""Seconds before anything breaks."""

_MOMENT: Final = 0.1
"""Seconds from look to look where a moment is waited for."""


_ASKED_WITHIN: Final = 100.0
"""Seconds within which every probe looks at its targets again."""


@dataclass(frozen=True)
class Moment:
    """What was reported from `after` on, in seconds since the step."""

    after: float
    cause: Cause
    also: tuple[Cause, ...]
    states: dict[str, State]
    phase: Phase
    balances: Balances

    @classmethod
    def of(cls, view: View, after: float) -> "Moment":
        verdicts = view.judgement.verdicts
        return cls(
            after,
            view.diagnosis.cause,
            tuple(finding.cause for finding in view.diagnosis.also),
            {n: v.state for n, v in verdicts.items() if v.state is not State.OK},
            view.readiness.phase,
            _balances(view),
        )


@dataclass(frozen=True)
class Played:
    """A step and what was reported while it lasted.

    `restarts`: tonwatch was restarted with it.
    """

    step: MatrixStep
    moments: Sequence[Moment]
    restarts: bool = False

    @property
    def last(self) -> Moment:
        return self.moments[-1]

    @cached_property
    def causes(self) -> list[tuple[float, Cause]]:
        """Each cause that was named, and when, in probe intervals; the first is the one before."""
        named = [(moment.after / INTERVAL, moment.cause) for moment in self.moments]
        return named[:1] + [new for old, new in pairwise(named) if old[1] is not new[1]]

    @property
    def named_after(self) -> float | None:
        """Probe intervals until the expected cause was named first; None for never."""
        cause = self.step.expect.cause
        return next((after for after, named in self.causes if named is cause), None)

    @property
    def decided_after(self) -> float:
        """Probe intervals until readiness was final."""
        after = self.moments[0].after
        for old, new in pairwise(self.moments):
            if old.phase is not new.phase:
                after = new.after
        return after / INTERVAL


def played(situation: Situation) -> tuple[Played, ...]:
    """Play `situation`: its steps, and the recovery as the last part."""
    with TemporaryDirectory() as state:
        return virtual_time.run(lambda loop: _play(loop, situation, Path(state)))


@asynccontextmanager
async def watched(
    simulator: Simulator,
    clock: "LocalClock",
    seed: int,
    state_dir: Path | None = None,
    *overlays: dict[str, Any],
) -> AsyncIterator[Runtime]:
    """tonwatch with its defaults on a simulated network; nothing is judged yet.

    Args:
        simulator: the network.
        clock: of tonwatch's machine.
        seed: decides the start times of probes.
        state_dir: where checkpoints are kept; None where payouts are not counted.
        overlays: laid over its configuration, in order.
    """
    content = simulator.config() | {"state_dir": None if state_dir is None else str(state_dir)}
    config = configured(reduce(overlaid, overlays, content))
    async with running(config, wall=clock, random=Random(seed)) as parts:
        asking = asyncio.create_task(parts.scheduler.run())
        try:
            yield parts
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def views(parts: Runtime) -> AsyncGenerator[View, None]:
    """Every view, at the interval of the daemon."""
    while True:
        yield parts.watcher.evaluate()
        await asyncio.sleep(VIEW_INTERVAL)


class LocalClock:
    """The wall clock of the machine that tonwatch runs on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._loop.wall() + self.ahead


class _Watching:
    """A running tonwatch whose views are collected; it can be restarted.

    Attributes:
        seen: every view, and when it was made.
    """

    def __init__(
        self, loop: VirtualLoop, simulator: Simulator, state_dir: Path, config: dict[str, Any]
    ) -> None:
        self.clock = LocalClock(loop)
        self.seen: list[tuple[float, View]] = []
        self.parts: Runtime | None = None
        self._loop = loop
        self._simulator = simulator
        self._state_dir = state_dir
        self._config = config
        self._running = AsyncExitStack()

    async def start(self, overlay: dict[str, Any]) -> None:
        await self.stop()
        self.parts = await self._running.enter_async_context(
            watched(self._simulator, self.clock, 1, self._state_dir, self._config, overlay)
        )
        collecting = asyncio.create_task(self._collect(self.parts))
        self._running.callback(collecting.cancel)

    async def stop(self) -> None:
        await self._running.aclose()
        self.parts = None

    async def _collect(self, parts: Runtime) -> None:
        async for view in views(parts):
            self.seen.append((self._loop.time(), view))


async def _play(loop: VirtualLoop, situation: Situation, state_dir: Path) -> tuple[Played, ...]:
    simulator = situation.simulator(clock=loop.wall)
    watching = _Watching(loop, simulator, state_dir, situation.config)
    async with simulator:
        try:
            await watching.start({})
            await asyncio.sleep(_HEALTHY_AFTER)
            await _just_asked(watching, situation)
            began = []
            turns = zip(situation.played, situation.restarts, situation.configs, strict=True)
            for step, restarts, overlay in turns:
                began.append(loop.time())
                if step.local_clock is not None:
                    watching.clock.ahead = step.local_clock
                if step.away:
                    await watching.stop()
                await apply_step(step, simulator)
                for wallet, coins in step.pay.items():
                    simulator.world.pay(wallet, round(coins * COIN))
                if restarts:
                    await asyncio.sleep(_MOMENT)
                    await watching.start(overlay)
                await asyncio.sleep(step.lasts)
        finally:
            await watching.stop()
    ends = [*began[1:], loop.time()]
    return tuple(
        # Views from before a restart do not count.
        Played(step, _moments(watching.seen, start, end)[anew:], anew)
        for step, start, end, anew in zip(
            situation.played, began, ends, situation.restarts, strict=True
        )
    )


async def _just_asked(watching: _Watching, situation: Situation) -> None:
    """Wait until the target of the first fault has been probed: the worst moment to fail."""
    targets = [target for target in situation.steps[0].set if target != CHAIN]
    if not targets or watching.parts is None:
        return
    watcher = watching.parts.watcher
    asked = _last_asked(watcher.view, targets[0], situation.found_by)
    async with asyncio.timeout(_ASKED_WITHIN):
        while _last_asked(watcher.evaluate(), targets[0], situation.found_by) == asked:
            await asyncio.sleep(_MOMENT)


def _last_asked(view: View, name: str, probe: Probe) -> float | None:
    """When the probe last ended that will find a fault of `name`, a server, wallet or contract."""
    record = view.snapshot.records.get(name)
    if record is not None:
        return record.latest[probe].finished if probe in record.latest else None
    readings = (each.reading for key, each in view.snapshot.accounts.items() if key.name == name)
    return max(reading.finished for reading in readings if reading is not None)


def _balances(view: View) -> Balances:
    wallets = view.judgement.wallet_status.wallets.values()
    readings = [holding.reading for wallet in wallets for holding in wallet.holdings.values()]
    if not readings:
        return Balances.NONE
    if any(reading is None for reading in readings):
        return Balances.UNKNOWN
    proven = all(reading is not None and reading.proven for reading in readings)
    return Balances.PROVEN if proven else Balances.UNPROVEN


def _moments(seen: Sequence[tuple[float, View]], start: float, end: float) -> list[Moment]:
    before = [view for time, view in seen if time <= start][-1]
    return [
        Moment.of(before, 0.0),
        *(Moment.of(view, time - start) for time, view in seen if start < time <= end),
    ]
