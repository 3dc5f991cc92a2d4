"""Reads the accounts of wallets and contracts, and compares them between sources."""

import asyncio
import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Final

from tonwatch.config.models import Config
from tonwatch.config.wallets import NATIVE
from tonwatch.probes import balances
from tonwatch.probes.balances import JettonWallets
from tonwatch.probes.compare import compare
from tonwatch.probes.source import Source
from tonwatch.runtime.jobs.context import Context
from tonwatch.runtime.scheduler import Job, Question, last_resort
from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.sample import Probe, Sample
from tonwatch.ton.address import Address
from tonwatch.watch import planner
from tonwatch.watch.failures import failure
from tonwatch.watch.planner import Round
from tonwatch.watch.store import Observation

TICKS: Final = 15
"""Ticks in an interval, so that a thousand wallets are not read all at once."""

_AT_ONCE: Final = 32
"""Minimum of the limit of accounts per tick."""

_RETRIES: Final = 3
"""Attempts within an interval to read an account that failed."""

_QUERIES: Final = 4
"""Maximum of queries to read one account from one source, retries included."""


def about_wallets(config: Config) -> tuple[Probe, ...]:
    """The probes of every target that the configured wallets need."""
    probes: list[Probe] = []
    if config.wallets or config.contracts:
        probes.append(Probe.BALANCE)
    if config.wallets:
        probes.append(Probe.COMPARE)
    if any(wallet.write_probe for wallet in config.wallets):
        probes.append(Probe.WRITE)
    return tuple(probes)


def watched(config: Config) -> Iterator[Watched]:
    """Every account that is read, in the order of the configuration."""
    for wallet in config.wallets:
        yield Watched(AccountKey(wallet.name, NATIVE), wallet.account)
        for jetton in wallet.jettons:
            key = AccountKey(wallet.name, jetton.name)
            yield Watched(key, wallet.account, jetton.account)
        for currency in wallet.extra_currencies:
            key = AccountKey(wallet.name, currency.name)
            yield Watched(key, wallet.account, currency=currency.id)
    for contract in config.contracts:
        yield Watched(AccountKey(contract.name, ""), contract.account)


class ReadSchedule:
    """Which accounts are due to be read.

    Args:
        accounts: all of them.
        interval: seconds between two readings of each.

    Attributes:
        limit: maximum of accounts per tick.
    """

    def __init__(self, accounts: Sequence[Watched] = (), interval: float = math.inf) -> None:
        self._accounts: dict[AccountKey, Watched] = {}
        self._due: dict[AccountKey, float] = {}
        self.change(accounts, interval)

    def change(self, accounts: Sequence[Watched], interval: float) -> None:
        """Read these from now on; new and changed ones are due at once."""
        known, due = self._accounts, self._due
        self._accounts = {each.key: each for each in accounts}
        self._due = {
            key: due[key] if known.get(key) == each else -math.inf
            for key, each in self._accounts.items()
        }
        self._interval = interval
        self.limit = max(_AT_ONCE, 2 * math.ceil(len(accounts) / TICKS))

    def due(self, now: float) -> list[Watched]:
        """Those that are due at `now`, the longest waiting first, up to `limit`."""
        waiting = [key for key, due in self._due.items() if due <= now]
        waiting.sort(key=self._due.__getitem__)
        return [self._accounts[key] for key in waiting[: self.limit]]

    def done(self, readings: Sequence[Reading], now: float) -> None:
        """Record what has been read; what failed is due again sooner."""
        for reading in readings:
            wait = self._interval if reading.ok else self._interval / _RETRIES
            if reading.key in self._due:
                self._due[reading.key] = now + wait


class ReadAccounts:
    """The job that reads every account once in an interval, some of them at each tick.

    Args:
        context: has the sources.
        jetton_wallets: cached addresses; new ones are added.
    """

    def __init__(self, context: Context, jetton_wallets: JettonWallets) -> None:
        self._context = context
        self._jetton_wallets = jetton_wallets
        self._schedule = ReadSchedule()

    def job(self, config: Config) -> Job:
        """The job for these accounts."""
        accounts = tuple(watched(config))
        self._schedule.change(accounts, config.probe.wallet_interval)
        tick = config.probe.wallet_interval / TICKS
        names = tuple(self._context.sources)
        # A running reading of a changed account must not be stored for the new one.
        return Job(Probe.BALANCE, Probe.BALANCE, names, tick, self.plan, delay=tick, about=accounts)

    def plan(self) -> Sequence[Question]:
        """The accounts that are due, from the best sources."""
        sources = self._context.sources
        best = planner.readable(self._context.view.judgement)
        order = [sources[v.target.name] for v in best if v.target.name in sources]
        due = self._schedule.due(asyncio.get_running_loop().time())
        if not due or not order:
            return ()
        questions = self._schedule.limit * _QUERIES * len(sources)
        deadline = last_resort(self._context.config, questions)
        return (Question(Probe.BALANCE, partial(self._read, due, order), deadline),)

    async def _read(self, due: Sequence[Watched], order: Sequence[Source]) -> Sequence[Observation]:
        now = asyncio.get_running_loop().time()
        batch = await balances.read(due, order, self._jetton_wallets, wall=self._context.wall)
        self._schedule.done(batch.readings, now)
        return (*batch.readings, *batch.samples)


class CompareAccounts:
    """The job that reads the same account at the same block from all sources, one account a tick.

    Args:
        context: has the sources.
        jetton_wallets: cached addresses.
    """

    def __init__(self, context: Context, jetton_wallets: JettonWallets) -> None:
        self._context = context
        self._jetton_wallets = jetton_wallets
        self._turns: Iterator[Watched] = iter(())
        self._contradicted: Watched | None = None

    def job(self, config: Config) -> Job:
        """The job for these wallets. It starts when the head of every target is known."""
        # Extra currencies are in the same account as the native coin.
        compared = [each for each in watched(config) if each.key.asset and each.currency is None]
        self._turns = cycle(compared)
        if self._contradicted not in compared:
            self._contradicted = None
        return Job(
            Probe.COMPARE,
            Probe.COMPARE,
            tuple(self._context.sources),
            config.probe.compare_interval,
            self.plan,
            delay=2 * config.probe.interval,
            repeats=config.probe.interval,
            is_well=self.is_well,
        )

    def is_well(self) -> bool:
        """Whether no target's accounts are wrong, whose end would have to be seen soon."""
        judgement = self._context.view.judgement
        return self._contradicted is None and not planner.are_accounts_wrong(judgement)

    def plan(self) -> Sequence[Question]:
        """The next account, where there are sources to compare; one with a false claim again."""
        planned = planner.comparison(self._context.view.judgement)
        if planned is None:
            return ()
        watched = self._contradicted or next(self._turns)
        deadline = last_resort(self._context.config, _QUERIES * len(planned.targets))
        return (Question(Probe.COMPARE, partial(self._compare, watched, planned), deadline),)

    async def _compare(self, watched: Watched, planned: Round) -> Sequence[Sample]:
        sources = self._context.sources
        compared = [sources[name] for name in planned.targets if name in sources]
        asset = "" if watched.master is None else f"the {watched.key.asset} wallet of "
        samples = await compare(
            self._address(watched),
            compared,
            planned.seqno,
            whose=f"{asset}wallet {watched.key.name}",
            coin=self._context.config.coin,
            wall=self._context.wall,
        )
        false = any(failure(sample.reason).false_claim for sample in samples)
        self._contradicted = watched if false else None
        return samples

    def _address(self, watched: Watched) -> Address:
        """The account's address; the owner's while a jetton wallet's is not known."""
        if watched.master is None:
            return watched.account
        return self._jetton_wallets.known(watched.account, watched.master) or watched.account
