"""``tonwatch demo``: the daemon on a simulated network, with one incident after another."""

import argparse
import asyncio
import sys
import time
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import Any, Final, TextIO

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from tonwatch.commands import logs
from tonwatch.commands import run as daemon
from tonwatch.commands.options import OK, PROBLEM, Loading
from tonwatch.config.models import Log, config_model
from tonwatch.serve.listener import CannotListen
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.scenarios import scenario
from tonwatch.simulator.scenarios.scenario import Scenario
from tonwatch.targets import registry


async def run_demo(*, port: int, pace: float, out: TextIO) -> None:
    """Run until a signal ends it.

    Args:
        port: where tonwatch serves; 0 for a free one.
        pace: factor by which incidents are faster than in the scenario.
        out: gets the URLs, the incidents, and the diagnoses.

    Raises:
        CannotListen: the port is taken.
    """
    with TemporaryDirectory(prefix="tonwatch-demo-") as state_dir:
        await _run(state_dir, port=port, pace=pace, out=out)


async def _run(state_dir: str, *, port: int, pace: float, out: TextIO) -> None:
    logs.configure(Log(level="error"))
    stop = asyncio.Event()
    daemon.stop_on_signals(stop, drain_delay=0)
    incidents = scenario.load("demo")
    async with incidents.simulator() as simulator:
        config = config_model(registry.sections()).model_validate(
            simulator.config()
            | {
                "serve": {"host": "127.0.0.1", "port": port},
                "state_dir": state_dir,
                "probe": {
                    "interval": "2s",
                    "timeout": "1s",
                    "connect_interval": "5s",
                    "fork_interval": "8s",
                    "wallet_interval": "4s",
                    "compare_interval": "8s",
                    "write_interval": "8s",
                },
                "readiness": {"drain_delay": "0s"},
                # Findings of one incident end before the next one.
                "thresholds": {"slow": "500ms", "payout_window": "30s"},
            }
        )
        tasks: list[asyncio.Task[None]] = []

        def serving(url: str) -> None:
            targets = ", ".join(target.name for target in simulator.servers)
            wallets = ", ".join(wallet.name for wallet in simulator.world.wallets)
            _print(out, _WELCOME.format(url=url, targets=targets, wallets=wallets))
            tasks.append(asyncio.create_task(_play(incidents, simulator, pace, out)))
            tasks.append(asyncio.create_task(_print_diagnoses(url, out)))

        try:
            await daemon.run(config, stop, serving=serving)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


_WELCOME: Final = """\
tonwatch watches a simulated TON network: {targets}.
Wallets on it make payouts: {wallets}.
Every minute or so something breaks. Ctrl-C ends it.

  What is wrong   {url}/health
  For Prometheus  {url}/metrics
  For Kubernetes  {url}/ready?verbose
"""


async def _play(incidents: Scenario, simulator: Simulator, pace: float, out: TextIO) -> None:
    """Play the scenario repeatedly."""
    while True:
        await scenario.play(
            incidents, simulator, pace=pace, report=lambda text: _print(out, f"{_now()}  * {text}")
        )


async def _print_diagnoses(url: str, out: TextIO) -> None:
    """Poll /health, and print each new diagnosis."""
    cause = None
    async with aiohttp.ClientSession() as session:
        while True:
            health = await _health(session, url)
            diagnosis = health["diagnosis"]
            if diagnosis["cause"] != cause:
                cause = diagnosis["cause"]
                _print(out, f"{_now()}    {cause}: {diagnosis['sentence']}")
            await asyncio.sleep(0.5)


async def _health(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(aiohttp.ClientError), wait=wait_fixed(0.2)
    )

    async def ask() -> dict[str, Any]:
        async with session.get(f"{url}/health") as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            return answer

    return await attempts(ask)


def _now() -> str:
    return time.strftime("%H:%M:%S")


def _print(out: TextIO, text: str) -> None:
    with suppress(BrokenPipeError):
        print(text, file=out, flush=True)


def command(options: argparse.Namespace, _: Loading) -> int:
    """``tonwatch demo``; returns the exit code."""
    try:
        asyncio.run(run_demo(port=options.port, pace=options.pace, out=sys.stdout))
    except CannotListen as error:
        print(f"tonwatch demo: {error} (here: --port)", file=sys.stderr)
        return PROBLEM
    return OK
