"""Reads the accounts of wallets and contracts, and compares what sources say of them."""

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
from tonwatch.watch.planner import Round
from tonwatch.watch.store import Observation

TICKS: Final = 15
"""Parts into which an interval is cut, so that a thousand wallets are not read all at once."""

_AT_ONCE: Final = 32
"""Accounts that are read at one tick, however few they are."""

_RETRIES: Final = 3
"""How often within an interval an account is tried that could not be read."""

_QUESTIONS: Final = 4
"""Questions that reading one account from one source takes at most, tries again included."""


def about_wallets(config: Config) -> tuple[Probe, ...]:
    """The probes that every target takes part in for the sake of wallets."""
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
    for contract in config.contracts:
        yield Watched(AccountKey(contract.name, ""), contract.account)


class ReadSchedule:
    """Which accounts are due to be read.

    Args:
        accounts: all of them.
        interval: seconds between two readings of each.

    Attributes:
        limit: accounts that are read at one time.
    """

    def __init__(self, accounts: Sequence[Watched] = (), interval: float = math.inf) -> None:
        self._accounts: dict[AccountKey, Watched] = {}
        self._due: dict[AccountKey, float] = {}
        self.change(accounts, interval)

    def change(self, accounts: Sequence[Watched], interval: float) -> None:
        """Read these from now on; those that are new or others than before are due at once."""
        known, due = self._accounts, self._due
        self._accounts = {each.key: each for each in accounts}
        self._due = {
            key: due[key] if known.get(key) == each else -math.inf
            for key, each in self._accounts.items()
        }
        self._interval = interval
        self.limit = max(_AT_ONCE, 2 * math.ceil(len(accounts) / TICKS))

    def due(self, now: float) -> list[Watched]:
        """Those that are due at `now`, the longest waiting first, as many as one tick may take."""
        waiting = [key for key, due in self._due.items() if due <= now]
        waiting.sort(key=self._due.__getitem__)
        return [self._accounts[key] for key in waiting[: self.limit]]

    def done(self, readings: Sequence[Reading], now: float) -> None:
        """Note what has been read; what failed is due again sooner."""
        for reading in readings:
            wait = self._interval if reading.ok else self._interval / _RETRIES
            if reading.key in self._due:
                self._due[reading.key] = now + wait


class ReadAccounts:
    """The job that reads every account once in an interval, some of them at each tick.

    Args:
        context: says whom to ask.
        found: addresses of jetton wallets, completed on the way.
    """

    def __init__(self, context: Context, found: JettonWallets) -> None:
        self._context = context
        self._found = found
        self._schedule = ReadSchedule()

    def job(self, config: Config) -> Job:
        """The job for these accounts."""
        accounts = tuple(watched(config))
        self._schedule.change(accounts, config.probe.wallet_interval)
        tick = config.probe.wallet_interval / TICKS
        names = tuple(self._context.sources)
        # What is being read of an account that is another now must not be taken for this one's.
        return Job(Probe.BALANCE, Probe.BALANCE, names, tick, self.plan, delay=tick, about=accounts)

    def plan(self) -> Sequence[Question]:
        """What is due, from the best sources there are."""
        sources = self._context.sources
        best = planner.readable(self._context.view.judgement)
        order = [sources[v.target.name] for v in best if v.target.name in sources]
        due = self._schedule.due(asyncio.get_running_loop().time())
        if not due or not order:
            return ()
        questions = self._schedule.limit * _QUESTIONS * len(sources)
        deadline = last_resort(self._context.config, questions)
        return (Question(Probe.BALANCE, partial(self._read, due, order), deadline),)

    async def _read(self, due: Sequence[Watched], order: Sequence[Source]) -> Sequence[Observation]:
        now = asyncio.get_running_loop().time()
        batch = await balances.read(due, order, self._found, wall=self._context.wall)
        self._schedule.done(batch.readings, now)
        return (*batch.readings, *batch.samples)


class CompareAccounts:
    """The job that asks all sources for the same account at the same block, a wallet at a time.

    Args:
        context: says whom to ask.
        found: addresses of jetton wallets.
    """

    def __init__(self, context: Context, found: JettonWallets) -> None:
        self._context = context
        self._found = found
        self._turns: Iterator[Watched] = iter(())

    def job(self, config: Config) -> Job:
        """The job for these wallets. It begins when every target has said where it is."""
        self._turns = cycle([each for each in watched(config) if each.key.asset])
        return Job(
            Probe.COMPARE,
            Probe.COMPARE,
            tuple(self._context.sources),
            config.probe.compare_interval,
            self.plan,
            delay=2 * config.probe.interval,
        )

    def plan(self) -> Sequence[Question]:
        """The next account, where there is somebody to ask."""
        asked = planner.comparison(self._context.view.judgement)
        if asked is None:
            return ()
        account = self._address(next(self._turns))
        deadline = last_resort(self._context.config, _QUESTIONS * len(asked.targets))
        return (Question(Probe.COMPARE, partial(self._compare, account, asked), deadline),)

    async def _compare(self, account: Address, asked: Round) -> Sequence[Sample]:
        sources = self._context.sources
        of_these = [sources[name] for name in asked.targets if name in sources]
        return await compare(account, of_these, asked.seqno, wall=self._context.wall)

    def _address(self, watched: Watched) -> Address:
        """The account that holds it; the owner's own while a jetton wallet's is not known."""
        if watched.master is None:
            return watched.account
        return self._found.known(watched.account, watched.master) or watched.account
