"""The questions about wallets and contracts, and when each is asked."""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Final

from tonwatch.config.models import Config
from tonwatch.config.wallets import NATIVE
from tonwatch.probes import balances
from tonwatch.probes.balances import JettonWallets
from tonwatch.probes.compare import compare
from tonwatch.probes.source import Source
from tonwatch.probes.write_path import write_path
from tonwatch.runtime.jobs.payouts import Counting
from tonwatch.runtime.scheduler import Job, last_resort
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.sample import Probe, Sample
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.errors import Reason, TonError
from tonwatch.watch.states import MEANINGS
from tonwatch.watch.store import Told
from tonwatch.watch.verdicts import common_seqno, readable

_BEATS: Final = 15
"""Parts into which an interval is cut, so that a thousand wallets are not read all at once."""

_AT_ONCE: Final = 32
"""Accounts that are read in one beat, however few they are."""

_RETRIES: Final = 3
"""How often within an interval an account is tried that could not be read."""

_QUESTIONS: Final = 4
"""Questions that reading one account from one source takes at most, tries again included."""

_GAS: Final = 20_000_000
"""Nanocoins with which every kind of wallet can run its checks; with 1,000,000 some cannot."""


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


def jobs(
    config: Config,
    sources: Mapping[str, Source],
    watcher: Watcher,
    *,
    wall: Callable[[], float],
) -> Iterator[Job]:
    """The jobs for `config`; none where it has no wallets and no contracts.

    Args:
        config: what to watch.
        sources: every target, by name.
        watcher: says which of them can be believed.
        wall: our clock, Unix seconds.
    """
    accounts = list(watched(config))
    if not accounts:
        return
    found = JettonWallets()
    names = tuple(sources)
    probe = config.probe
    rota = Rota(accounts, probe.wallet_interval)
    beat = probe.wallet_interval / _BEATS
    read = partial(_read, rota, sources, found, watcher, wall)
    account = _QUESTIONS * len(sources)
    limit = last_resort(config, rota.limit * account)
    yield Job(names, Probe.BALANCE, beat, read, delay=beat, deadline=limit)
    if config.wallets:
        held = [each for each in accounts if each.key.asset]
        ask = partial(_compare, cycle(held), sources, found, watcher, wall)
        # As the fork round: when every target has been asked where it is.
        yield Job(
            names,
            Probe.COMPARE,
            probe.compare_interval,
            ask,
            delay=2 * probe.interval,
            deadline=last_resort(config, account),
        )
    writers = [wallet.name for wallet in config.wallets if wallet.write_probe]
    if writers:
        for name, source in sources.items():
            send = Paced(source, writers, watcher, probe.write_interval, wall).ask
            limit = last_resort(config, _QUESTIONS)
            yield Job((name,), Probe.WRITE, probe.interval, send, deadline=limit)


def counting(config: Config, counting: Counting) -> Job:
    """The job that counts payouts."""
    beat = config.probe.wallet_interval / _BEATS
    return Job((), Probe.PAYOUTS, beat, counting.ask, delay=beat, deadline=counting.deadline)


class Rota:
    """Which accounts are due to be read.

    Args:
        accounts: all of them.
        interval: seconds between two readings of each.

    Attributes:
        limit: accounts that are read at one time.
    """

    def __init__(self, accounts: Sequence[Watched], interval: float) -> None:
        self._accounts = {watched.key: watched for watched in accounts}
        self._due = dict.fromkeys(self._accounts, -math.inf)
        self._interval = interval
        self.limit = max(_AT_ONCE, 2 * math.ceil(len(accounts) / _BEATS))

    def due(self, now: float) -> list[Watched]:
        """Those that are due at `now`, the longest waiting first, as many as one beat may take."""
        waiting = [key for key, due in self._due.items() if due <= now]
        waiting.sort(key=self._due.__getitem__)
        return [self._accounts[key] for key in waiting[: self.limit]]

    def done(self, readings: Sequence[Reading], now: float) -> None:
        """Note what has been read; what failed is due again sooner."""
        for reading in readings:
            wait = self._interval if reading.ok else self._interval / _RETRIES
            self._due[reading.key] = now + wait


async def _read(
    rota: Rota,
    sources: Mapping[str, Source],
    found: JettonWallets,
    watcher: Watcher,
    wall: Callable[[], float],
) -> Sequence[Told]:
    """Read what is due from the best sources there are."""
    now = asyncio.get_running_loop().time()
    order = [sources[verdict.target.name] for verdict in readable(watcher.view.judgement)]
    due = rota.due(now)
    if not due or not order:
        return ()
    batch = await balances.read(due, order, found, wall=wall)
    rota.done(batch.readings, now)
    return (*batch.readings, *batch.samples)


async def _compare(
    held: Iterator[Watched],
    sources: Mapping[str, Source],
    found: JettonWallets,
    watcher: Watcher,
    wall: Callable[[], float],
) -> Sequence[Sample]:
    """Ask all sources for the next account in turn."""
    judgement = watcher.view.judgement
    asked = [v for v in judgement.verdicts.values() if v.up and MEANINGS[v.state].compared]
    seqnos = [v.head.shard_client_seqno or v.head.seqno for v in asked if v.head is not None]
    common = common_seqno(judgement)
    if not seqnos:
        return ()
    seqno = min(seqnos if common is None else [common, *seqnos])
    account = _address(next(held), found)
    names = [verdict.target.name for verdict in asked]
    return await compare(account, [sources[name] for name in names], seqno, wall=wall)


def _address(watched: Watched, found: JettonWallets) -> Address:
    """The account that holds it; the owner's own while a jetton wallet's is not known."""
    if watched.master is None:
        return watched.account
    return found.known(watched.account, watched.master) or watched.account


class Paced:
    """Sends one target messages that wallets must refuse, never more often than told.

    Args:
        source: the target.
        wallets: names of the wallets that take turns.
        watcher: says which of them are deployed, and how the target stands.
        interval: least seconds between two messages.
        wall: our clock, Unix seconds.
    """

    def __init__(
        self,
        source: Source,
        wallets: Sequence[str],
        watcher: Watcher,
        interval: float,
        wall: Callable[[], float],
    ) -> None:
        self._source = source
        self._wallets = cycle(wallets)
        self._turns = len(wallets)
        self._watcher = watcher
        self._interval = interval
        self._wall = wall
        self._next = -math.inf

    async def ask(self) -> Sequence[Sample]:
        """Send a message where it is time for one and somebody can be sent one."""
        now = asyncio.get_running_loop().time()
        judgement = self._watcher.view.judgement
        verdict = judgement.verdicts[self._source.name]
        if now < self._next or not verdict.up or not MEANINGS[verdict.state].messages:
            return ()
        for _ in range(self._turns):
            wallet = judgement.purses.wallets[next(self._wallets)]
            reading = wallet.reading
            if (
                reading is not None
                and reading.kind is not None
                and reading.status is AccountStatus.ACTIVE
                and (reading.amount or 0) >= _GAS
            ):
                self._next = now + self._interval
                sent = await write_path(self._source, wallet.account, reading.kind, wall=self._wall)
                refused = sent.reason is Reason.MESSAGE_REJECTED
                return () if refused and await self._is_excused(wallet.account) else (sent,)
        return ()

    async def _is_excused(self, wallet: Address) -> bool:
        """Whether the wallet cannot answer any more: frozen or empty since it was read last."""
        with suppress(TonError):
            account = (await (await self._source.reader()).account(wallet)).account
            return account.status is not AccountStatus.ACTIVE or account.balance < _GAS
        return False
