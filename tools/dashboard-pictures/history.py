"""Plays hours of a simulated network in minutes, and writes down what tonwatch exports meanwhile.

The clock is virtual, so that everything but that is real: the sockets, tonwatch, its metrics. What
is exported is scraped every 15 s into a file for ``promtool tsdb create-blocks-from openmetrics``.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, TextIO

from tests import virtual_time
from tests.matrix.playing import OurClock
from tests.virtual_time import VirtualLoop
from tonwatch.config.models import Config
from tonwatch.runtime import scheduler
from tonwatch.runtime.runtime import Assembly, assembled
from tonwatch.serve.health.document import VERSION
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.simulator.chain import noise
from tonwatch.simulator.contracts.wallets import wallet as wallets
from tonwatch.simulator.scenarios import scenario
from tonwatch.simulator.world import world
from tonwatch.watch.view import INTERVAL as TICK

SCENARIO: Final = Path(__file__).with_name("evening.yaml")
SCRAPE: Final = 15.0
"""Seconds."""

INSTANCE: Final = "tonwatch:9717"

JOB: Final = "tonwatch"
_NOISE: Final = replace(noise.EVERYDAY, jitter=0.03)
_RICHER: Final = 20
_MADE_UP: Final = "process_"
"""The process that plays is not tonwatch's; see `services.process`."""


def play(file: TextIO, hours: float | None = None) -> tuple[float, float]:
    """Write all series of tonwatch to `file`; when they begin and end, Unix seconds.

    Args:
        file: gets samples in the text format of OpenMetrics, without its end.
        hours: how many of the scenario; None for all.
    """
    with TemporaryDirectory() as state:
        return virtual_time.run(lambda loop: _play(loop, file, Path(state), hours))


async def _play(
    loop: VirtualLoop, file: TextIO, state_dir: Path, hours: float | None
) -> tuple[float, float]:
    what = scenario.load(str(SCENARIO))
    assert what.duration is not None
    lasts = what.duration if hours is None else hours * 3600
    clock = OurClock(loop)
    _rich_wallets()
    simulator = what.simulator(clock=clock, noise=_NOISE)
    begin = clock()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(simulator)
        told = simulator.config() | {"state_dir": str(state_dir)}
        for wallet_scene in told["wallets"]:
            wallet_scene["minimum"] = "2000"
            wallet_scene["jettons"][0]["minimum"] = "10000"
        config = Config.model_validate(told)
        parts = await stack.enter_async_context(assembled(config, wall=clock))
        tasks = (
            asyncio.create_task(scenario.play(what, simulator)),
            asyncio.create_task(scheduler.run(parts.jobs, parts.board, Random(7), parts.errors)),
            asyncio.create_task(_look(parts)),
        )
        exposition = MetricsCollector(
            lambda: ScrapeContext(parts.watcher.view, config, VERSION, alive=True), parts.errors
        )
        while loop.time() + SCRAPE < lasts:
            await asyncio.sleep(SCRAPE)
            _scrape(exposition, clock, file)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return begin, clock()


def _rich_wallets() -> None:
    """Give wallets so much that they last for days, not for hours."""
    for module in (wallets, world):
        for name in ("INITIAL_BALANCE", "INITIAL_JETTONS", "REFILL_BELOW", "REFILL_JETTONS_BELOW"):
            if hasattr(module, name):
                setattr(module, name, getattr(module, name) * _RICHER)


async def _look(parts: Assembly) -> None:
    while True:
        parts.watcher.look()
        await asyncio.sleep(TICK)


def _scrape(exposition: MetricsCollector, clock: Callable[[], float], file: TextIO) -> None:
    families, _ = exposition.write("text/plain")
    lines = b"".join(families).decode().splitlines()
    samples = [line for line in lines if not line.startswith(("#", _MADE_UP))]
    for line in samples:
        write(file, line, JOB, INSTANCE, clock())


def write(file: TextIO, sample: str, job: str, instance: str, time: float) -> None:
    """A sample as Prometheus labels it that has scraped it."""
    of = f'job="{job}",instance="{instance}"'
    names, _, value = sample.rpartition(" ")
    name, brace, labels = names.partition("{")
    labels = f"{of},{labels}" if brace else of + "}"
    file.write(f"{name}{{{labels} {value} {time:.3f}\n")
