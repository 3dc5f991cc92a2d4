"""Scrapes with a thousand wallets: duration, event loop pauses and memory."""

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks.clocks import stolen
from benchmarks.report import Goal, milliseconds, percentile, table
from tests.configs import configured
from tonwatch.commands import run as daemon
from tonwatch.config.wallets import NATIVE
from tonwatch.runtime.jobs.accounts import watched
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.account import AccountKey, Reading
from tonwatch.samples.payouts import PayoutProgress, Totals
from tonwatch.serve import app
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.system import executors
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.watch.store import Store

_WALLETS: Final = 1000
_SCRAPES: Final = 100
"""Of each encoding."""

_MANY: Final = 10_000
"""Wallets, rendered `_FEW` times."""

_FEW: Final = 5
_WARM_UP: Final = 3
_RENDERINGS: Final = 20
_SHARE: Final = 10
"""One of so many accounts has paid since the last scrape."""

_PARTS: Final = 15
_TICK: Final = 0.012
"""Seconds between two parts of the wallets; the daemon's tick takes one second."""

_LOOP_TICK: Final = 0.001
"""Seconds between two checks of the event loop."""

_MEBI: Final = 1 << 20

ACCEPT: Final = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""Sent by Prometheus 3."""


class LargeSetup:
    """Wallets of two assets each, with payouts."""

    def __init__(self, wallets: int = _WALLETS) -> None:
        master = str(Address(0, b"m" * 32))
        self.config = configured(
            {
                "state_dir": "/nowhere",
                "providers": [{"name": "node", "kind": "toncenter-v2", "url": "http://127.0.0.1"}],
                "wallets": [
                    {
                        "name": f"wallet-{number:04}",
                        "address": str(Address(0, number.to_bytes(32, "big"))),
                        "minimum": 250,
                        "payouts": True,
                        "jettons": [
                            {"name": "usdt", "master": master, "decimals": 6, "minimum": 1000}
                        ],
                    }
                    for number in range(wallets)
                ],
            }
        )
        self.accounts = [
            (AccountKey(wallet.name, asset), wallet.account)
            for wallet in self.config.wallets
            for asset in (NATIVE, "usdt")
        ]
        self.store = Store((), watched(self.config))
        clock = time.monotonic
        errors = InternalErrors(wall=time.time, monotonic=clock)
        self.watcher = Watcher(
            self.config, self.store, wall=time.time, monotonic=clock, errors=errors
        )
        self._turn = 0

    def read(self, part: int = 0, parts: int = 1) -> None:
        """Replace readings, with another balance, seqno and time, as payouts change them.

        Args:
            part: index of the part, from 0 on.
            parts: number of parts.
        """
        self._turn += not part
        now = time.time()
        for number, (key, account) in enumerate(self.accounts):
            if number % parts != part:
                continue
            units = 10**12 + number * 7919 - self._turn * 1_234_567
            self.store.add(
                Reading(
                    key=key,
                    source="node",
                    started=now,
                    finished=time.monotonic(),
                    account=Address(0, bytes(account.hash)),
                    status=AccountStatus.ACTIVE,
                    amount=units,
                    proven=True,
                    block=50_000_000 + self._turn,
                    time=int(now) - 1,
                    last=TransactionId(10**14 + self._turn, self._turn.to_bytes(32, "big")),
                    code_hash=b"\x01" * 32,
                    kind=WalletKind.V4R2 if key.asset == NATIVE else None,
                    seqno=1000 + self._turn if key.asset == NATIVE else None,
                )
            )
        self.watcher.evaluate()

    def count(self, share: int = 1) -> None:
        """Count a payout of every `share`th account."""
        for number, (key, _) in enumerate(self.accounts):
            if number % share:
                continue
            units = 10**11 + number * 104_729 + self._turn
            self.store.add(
                PayoutProgress(
                    key=key,
                    finished=time.monotonic(),
                    totals=Totals(
                        transactions=self._turn,
                        sent_amount=units,
                        received_amount=units + 1,
                        fees_amount=self._turn * 5_000_000,
                        sent_messages=self._turn,
                        failed_transactions={("action", 37): 1},
                        last_time=int(time.time()),
                    ),
                    cursor=TransactionId(10**14 + self._turn, bytes(32)),
                    since=1_790_000_000,
                )
            )
        self.watcher.evaluate()


class _Parsed(Collector):
    """Parsed families, for prometheus_client to expose."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Family]:
        return self._families


def _memory(make: Callable[[], Any]) -> tuple[Any, float]:
    """The result of `make`, and the MiB that it takes."""
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, taken / _MEBI


def _exposition(large: LargeSetup) -> MetricsCollector:
    errors = large.watcher.errors
    return MetricsCollector(lambda: ScrapeContext(large.watcher.view, "", alive=True), errors)


def _kept() -> float:
    """MiB of store and verdicts."""
    large = LargeSetup()  # the configuration is not measured
    exposition = _exposition(large)

    def fill() -> None:
        large.read()
        large.count()
        exposition.write("")
        large.read()
        exposition.write("")

    return _memory(fill)[1]


class _Gaps:
    """The longest time for which the event loop was blocked."""

    def __init__(self) -> None:
        self._longest = 0.0

    async def watch(self) -> None:
        """Check it every millisecond."""
        before = time.perf_counter()
        while True:
            await asyncio.sleep(_LOOP_TICK)
            now = time.perf_counter()
            self._longest = max(self._longest, now - before - _LOOP_TICK)
            before = now

    def longest(self) -> float:
        """Seconds since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest


@dataclass(slots=True)
class _Scrapes:
    """Scrapes with one encoding.

    Attributes:
        seconds: duration of each scrape.
        blocks: the longest time for which the event loop was blocked in each, seconds.
        size: bytes of the last one.
    """

    seconds: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    size: int = 0

    def row(self, name: str) -> list[str]:
        """A row of the table."""
        return [
            name,
            str(len(self.seconds)),
            milliseconds(percentile(self.seconds, 50)),
            milliseconds(percentile(self.seconds, 99)),
            milliseconds(max(self.blocks)),
            f"{self.size:,}",
        ]


async def _scrape(large: LargeSetup) -> dict[tuple[str, bool], _Scrapes]:
    """Scrape from another process, like Prometheus; readings are replaced in between.

    Results by encoding, and by whether the hypervisor took processors meanwhile (steal).
    """
    async with executors.running() as threads:
        runner = web.AppRunner(
            app.build(large.watcher, lambda: None, threads, large.watcher.errors), access_log=None
        )
        await runner.setup()
        try:
            return await _scraped(large, runner)
        finally:
            await runner.cleanup()


async def _scraped(large: LargeSetup, runner: web.AppRunner) -> dict[tuple[str, bool], _Scrapes]:
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.metrics", f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    gaps = _Gaps()
    results: dict[tuple[str, bool], _Scrapes] = {}
    for number in range(2 * (_WARM_UP + _SCRAPES)):
        encoding = ("identity", "gzip")[number % 2]
        large.count(share=_SHARE)
        for part in range(_PARTS):
            large.read(part, _PARTS)
            await asyncio.sleep(_TICK)
        watching = asyncio.create_task(gaps.watch())
        await asyncio.sleep(2 * _TICK)
        gaps.longest()
        before = stolen()
        client.stdin.write(f"{encoding}\n".encode())
        answer = json.loads(await client.stdout.readline())
        longest = gaps.longest()
        taken = stolen() > before
        watching.cancel()
        if number >= 2 * _WARM_UP:
            scrapes = results.setdefault((encoding, taken), _Scrapes())
            scrapes.seconds.append(answer["seconds"])
            scrapes.blocks.append(longest)
            scrapes.size = answer["bytes"]
    client.stdin.close()
    await client.wait()
    return results


async def scrape(url: str) -> None:
    """The scraper: one GET for each line on stdin, which is the encoding to accept."""
    async with ClientSession(auto_decompress=False) as session:
        for line in sys.stdin:
            headers = {"Accept": ACCEPT, "Accept-Encoding": line.strip()}
            began = time.perf_counter()
            async with session.get(url, headers=headers) as response:
                body = await response.read()
            seconds = time.perf_counter() - began
            print(json.dumps({"seconds": seconds, "bytes": len(body)}), flush=True)


def _render(large: LargeSetup, times: int) -> list[float]:
    """Seconds to read and render the metrics."""
    exposition = _exposition(large)
    seconds = []
    for _ in range(times):
        large.read()
        large.count(share=_SHARE)
        began = time.perf_counter()
        exposition.write("")
        seconds.append(time.perf_counter() - began)
    return seconds


def _compare_rendering(large: LargeSetup) -> tuple[list[float], list[float], int]:
    """Seconds to render the metrics by tonwatch and by prometheus_client; number of series."""
    ours, theirs = _render(large, _RENDERINGS), []
    text = b"".join(_exposition(large).write("")[0]).decode()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Parsed(text))
    for _ in range(_RENDERINGS):
        began = time.perf_counter()
        generate_latest(registry)
        theirs.append(time.perf_counter() - began)
    return ours, theirs, sum(not line.startswith("#") for line in text.splitlines())


def measure() -> tuple[str, list[Goal]]:
    """Scrape, render and measure memory; returns the tables and the goals."""
    daemon.reduce_pauses()  # as `tonwatch run` does
    large = LargeSetup()
    large.read()
    large.count()
    scraped = asyncio.run(_scrape(large))
    ours, theirs, series = _compare_rendering(large)
    memory = _kept()
    many = LargeSetup(_MANY)
    many.read()
    many.count()
    ten_times = _render(many, _FEW)
    rows = [["/metrics over HTTP", "scrapes", "p50", "p99", "longest block", "bytes"]]
    rows += [
        scrapes.row(f"{encoding}, with steal" if taken else encoding)
        for (encoding, taken), scrapes in sorted(scraped.items(), key=itemgetter(0))
    ]
    rendered = [["rendering alone", "p50", "p99"]]
    rendered += [
        [name, milliseconds(percentile(seconds, 50)), milliseconds(percentile(seconds, 99))]
        for name, seconds in (
            ("tonwatch, reading included", ours),
            ("prometheus_client", theirs),
            (f"tonwatch, {_MANY:,} wallets", ten_times),
        )
    ]
    text = (
        f"/metrics with {_WALLETS} wallets of two assets, {series:,} series; between two of"
        f" {_SCRAPES} scrapes every reading\nwas replaced, in {_PARTS} parts, and every {_SHARE}th"
        " account had paid.\nStore and verdicts:"
        f" {memory:.1f} MiB. With steal: while the hypervisor took a processor away.\n"
        f"{table(rows)}\n\n{table(rendered)}"
    )
    # With steal in all of them, judge these.
    judged = [each for (_, taken), each in scraped.items() if not taken] or list(scraped.values())
    slowest = max(percentile(each.seconds, 99) for each in judged)
    block = max(percentile(each.blocks, 99) for each in judged)
    return text, [
        Goal("/metrics with 1,000 wallets, p99", "< 250 ms", milliseconds(slowest), slowest < 0.25),
        Goal("event loop blocked by it", "< 20 ms", milliseconds(block), block < 0.02),
        Goal("memory for 1,000 wallets", "< 20 MiB", f"{memory:.1f} MiB", memory < 20),
    ]


if __name__ == "__main__":
    asyncio.run(scrape(sys.argv[1]))
