"""Counts the payouts of wallets: which accounts' transactions are read, and from which sources."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from tonwatch.config.models import Config
from tonwatch.config.wallets import NATIVE
from tonwatch.payouts.checkpoints import Checkpoints
from tonwatch.payouts.paging import PageSource
from tonwatch.payouts.totals import count_jetton, count_native
from tonwatch.payouts.walker import BUDGET, TransactionWalker
from tonwatch.runtime.jobs.accounts import TICKS
from tonwatch.runtime.jobs.context import Context
from tonwatch.runtime.scheduler import Job, Question, last_resort
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import PayoutProgress, Totals
from tonwatch.samples.sample import Probe
from tonwatch.state.store import Unreadable
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import Transaction
from tonwatch.watch import planner
from tonwatch.watch.planner import Account
from tonwatch.watch.wallet_verdicts import WalletVerdict

AT_ONCE: Final = 4
"""Concurrent accounts: one that is stuck does not delay the others."""

_TRIES: Final = 3
"""Attempts to read one page, each with fewer transactions."""


Count = Callable[[Totals, Transaction], Totals]
"""Adds a transaction to totals."""


class CountPayouts:
    """The job that counts the payouts of all wallets with `payouts`.

    Args:
        context: has the newest transactions, and the sources.
        checkpoints: load and save the progress.
    """

    def __init__(self, context: Context, checkpoints: Checkpoints) -> None:
        self._context = context
        self.checkpoints = checkpoints
        self._walkers: dict[AccountKey, TransactionWalker] = {}

    def successor(self, wallets: Collection[str]) -> "CountPayouts":
        """A new job that keeps the walkers of these wallets."""
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
        """Every account with uncounted transactions, or with totals that could not be saved."""
        if self.checkpoints.were_lost():
            for walker in self._walkers.values():
                walker.was_lost()
        planned = {question.name: question for question in self._counted()}
        for key, walker in self._walkers.items():
            name = _title(key)
            if not walker.is_saved and name not in planned:
                planned[name] = Question(name, partial(self._save_again, walker))
        return list(planned.values())

    def _counted(self) -> Iterator[Question]:
        judgement, config = self._context.view.judgement, self._context.config
        best = planner.readable(judgement)
        by_name = self._context.sources
        sources = [by_name[v.target.name] for v in best if v.target.name in by_name]
        if not sources:
            return
        deadline = last_resort(config, AT_ONCE * BUDGET * _TRIES * len(by_name))
        pages = [source.transactions for source in sources]
        for wallet in config.wallets:
            if wallet.payouts and wallet.name in judgement.wallet_status.wallets:
                for account in planner.uncounted(judgement.wallet_status.wallets[wallet.name]):
                    ask = partial(self._count, account, pages)
                    yield Question(_title(account.key), ask, deadline)

    @staticmethod
    async def _save_again(walker: TransactionWalker) -> Sequence[PayoutProgress]:
        await walker.save_again()
        return ()

    async def _count(
        self, account: Account, sources: Sequence[PageSource]
    ) -> Sequence[PayoutProgress]:
        """Count an account's new transactions; nothing where its checkpoint cannot be read."""
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
        """An account's walker, starting at its checkpoint.

        Raises:
            Unreadable: the checkpoint cannot be read for now.
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


def _title(key: AccountKey) -> str:
    return f"{Probe.PAYOUTS} {' '.join(key)}"


def _count_of(account: Account) -> Count:
    if account.key.asset == NATIVE:
        own = frozenset(_jetton_wallets(account.wallet))
        return partial(count_native, jetton_wallets=own)
    return partial(count_jetton, owner=account.wallet.account)


def _jetton_wallets(wallet: WalletVerdict) -> Iterator[Address]:
    for holding in wallet.holdings.values():
        reading = holding.reading
        if holding.is_jetton and reading is not None and reading.account is not None:
            yield reading.account
