"""Counts the payouts of wallets: when each account's transactions are walked, and from where."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from tonwatch.config.models import Config
from tonwatch.config.wallets import NATIVE
from tonwatch.payouts.checkpoints import Books, Unreadable
from tonwatch.payouts.paging import PageSource
from tonwatch.payouts.totals import count_jetton, count_native
from tonwatch.payouts.walker import BUDGET, Walk, Walked
from tonwatch.probes.source import Source
from tonwatch.runtime.scheduler import LAST_RESORT, last_resort
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.account import AccountKey
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.ton.address import Address
from tonwatch.ton.errors import Reason
from tonwatch.watch.verdicts import readable
from tonwatch.watch.wallet_verdicts import Holding, WalletVerdict

_TRIES: Final = 3
"""Times that one page may be asked for, each time with fewer transactions."""


class Counting:
    """Walks the accounts of all wallets whose payouts are to be counted.

    Args:
        config: says which.
        sources: every target, by name.
        watcher: says what each account's newest transaction is, and whom to believe.
        books: what has been counted before.
        wall: our clock, Unix seconds.
        errors: counts bugs of ours, each of which costs one account.
    """

    def __init__(
        self,
        config: Config,
        sources: Mapping[str, Source],
        watcher: Watcher,
        books: Books,
        wall: Callable[[], float],
        errors: InternalErrors,
    ) -> None:
        self._wallets = [wallet.name for wallet in config.wallets if wallet.payouts]
        self._sources = sources
        self._watcher = watcher
        self._books = books
        self._wall = wall
        self._errors = errors
        self._limit = last_resort(config, BUDGET * _TRIES * len(sources))
        self._walks: dict[AccountKey, Walk] = {}

    @property
    def deadline(self) -> float:
        """Seconds that `ask` takes at most: each account is given up by itself."""
        return LAST_RESORT + self._limit * sum(
            len(self._watcher.view.judgement.purses.wallets[name].holdings)
            for name in self._wallets
        )

    async def ask(self) -> Sequence[Walked]:
        """Count what is new, account by account."""
        judgement = self._watcher.view.judgement
        sources = [self._sources[v.target.name].transactions for v in readable(judgement)]
        if not sources:
            return ()
        counted: list[Walked] = []
        for name in self._wallets:
            wallet = judgement.purses.wallets[name]
            for key, holding in _countable(wallet):
                with self._errors.guard(Component.PAYOUTS, " ".join(key)), suppress(Unreadable):
                    async with asyncio.timeout(self._limit):
                        counted += await self._count(key, holding, wallet, sources)
        return counted

    async def _count(
        self,
        key: AccountKey,
        holding: Holding,
        wallet: WalletVerdict,
        sources: Sequence[PageSource],
    ) -> Sequence[Walked]:
        """Count what is new of one account; nothing where there is nothing to be said of it.

        Raises:
            Unreadable: nobody knows what is counted already.
        """
        reading = holding.reading
        if reading is None or reading.account is None:
            return ()
        walk = self._walks.get(key)
        if walk is None:
            walk = self._walks[key] = await self._begin(key, reading.account, wallet)
        elif _is_done(holding):
            return ()
        return (await walk.beat(reading.last, reading.amount, sources, proven=reading.proven),)

    async def _begin(self, key: AccountKey, account: Address, wallet: WalletVerdict) -> Walk:
        if key.asset == NATIVE:
            own = frozenset(_jetton_wallets(wallet))
            count = partial(count_native, jetton_wallets=own)
        else:
            count = partial(count_jetton, owner=wallet.account)
        return Walk(
            key,
            account,
            await self._books.load(key, account),
            count=count,
            save=partial(self._books.save, key, account),
            wall=self._wall,
        )


def _countable(wallet: WalletVerdict) -> Iterator[tuple[AccountKey, Holding]]:
    """The accounts that can be walked now.

    What leaves for one of the wallet's own jetton wallets is no payment in coins, so all of
    these must be known first; but one whose master is none must not hold up the others.
    """
    jettons = [holding for asset, holding in wallet.holdings.items() if asset != NATIVE]
    waiting = [h for h in jettons if h.reading is None and h.failure is not Reason.METHOD_FAILED]
    for asset, holding in wallet.holdings.items():
        if asset != NATIVE or not waiting or (holding.walked is not None):
            yield AccountKey(wallet.name, asset), holding


def _jetton_wallets(wallet: WalletVerdict) -> Iterator[Address]:
    for asset, holding in wallet.holdings.items():
        if asset != NATIVE and holding.reading is not None and holding.reading.account is not None:
            yield holding.reading.account


def _is_done(holding: Holding) -> bool:
    """Whether nothing has happened since the last beat."""
    walked, reading = holding.walked, holding.reading
    return (
        walked is not None
        and reading is not None
        and walked.ok
        and not walked.backlog
        and (reading.last is None or reading.last.lt <= walked.cursor.lt)
    )
