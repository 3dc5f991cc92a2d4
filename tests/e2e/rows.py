"""Plays rows of the fault matrix in real time, and checks which notifications arrive."""

import asyncio
import gc
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import reduce
from pathlib import Path
from typing import Any, Final

from tests.configs import configured
from tests.e2e import shortened
from tests.e2e.expected import BUSY, Awaited, has_symptoms, may_be_about, may_be_notified, outcome
from tests.e2e.monitoring import Monitoring
from tests.e2e.webhook import Webhook
from tests.matrix.situations import INTERVAL, MatrixStep, Situation, overlaid, situations
from tonwatch.commands import run as daemon
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.contracts.wallets.wallet import COIN
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.scenarios.scenario import apply_step

JOB: Final = "tonwatch"

QUICKER: Final[dict[str, Any]] = {
    "probe": {
        "connect_interval": "5s",
        "fork_interval": "10s",
        "wallet_interval": "3s",
        "compare_interval": "10s",
        "write_interval": "10s",
    },
    "readiness": {"drain_delay": "0s"},
    "serve": {"host": "127.0.0.1", "port": 0},
}
"""Laid over tonwatch's configuration: long intervals are shorter, thresholds stay."""

_AT_ONCE: Final = 50
"""Rows."""

_APART: Final = 0.3
"""Seconds from the start of a row to that of the next: making a network takes a moment."""

_CALLED_WITHIN: Final = 120.0
"""Seconds from the moment at which a cause must be named to the last message about it."""

_WELL_WITHIN: Final = 120.0
"""Seconds from the start of a row until all is well."""

_SILENCE: Final = shortened.LONGEST_WAIT
"""Seconds without a notification of an alert after Alertmanager has inhibited it."""

_GLANCE: Final = 1.0


def chosen() -> tuple[Situation, ...]:
    """The rows to play: each alert once and all rows with inhibition, or with ``E2E_ROWS=all``
    every row that names an alert; with anything else those whose names contain it."""
    named = [row for row in situations() if alerts(row)]
    wanted = os.environ.get("E2E_ROWS", "")
    if wanted == "all":
        return tuple(named)
    if wanted:
        return tuple(row for row in named if wanted in row.name)
    known: set[str] = set()
    rows = []
    for row in named:
        if has_symptoms(row) or not alerts(row) <= known:
            rows.append(row)
            known |= alerts(row)
    return tuple(rows)


def alerts(row: Situation) -> set[str]:
    """The alerts that a row names."""
    return {step.expect.alert for step in row.steps} - {""}


def instance(row: Situation) -> str:
    """The label by which its tonwatch is known."""
    return row.name.replace(" ", "-").replace("'", "").replace(",", "")


class _Clock:
    """The wall clock of a row, which skips the time while its tonwatch is down."""

    def __init__(self, row: Situation) -> None:
        self._late = sum(step.lasts for step in row.steps if step.away)

    def __call__(self) -> float:
        return time.time() - self._late

    async def skip(self, seconds: float, chain: Chain) -> None:
        """Skip `seconds` at once, and make the blocks of that time."""
        after = self._late - seconds
        while self._late > after:
            self._late = max(after, self._late - chain.interval)
            chain.advance()
            # Let other rows run.
            await asyncio.sleep(0)


class RowRunner:
    """Plays rows concurrently.

    Args:
        monitoring: scrapes their tonwatch.
        webhook: receives the notifications.
        home: an empty directory.
    """

    def __init__(self, monitoring: Monitoring, webhook: Webhook, home: Path) -> None:
        self.monitoring = monitoring
        self.webhook = webhook
        self._home = home
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def play(self, rows: Sequence[Situation]) -> dict[str, str]:
        """Play `rows` concurrently; returns what went wrong with each, empty where nothing did."""
        wrong = await asyncio.gather(*(self._run(row, n) for n, row in enumerate(rows)))
        return {row.name: text for row, text in zip(rows, wrong, strict=True)}

    async def _run(self, row: Situation, number: int) -> str:
        await asyncio.sleep(number % _AT_ONCE * _APART)
        async with self._slots:
            return await _Playback(row, self, self._home / instance(row)).play()


class _Playback:
    """One row while it is played."""

    def __init__(self, row: Situation, runner: RowRunner, state: Path) -> None:
        self._row = row
        self._instance = instance(row)
        self._monitoring = runner.monitoring
        self._webhook = runner.webhook
        self._clock = _Clock(row)
        self._simulator = row.simulator(clock=self._clock)
        self._tonwatch = _Tonwatch(row, self._simulator, self._clock, state)

    async def play(self) -> str:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._simulator)
            stack.push_async_callback(self._tonwatch.stop)
            stack.callback(self._monitoring.forget, self._instance)
            await self._begin({})
            # All networks share one event loop, and searching their blocks for garbage takes it
            # a second each time: what is there by now stays.
            gc.freeze()
            wrong = await self._until_well()
            turns = zip(self._row.steps, self._row.restarts, self._row.configs, strict=False)
            for number, (step, restarts, overlay) in enumerate(turns):
                wrong = wrong or await self._step(number, step, restarts, overlay)
            return wrong or self._unexpected() or await self._recovery()

    async def _begin(self, overlay: dict[str, Any]) -> None:
        url = await self._tonwatch.start(overlay)
        self._monitoring.scrape(url, JOB, self._instance)

    async def _until_well(self) -> str:
        well = f'tonwatch_diagnosis{{instance="{self._instance}", cause="healthy"}} == 1'
        try:
            async with asyncio.timeout(_WELL_WITHIN):
                await self._monitoring.until(well)
                if self._row.network.payouts_per_minute:
                    since = "tonwatch_wallet_payouts_since_timestamp_seconds"
                    await self._monitoring.until(f'{since}{{instance="{self._instance}"}}')
        except TimeoutError:
            return "before anything broke it was not well"
        return ""

    async def _step(
        self, number: int, step: MatrixStep, restarts: bool, overlay: dict[str, Any]
    ) -> str:
        if step.local_clock is not None:
            self._tonwatch.ahead = step.local_clock
        if step.away or restarts:
            self._monitoring.forget(self._instance)
            await self._tonwatch.stop()
        begins = outcome(self._row, number, self._tonwatch.config)
        known = [each for each in begins.inhibited if self._received(each)]
        await apply_step(step, self._simulator)
        for wallet, coins in step.pay.items():
            self._simulator.world.pay(wallet, round(coins * COIN))
        if restarts:
            await self._begin(overlay)
        if step.away:
            await self._clock.skip(step.lasts, self._simulator.chain)
            return ""
        if not step.expect.alert:
            # No notification is due; an unexpected one is found in the end.
            await asyncio.sleep(step.lasts / shortened.WAIT)
            return ""
        led_to = outcome(self._row, number, self._tonwatch.config)
        deadline = step.expect.within * INTERVAL + _CALLED_WITHIN
        try:
            async with asyncio.timeout(deadline):
                await self._webhook.until(
                    lambda: all(self._received(each) for each in led_to.notified)
                )
                while not all([await self._inhibited(each) for each in led_to.inhibited]):
                    await asyncio.sleep(_GLANCE)
        except TimeoutError:
            return f"step {number}: {await self._story(led_to.notified, led_to.inhibited)}"
        if led_to.inhibited:
            await asyncio.sleep(_SILENCE)
        wrong = [
            str(each) for each in led_to.inhibited if each not in known and self._received(each)
        ]
        return f"step {number}: notified of {', '.join(wrong)}" if wrong else ""

    def _unexpected(self) -> str:
        """Notifications without a reason in the row: of another cause or another target."""
        names, targets = may_be_notified(self._row), may_be_about(self._row, self._tonwatch.config)
        more = {
            f"{each.name} {each.labels.get('target', '')}".rstrip()
            for each in self._webhook.received
            if each.fits(instance=self._instance)
            and each.name not in BUSY
            and (each.name not in names or each.labels.get("target", "") not in {"", *targets})
        }
        return f"notified as well: {', '.join(sorted(more))}" if more else ""

    async def _recovery(self) -> str:
        """Where nothing was inhibited, every alert is resolved."""
        row = self._row
        quick = row.recovers_within <= INTERVAL and row.stays == "healthy"
        if len(row.steps) > 1 or not quick or has_symptoms(row):
            return ""
        await self._simulator.clear()
        self._tonwatch.ahead = 0.0
        if row.steps[0].config is not None:
            return ""
        ended = outcome(row, 0, self._tonwatch.config).notified
        try:
            async with asyncio.timeout(row.recovers_within * INTERVAL + _CALLED_WITHIN):
                await self._webhook.until(
                    lambda: all(self._received(each, "resolved") for each in ended)
                )
        except TimeoutError:
            return "not resolved"
        return ""

    def _received(self, awaited: Awaited, status: str = "firing") -> bool:
        labels = {"alertname": awaited.alert, "instance": self._instance, **awaited.labels}
        return any(each.status == status and each.fits(**labels) for each in self._webhook.received)

    async def _inhibited(self, awaited: Awaited) -> bool:
        """Whether Alertmanager has the alert firing, inhibited by another."""
        wanted = {"alertname": awaited.alert, **awaited.labels}.items()
        return any(
            wanted <= alert["labels"].items() and alert["status"]["inhibitedBy"]
            for alert in await self._monitoring.alerts(self._instance)
        )

    async def _story(self, notified: Sequence[Awaited], inhibited: Sequence[Awaited]) -> str:
        missed = [str(each) for each in notified if not self._received(each)]
        loud = [str(each) for each in inhibited if not await self._inhibited(each)]
        names = {each.name for each in self._webhook.received if each.fits(instance=self._instance)}
        known = [
            f"{alert['labels']['alertname']} ({alert['status']['state']})"
            for alert in await self._monitoring.alerts(self._instance)
        ]
        firing = f'ALERTS{{instance="{self._instance}"}}'
        sees = [
            f"{series['metric']['alertname']} ({series['metric']['alertstate']})"
            for series in await self._monitoring.query(firing)
        ]
        cause = f'tonwatch_diagnosis{{instance="{self._instance}"}} == 1'
        named = [series["metric"]["cause"] for series in await self._monitoring.query(cause)]
        return (
            f"not notified: {missed}; not inhibited: {loud}; notified: {sorted(names)}; "
            f"Alertmanager: {known}; Prometheus: {sees}; tonwatch: {named}"
        )


class _Tonwatch:
    """A row's tonwatch, which can be restarted.

    Attributes:
        ahead: seconds by which its machine's clock is ahead.
        config: what it was started with last.
    """

    def __init__(self, row: Situation, simulator: Simulator, clock: _Clock, state: Path) -> None:
        self.ahead = 0.0
        self.config: dict[str, Any] = {}
        self._row = row
        self._simulator = simulator
        self._clock = clock
        self._state = state
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self, overlay: dict[str, Any]) -> str:
        """Start it; its URL."""
        config = self._simulator.config() | {"state_dir": str(self._state)}
        self.config = reduce(overlaid, (QUICKER, self._row.config, overlay), config)
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(
            daemon.run(
                configured(self.config),
                self._stop,
                serving=url.set_result,
                wall=lambda: self._clock() + self.ahead,
            )
        )
        running = self._running
        running.add_done_callback(lambda _: url.done() or url.cancel())
        try:
            return await url
        except asyncio.CancelledError:
            if running.done():
                running.result()
            raise

    async def stop(self) -> None:
        if self._running is not None:
            self._stop.set()
            await self._running
            self._running = None
