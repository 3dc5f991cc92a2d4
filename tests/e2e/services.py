"""The services around a payout system, with every fault, and a tonwatch that checks them.

The wallet API and the analytics API fail and are slow; the payout helper fails too, is stuck, says
reports payments that never reached the chain, and omits payments that did. What they export
is what docs/service-metrics.md asks of real ones.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tests.configs import configured
from tests.e2e.monitoring import Monitoring
from tests.e2e.webhook import Webhook
from tonwatch.commands import run as daemon
from tonwatch.simulator.contracts.jetton import DECIMALS, USDT
from tonwatch.simulator.contracts.wallets.wallet import COIN, INITIAL_BALANCE
from tonwatch.simulator.network import Simulator

INSTANCE: Final = "services"
"""The tonwatch that sees their payouts."""

CLAIMED: Final = "claimed"
"""The wallet from which less is paid than the helper says."""

UNKNOWN: Final = "unknown"
"""The one from which more is."""

BROKE: Final = "broke"
"""A v5 wallet, as the third one always is: asked to pay more than it has, it sends nothing."""

_WHILE_UP: Final = (
    "TonwatchWalletApiErrors",
    "TonwatchWalletApiSlow",
    "TonwatchAnalyticsApiErrors",
    "TonwatchAnalyticsApiSlow",
    "TonwatchAnalyticsLag",
    "TonwatchPayoutHelperErrors",
    "TonwatchPayoutQueueStuck",
    "TonwatchPayoutsUnaccounted",
    "TonwatchPayoutsUnexplained",
)
_ONCE_GONE: Final = (
    "TonwatchWalletApiDown",
    "TonwatchAnalyticsApiDown",
    "TonwatchPayoutHelperDown",
)
PARTS: Final = (*_WHILE_UP, *_ONCE_GONE)
"""Alerts that are awaited."""

_WITHIN: Final = 240.0
"""Seconds: the check on payouts looks back over more than an hour, which is a minute here."""

_TICK: Final = 0.5
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Those of OpenTelemetry, in seconds."""


async def play(monitoring: Monitoring, webhook: Webhook, home: Path) -> dict[str, str]:
    """Run with all faults; returns what is wrong with each alert, empty where it arrived."""
    wrong = dict.fromkeys(PARTS, "no notification")
    # After the deadline, missing alerts keep their text.
    with suppress(TimeoutError):
        async with asyncio.timeout(_WITHIN), AsyncExitStack() as stack:
            await stack.enter_async_context(_watched_wallets(monitoring, home))
            for job, registry, bad in (
                ("wallet-api", *_api(slow=0.7)),
                ("analytics-api", *_api(slow=4.0, lag=3600.0)),
                ("payout-helper", *_helper()),
            ):
                url = await stack.enter_async_context(_exporting(registry, bad))
                monitoring.scrape(url, job, job)
                stack.callback(monitoring.forget, job)
            await _until_notified(webhook, _WHILE_UP, wrong)
    with suppress(TimeoutError):
        async with asyncio.timeout(_WITHIN):
            await _until_notified(webhook, _ONCE_GONE, wrong)
    return wrong


async def _until_notified(webhook: Webhook, names: tuple[str, ...], wrong: dict[str, str]) -> None:
    def all_received() -> bool:
        for each in webhook.received:
            if each.status == "firing" and each.name in wrong:
                wrong[each.name] = ""
        return not any(wrong[name] for name in names)

    await webhook.until(all_received)


@asynccontextmanager
async def _watched_wallets(monitoring: Monitoring, home: Path) -> AsyncIterator[None]:
    """A tonwatch that counts payouts of the wallets, one of which pays."""
    wallets = [CLAIMED, UNKNOWN, BROKE]
    async with Simulator(wallets=wallets, liteservers=1, providers=0) as simulator:
        content: dict[str, Any] = simulator.config() | {
            "state_dir": str(home / INSTANCE),
            "probe": {"wallet_interval": "2s"},
            "readiness": {"drain_delay": "0s"},
            "serve": {"host": "127.0.0.1", "port": 0},
        }
        stop = asyncio.Event()

        def serving(url: str) -> None:
            monitoring.scrape(url, "tonwatch", INSTANCE)

        tasks = [
            asyncio.create_task(daemon.run(configured(content), stop, serving=serving)),
            asyncio.create_task(_pay(simulator)),
        ]
        try:
            yield
        finally:
            monitoring.forget(INSTANCE)
            stop.set()
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _pay(simulator: Simulator) -> None:
    while True:
        simulator.world.pay(UNKNOWN, COIN // 1000)
        # So much that jettons have to come in, with a coin too few to run anything.
        simulator.world.pay(UNKNOWN, 150 * 10**DECIMALS, USDT)
        simulator.world.pay(BROKE, 2 * INITIAL_BALANCE)
        await asyncio.sleep(2.0)


class _Bad:
    """What happens at a service twice a second."""

    def happen(self) -> None:
        """Count it."""
        raise NotImplementedError


def _api(*, slow: float, lag: float | None = None) -> tuple[CollectorRegistry, _Bad]:
    registry = CollectorRegistry()
    durations = Histogram(
        "http_server_request_duration_seconds",
        "Duration of requests.",
        ("http_request_method", "http_route", "http_response_status_code"),
        buckets=_BUCKETS,
        registry=registry,
    )
    active = Gauge("http_server_active_requests", "Requests now.", registry=registry)
    active.set(3)
    if lag is not None:
        newest = Gauge("analytics_last_event_timestamp_seconds", "Newest.", registry=registry)
        newest.set(time.time() - lag)

    class Failing(_Bad):
        def happen(self) -> None:
            for _ in range(10):
                durations.labels("GET", "/v1/balance", "200").observe(0.02)
                durations.labels("GET", "/v1/history", "200").observe(2 * slow)
                durations.labels("POST", "/v1/transfer", "503").observe(slow)

    return registry, Failing()


def _helper() -> tuple[CollectorRegistry, _Bad]:
    registry = CollectorRegistry()
    wallet_scene = ("wallet", "asset")
    sent = Counter("payout_helper_payouts_sent", "Sent.", wallet_scene, registry=registry)
    amount = Counter("payout_helper_payout_amount", "Coins sent.", wallet_scene, registry=registry)
    failed = Counter(
        "payout_helper_payouts_failed", "Failed.", (*wallet_scene, "reason"), registry=registry
    )
    size = Gauge("payout_helper_queue_size", "Waiting.", wallet_scene, registry=registry)
    oldest = Gauge(
        "payout_helper_queue_oldest_timestamp_seconds", "Oldest.", wallet_scene, registry=registry
    )
    for wallet in (CLAIMED, UNKNOWN):
        for asset in ("native", "usdt"):
            sent.labels(wallet, asset)
            amount.labels(wallet, asset)
            size.labels(wallet, asset).set(7)
            oldest.labels(wallet, asset).set(time.time() - 7200)
            for reason in ("insufficient_funds", "rejected", "not_confirmed"):
                failed.labels(wallet, asset, reason)

    class Lying(_Bad):
        def happen(self) -> None:
            for asset in ("native", "usdt"):
                sent.labels(CLAIMED, asset).inc(10)
                amount.labels(CLAIMED, asset).inc(25.0)
                failed.labels(CLAIMED, asset, "rejected").inc(10)

    return registry, Lying()


@asynccontextmanager
async def _exporting(registry: CollectorRegistry, bad: _Bad) -> AsyncIterator[str]:
    """The service; its URL."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    async def live() -> None:
        while True:
            bad.happen()
            await asyncio.sleep(_TICK)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    living = asyncio.create_task(live())
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        living.cancel()
        await runner.cleanup()
