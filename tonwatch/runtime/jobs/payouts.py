"""Counts the payouts of wallets: when each account's transactions are walked, and from where."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from tonwatch.config.models import Config
from tonwatch.config.wallets import NATIVE
from tonwatch.payouts.checkpoints import Checkpoints, Unreadable
from tonwatch.payouts.paging import PageSource
from tonwatch.payouts.totals import count_jetton, count_native
from tonwatch.payouts.walker import BUDGET, TransactionWalker
from tonwatch.runtime.jobs.accounts import TICKS
from tonwatch.runtime.jobs.context import Context
from tonwatch.runtime.scheduler import Job, Question, last_resort
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import PayoutProgress, Totals
from tonwatch.samples.sample import Probe
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import Transaction
from tonwatch.watch import planner
from tonwatch.watch.planner import Account
from tonwatch.watch.wallet_verdicts import WalletVerdict

AT_ONCE: Final = 4
"""Accounts that are walked at a time: one that is stuck does not hold up the others."""

_TRIES: Final = 3
"""Times that one page may be asked for, each time with fewer transactions."""


Count = Callable[[Totals, Transaction], Totals]
"""Adds a transaction to totals."""


class CountPayouts:
    """The job that walks the accounts of all wallets whose payouts are to be counted.

    Args:
        context: says what each account's newest transaction is, and whom to believe.
        checkpoints: what has been counted before, and where it is kept.
    """

    def __init__(self, context: Context, checkpoints: Checkpoints) -> None:
        self._context = context
        self.checkpoints = checkpoints
        self._walkers: dict[AccountKey, TransactionWalker] = {}

    def followed(self, wallets: Collection[str]) -> "CountPayouts":
        """The job that follows this one, where the walks of these wallets go on."""
        after = CountPayouts(self._context, self.checkpoints)
        after._walkers = {
            key: walker for key, walker in self._walkers.items() if key.name in wallets
        }
        return after

    def job(self, config: Config) -> Job:
        """The job that counts."""
        tick = config.probe.wallet_interval / TICKS
        return Job(Probe.PAYOUTS, Probe.PAYOUTS, (), tick, self.plan, delay=tick, at_once=AT_ONCE)

    def plan(self) -> Sequence[Question]:
        """Every account that has transactions which are not counted."""
        judgement, config = self._context.view.judgement, self._context.config
        best = planner.readable(judgement)
        of_all = self._context.sources
        sources = [of_all[v.target.name] for v in best if v.target.name in of_all]
        if not sources:
            return ()
        deadline = last_resort(config, AT_ONCE * BUDGET * _TRIES * len(of_all))
        pages = [source.transactions for source in sources]
        return [
            Question(
                f"{Probe.PAYOUTS} {' '.join(account.key)}",
                partial(self._count, account, pages),
                deadline,
            )
            for wallet in config.wallets
            if wallet.payouts and wallet.name in judgement.wallet_status.wallets
            for account in planner.uncounted(judgement.wallet_status.wallets[wallet.name])
        ]

    async def _count(
        self, account: Account, sources: Sequence[PageSource]
    ) -> Sequence[PayoutProgress]:
        """Count what is new of one account; nothing where what is counted already is not known."""
        reading = account.holding.reading
        if reading is None:
            return ()
        with suppress(Unreadable):
            walker = await self._walker(account)
            return (
                await walker.step(reading.last, reading.amount, sources, proven=reading.proven),
            )
        return ()

    async def _walker(self, account: Account) -> TransactionWalker:
        """The walk of an account, begun where it was left.

        Raises:
            Unreadable: what is counted already is not known for now.
        """
        key, address = account.key, account.address
        walker = self._walkers.get(key)
        if walker is None:
            walker = self._walkers[key] = TransactionWalker(
                key,
                address,
                await self.checkpoints.load(key, address),
                count=_count_of(account),
                save=partial(self.checkpoints.save, key, address),
                wall=self._context.wall,
            )
        return walker


def _count_of(account: Account) -> Count:
    if account.key.asset == NATIVE:
        own = frozenset(_jetton_wallets(account.wallet))
        return partial(count_native, jetton_wallets=own)
    return partial(count_jetton, owner=account.wallet.account)


def _jetton_wallets(wallet: WalletVerdict) -> Iterator[Address]:
    for asset, holding in wallet.holdings.items():
        if asset != NATIVE and holding.reading is not None and holding.reading.account is not None:
            yield holding.reading.account
