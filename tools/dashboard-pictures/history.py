"""Plays hours of a simulated network in minutes, and records the metrics of tonwatch.

Only the clock is virtual; the sockets, tonwatch and its metrics are real. The metrics are scraped
every 15 s into a file for ``promtool tsdb create-blocks-from openmetrics``.
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
from tonwatch.config.models import config_model
from tonwatch.runtime.runtime import running
from tonwatch.serve.health.document import VERSION
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.simulator.chain import noise
from tonwatch.simulator.contracts.wallets import wallet as wallets
from tonwatch.simulator.scenarios import scenario
from tonwatch.simulator.world import world
from tonwatch.targets import registry

SCENARIO: Final = Path(__file__).with_name("evening.yaml")
SCRAPE: Final = 15.0
"""Seconds."""

INSTANCE: Final = "tonwatch:9717"

JOB: Final = "tonwatch"
_NOISE: Final = replace(noise.EVERYDAY, jitter=0.03)
_RICHER: Final = 20
_SYNTHETIC: Final = "process_"
"""Prefix of metrics of this process, which `services.process` replaces."""


def play(file: TextIO, hours: float | None = None) -> tuple[float, float]:
    """Write all series of tonwatch to `file`; returns their begin and end, Unix seconds.

    Args:
        file: gets samples in the text format of OpenMetrics, without its end.
        hours: of the scenario; None for all.
    """
    with TemporaryDirectory() as state:
        return virtual_time.run(lambda loop: _play(loop, file, Path(state), hours))


async def _play(
    loop: VirtualLoop, file: TextIO, state_dir: Path, hours: float | None
) -> tuple[float, float]:
    evening = scenario.load(str(SCENARIO))
    assert evening.duration is not None
    duration = evening.duration if hours is None else hours * 3600
    clock = OurClock(loop)
    _rich_wallets()
    simulator = evening.simulator(clock=clock, noise=_NOISE)
    begin = clock()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(simulator)
        content = simulator.config() | {"state_dir": str(state_dir)}
        for wallet in content["wallets"]:
            wallet["minimum"] = "2000"
            wallet["jettons"][0]["minimum"] = "10000"
        config = config_model(registry.sections()).model_validate(content)
        runtime = await stack.enter_async_context(running(config, wall=clock, random=Random(7)))
        tasks = (
            asyncio.create_task(scenario.play(evening, simulator)),
            asyncio.create_task(runtime.run()),
        )
        exposition = MetricsCollector(
            lambda: ScrapeContext(runtime.view, VERSION, alive=True), runtime.errors
        )
        while loop.time() + SCRAPE < duration:
            await asyncio.sleep(SCRAPE)
            _scrape(exposition, clock, file)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return begin, clock()


def _rich_wallets() -> None:
    """Raise the wallets' balances, which then last for days instead of hours."""
    for module in (wallets, world):
        for name in ("INITIAL_BALANCE", "INITIAL_JETTONS", "REFILL_BELOW", "REFILL_JETTONS_BELOW"):
            if hasattr(module, name):
                setattr(module, name, getattr(module, name) * _RICHER)


def _scrape(exposition: MetricsCollector, clock: Callable[[], float], file: TextIO) -> None:
    families, _ = exposition.write("text/plain")
    lines = b"".join(families).decode().splitlines()
    samples = [line for line in lines if not line.startswith(("#", _SYNTHETIC))]
    for line in samples:
        write(file, line, JOB, INSTANCE, clock())


def write(file: TextIO, sample: str, job: str, instance: str, time: float) -> None:
    """Write a sample with the labels that Prometheus adds to it."""
    scraped = f'job="{job}",instance="{instance}"'
    names, _, value = sample.rpartition(" ")
    name, brace, labels = names.partition("{")
    labels = f"{scraped},{labels}" if brace else scraped + "}"
    file.write(f"{name}{{{labels} {value} {time:.3f}\n")
