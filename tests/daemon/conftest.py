"""The real thing: the simulator on real sockets, watched with short intervals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from tonwatch.assembly import assembled
from tonwatch.config import Config
from tonwatch.simulator.network import Simulator
from tonwatch.watch import scheduler
from tonwatch.watch.diagnosis import Cause
from tonwatch.watch.watcher import View, Watcher

QUICK = {
    "probe": {
        "interval": "200ms",
        "timeout": "190ms",
        "connect_interval": "300ms",
        "stale_after": "3s",
    },
    "thresholds": {"stalled": "1s", "slow": "40ms"},
    "readiness": {"drain_delay": "0s"},
    "serve": {"host": "127.0.0.1", "port": 0},
}


class Watched:
    """A simulator, and what tonwatch makes of it."""

    def __init__(self, simulator: Simulator, watcher: Watcher) -> None:
        self.simulator = simulator
        self._watcher = watcher

    async def until(self, condition: Callable[[View], bool], within: float = 15.0) -> View:
        """Look until `condition` holds; the last view is in the failure's text."""
        view = self._watcher.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not condition(view):
                    await asyncio.sleep(0.02)
                    view = self._watcher.look()
        if not condition(view):
            pytest.fail(f"still not so after {within:g} s: {view.diagnosis}\n{view.judgement}")
        return view


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """Two liteservers (node-1 is primary) and a provider, ten blocks a second, all well."""
    async with Simulator(liteservers=2, providers=1, block_interval=0.1) as simulator:
        config = Config.model_validate(simulator.config() | QUICK)
        async with assembled(config) as parts:
            running = asyncio.create_task(scheduler.run(parts.jobs, parts.board, Random(1)))
            both = Watched(simulator, parts.watcher)
            try:
                await both.until(lambda view: view.diagnosis.cause is Cause.HEALTHY)
                yield both
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
