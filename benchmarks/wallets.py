"""A thousand wallets: reading them with proofs, judging them, and memory."""

import asyncio
import base64
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Final

from pytoniq.liteclient.client import LiteClient as PytoniqClient
from pytoniq_core.boc.address import Address as PytoniqAddress

from benchmarks import clients
from benchmarks.clocks import LoopIterations, Rounds
from benchmarks.network import DEPTH, WALLETS
from benchmarks.report import Goal, table
from benchmarks.server import HOST, SERVER_KEY, Running, running
from tests.configs import configured, make_target
from tonwatch.config.models import Config, ProbeConfig
from tonwatch.payouts.checkpoints import Checkpoint
from tonwatch.payouts.walker import TransactionWalker
from tonwatch.probes import balances
from tonwatch.probes.balances import JettonWallets
from tonwatch.probes.source import Source
from tonwatch.runtime.jobs import accounts as wallet_jobs
from tonwatch.runtime.jobs.accounts import ReadSchedule
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.account import Reading, Watched
from tonwatch.samples.payouts import PayoutProgress, Totals, Trouble, TroubleKind
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks
from tonwatch.watch.store import Observation, Store
from tonwatch.watch.view import INTERVAL

_ROUNDS: Final = 5
_SAMPLE: Final = 200
"""Wallets that each client reads in a round."""
_TICKS: Final = 15
"""Batches into which tonwatch divides an interval."""
_TROUBLES: Final = 8
"""Recent troubles of each account's payouts, an hour old."""
_NODE: Final = "node"
_PROVEN: Final = "tonwatch, proofs"
_PYTONIQ: Final = "pytoniq, proofs (trust_level 1)"


class _Watch:
    """The daemon's reading and judging of wallets."""

    def __init__(self, config: Config, source: Source, found: JettonWallets) -> None:
        self._source = source
        self._found = found
        self._tick = config.probe.wallet_interval / _TICKS
        self._now = 0.0
        accounts = list(wallet_jobs.watched(config))
        self._schedule = ReadSchedule(accounts, config.probe.wallet_interval)
        self.store = Store([make_target(_NODE, "liteserver", "primary")], accounts)
        clock = asyncio.get_running_loop().time
        errors = InternalErrors(wall=time.time, monotonic=clock)
        self.watcher = Watcher(config, self.store, wall=time.time, monotonic=clock, errors=errors)

    async def interval(self) -> int:
        """All ticks of an interval without waiting; returns how many accounts were read."""
        read = 0
        for _ in range(_TICKS):
            self._now += self._tick
            if due := self._schedule.due(self._now):
                batch = await balances.read(due, [self._source], self._found, wall=time.time)
                self._schedule.done(batch.readings, self._now)
                answers: tuple[Observation, ...] = (*batch.readings, *batch.samples)
                for answer in answers:
                    self.store.add(answer)
                read += len(batch.readings)
            for _ in range(round(self._tick / INTERVAL)):
                await asyncio.sleep(0)
                self.watcher.evaluate()
        return read


@dataclass(slots=True)
class _Results:
    """The measurements.

    Attributes:
        reading: rounds of `_SAMPLE` wallets, by client.
        intervals: rounds of all wallets, read and judged.
        evaluations: rounds of one evaluation of all wallets, without new readings.
        iterations: longest iteration of the event loop in each interval, CPU seconds.
        memory: bytes in memory for all wallets.
    """

    reading: dict[str, Rounds] = field(default_factory=dict)
    intervals: Rounds = field(default_factory=Rounds)
    evaluations: Rounds = field(default_factory=Rounds)
    iterations: list[float] = field(default_factory=list)
    memory: int = 0


async def _measure(server: Running, iterations: LoopIterations) -> _Results:
    results = _Results()
    async with _linked(server) as link:
        source = LiteServerSource(_NODE, link, KnownBlocks(), lambda: clients.TIMEOUT)
        await _compare(server, source, clients.Unproven(_NODE, link), results)
        await _watch(server, source, iterations, results)
        await _keep(server, source, results)
    return results


async def _compare(server: Running, source: Source, unproven: Source, results: _Results) -> None:
    """Read the same accounts in turn with every client."""
    sample = list(wallet_jobs.watched(_config(server)))[: 2 * _SAMPLE]
    found = JettonWallets()
    readings = await _read(sample, source, found)
    if not all(reading.proven for reading in readings):
        raise RuntimeError("not every account was read with proofs")
    addresses = [
        PytoniqAddress((reading.account.workchain, reading.account.hash))
        for reading in readings
        if reading.account is not None
    ]
    # Where its updater waits for a block pytoniq does not sleep between answers.
    proving = await clients.pytoniq(server.holding_port)
    trusting = await clients.pytoniq(server.holding_port, trust_level=2)
    variants: dict[str, Callable[[], Awaitable[object]]] = {
        _PROVEN: partial(_read, sample, source, found),
        "tonwatch, no proofs": partial(_read, sample, unproven, found),
        _PYTONIQ: partial(_read_by_pytoniq, addresses, proving),
        "pytoniq, fewer proofs (trust_level 2)": partial(_read_by_pytoniq, addresses, trusting),
    }
    results.reading = {name: Rounds() for name in variants}
    for _ in range(_ROUNDS):
        for name, read in variants.items():
            with results.reading[name].timed():
                await read()
    await proving.close()
    await trusting.close()


async def _watch(
    server: Running, source: Source, iterations: LoopIterations, results: _Results
) -> None:
    """Run whole intervals; the first one, which looks up jetton wallets, is not counted."""
    watch = _Watch(_config(server), source, JettonWallets())
    await watch.interval()
    for _ in range(_ROUNDS):
        with results.intervals.timed():
            await asyncio.sleep(0)
            iterations.longest = 0.0
            if await watch.interval() != 2 * WALLETS:
                raise RuntimeError("an interval was too short for all accounts")
            await asyncio.sleep(0)
        results.iterations.append(iterations.longest)
        with results.evaluations.timed():
            watch.watcher.evaluate()


async def _keep(server: Running, source: Source, results: _Results) -> None:
    """Measure memory after an interval, payouts included."""
    gc.collect()
    tracemalloc.start()
    watch = _Watch(_config(server), source, JettonWallets())
    await watch.interval()
    walkers = [
        _walker(record.reading)
        for record in watch.watcher.view.snapshot.accounts.values()
        if record.reading is not None
    ]
    for walker, progress in walkers:
        assert walker.checkpoint.totals is progress.totals
        watch.store.add(progress)
    watch.watcher.evaluate()
    gc.collect()
    results.memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


def _walker(reading: Reading) -> tuple[TransactionWalker, PayoutProgress]:
    """The payouts of an account with recent troubles."""
    assert reading.account is not None
    now = int(reading.started)
    troubles = [
        Trouble(now - 3600, TroubleKind.FAILED, "action", 37, (now << 20) + number)
        for number in range(_TROUBLES)
    ]
    totals = Totals(
        transactions=now,
        sent_amount=now << 20,
        received_amount=now << 20,
        fees_amount=now << 10,
        sent_messages=now,
        failed_transactions={("action", 37): len(troubles)},
        recent=tuple(troubles),
        last_time=now,
    )
    cursor = TransactionId(now << 20, bytes(reversed(reading.account.hash)))

    async def save(_: Checkpoint) -> bool:
        return True

    walker = TransactionWalker(
        reading.key,
        reading.account,
        Checkpoint(cursor=cursor, since=now, opening=reading.amount, totals=totals),
        count=lambda totals, _: totals,
        save=save,
        wall=time.time,
    )
    progress = PayoutProgress(
        key=reading.key, finished=time.time(), totals=totals, cursor=cursor, since=now
    )
    return walker, progress


async def _read(
    accounts: Sequence[Watched], source: Source, found: JettonWallets
) -> tuple[Reading, ...]:
    batch = await balances.read(accounts, [source], found, wall=time.time)
    for reading in batch.readings:
        if not reading.ok:
            raise RuntimeError(f"{' '.join(reading.key)}: {reading.detail}")
    return batch.readings


async def _read_by_pytoniq(addresses: Sequence[PytoniqAddress], client: PytoniqClient) -> None:
    slots = asyncio.Semaphore(clients.AT_ONCE)

    async def one(address: PytoniqAddress) -> None:
        async with slots:
            await client.get_account_state(address)

    await asyncio.gather(*map(one, addresses))


@asynccontextmanager
async def _linked(server: Running) -> AsyncIterator[Link]:
    link = Link(HOST, server.port, lambda: SERVER_KEY)
    try:
        yield link
    finally:
        await link.drop()


def _config(server: Running) -> Config:
    key = base64.b64encode(SERVER_KEY).decode()
    node = {"name": _NODE, "host": HOST, "port": server.port, "key": key}
    wallets = server.about["wallets"]
    return configured({"network": "testnet", "liteservers": [node], "wallets": wallets})


def measure() -> tuple[str, list[Goal]]:
    """Measure reading, intervals and memory; returns the tables and the goals."""
    iterations = LoopIterations()
    with (
        running("benchmarks.network") as server,
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(iterations)) as runner,
    ):
        results = runner.run(_measure(server, iterations))
    rates = {name: _SAMPLE / median(rounds.wall) for name, rounds in results.reading.items()}
    rows = [["client", "wallets/s", "CPU of 1,000 wallets", "against pytoniq, proofs"]]
    rows += [
        [
            name,
            f"{rates[name]:,.0f}",
            f"{median(rounds.cpu) * 1000 / _SAMPLE:.2f} s",
            f"{rates[name] / rates[_PYTONIQ]:.1f}x",
        ]
        for name, rounds in results.reading.items()
    ]
    text = (
        f"Wallets with two assets, proofs {DEPTH} forks deep, {clients.AT_ONCE} concurrent"
        f" queries: {_SAMPLE} wallets\nby each client in turn (median of {_ROUNDS}"
        " rounds). pytoniq proves the account itself at either\ntrust_level, and reads neither"
        " jettons nor the kind of wallet.\n" + table(rows)
    )
    ratio = rates[_PROVEN] / rates[_PYTONIQ]
    own, goals = _of_tonwatch(results)
    return f"{text}\n\n{own}", [
        Goal("wallets/s with proofs against pytoniq", "3x", f"{ratio:.1f}x", ratio >= 3),
        *goals,
    ]


def _of_tonwatch(results: _Results) -> tuple[str, list[Goal]]:
    interval = ProbeConfig().wallet_interval
    rates = [WALLETS / seconds for seconds in results.intervals.wall]
    shares = [seconds / interval for seconds in results.intervals.cpu]
    memory = f"{results.memory / (1 << 20):.1f} MiB"
    evaluations = results.evaluations.cpu
    rows = [
        ["", "median", "worst"],
        ["wallets/s", f"{median(rates):,.0f}", f"{min(rates):,.0f}"],
        ["CPU", f"{median(results.intervals.cpu):.2f} s", f"{max(results.intervals.cpu):.2f} s"],
        [f"share of a core at {interval:.0f} s", f"{median(shares):.1%}", f"{max(shares):.1%}"],
        ["longest loop iteration", _ms(median(results.iterations)), _ms(max(results.iterations))],
        ["evaluation without news", _ms(median(evaluations)), _ms(max(evaluations))],
        ["memory", memory, ""],
    ]
    text = (
        f"tonwatch with {WALLETS:,} of them: what is due is read with proofs, stored and judged"
        f" twice a second\n({_ROUNDS} intervals without waiting; loop iterations and evaluations"
        " in CPU time). Memory: configuration,\nstore, readings, verdicts, and payouts"
        f" with {_TROUBLES} failures of each account.\n" + table(rows)
    )
    iteration = median(results.iterations)
    return text, [
        Goal("share of a core", "< 50 %", f"{median(shares):.1%}", median(shares) < 0.5),
        Goal("longest event loop iteration", "< 20 ms", _ms(iteration), iteration < 0.02),
        Goal("memory of 1,000 wallets", "< 20 MiB", memory, results.memory < 20 << 20),
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
