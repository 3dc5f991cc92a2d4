"""Walks an account's transactions: each is counted once and in order, across restarts.

A short way is one page. On a long one, after downtime, the walk first goes back to what is
counted, then comes forward chunk by chunk; each chunk is counted and saved in one step.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from tonwatch.payouts.backfill import CHUNK, Backfill
from tonwatch.payouts.checkpoints import BEGINNING, Checkpoint
from tonwatch.payouts.paging import Gone, PageSource, ask
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import PayoutProgress, Totals
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import Reason, TonError

BUDGET: Final = 32
"""Pages on one beat."""

PATIENCE: Final = 8
"""Beats in a row on which some sources must say that a place is pruned, and no other give it,
before it is given up; at once where all sources say so."""

START_OVER: Final = 240
"""Beats in a row without any page after which the way back is sought anew: the transaction it
started from may have been of a fork that is gone."""

PROGRESS: Final = 10_000
"""Transactions between two lines in the log."""


class TransactionWalker:
    """The walk along one account: one beat at a time, and any of them may be cancelled.

    Args:
        key: what the account is called.
        address: where it is.
        book: what is counted already; None to begin with the newest transaction.
        count: adds a transaction to a tally.
        save: keeps the book; where it returns False it is called again on the next beat.
        wall: our clock, Unix seconds.
        budget: pages on one beat.
        patience: see `PATIENCE`.
    """

    def __init__(
        self,
        key: AccountKey,
        address: Address,
        checkpoint: Checkpoint | None,
        *,
        count: Callable[[Totals, Transaction], Totals],
        save: Callable[[Checkpoint], Awaitable[bool]],
        wall: Callable[[], float],
        budget: int = BUDGET,
        patience: int = PATIENCE,
    ) -> None:
        self._address = address
        self._checkpoint = checkpoint
        self._count = count
        self._save = save
        self._wall = wall
        self._budget = budget
        self._patience = patience
        self._saved = True
        self._backfill: Backfill | None = None
        self._newest = checkpoint.cursor if checkpoint else BEGINNING
        self._proven = False
        self._without_page = 0
        self._gone = 0
        self._after_gap = False
        self._reason = Reason.OK
        self._seen = 0
        self._log = structlog.get_logger(__name__).bind(wallet=key.name, asset=key.asset)
        self._key = key

    @property
    def checkpoint(self) -> Checkpoint:
        """What is counted; begins with the first beat."""
        assert self._checkpoint is not None, "the first beat begins it"
        return self._checkpoint

    @property
    def backlog(self) -> int:
        """Transactions known to be not counted yet."""
        if self._checkpoint is None:
            return 0
        if self._backfill is None:
            return int(self._newest.lt > self.checkpoint.cursor.lt)
        return self._backfill.length + (self._newest.lt > self._backfill.top.lt)

    async def step(
        self,
        newest: TransactionId | None,
        amount: int | None,
        sources: Sequence[PageSource],
        *,
        proven: bool,
    ) -> PayoutProgress:
        """Count what is new, as much of it as the budget allows.

        Args:
            newest: the account's newest transaction; None where it never had one.
            amount: what the account holds after that, in smallest units.
            sources: whom to ask, the best first.
            proven: `newest` is no mere word: it can be given up where nobody has it any more.
        """
        self._proven = proven
        if self._checkpoint is None:
            self._begin(newest, amount)
        elif newest is not None:
            self._newest = newest
        if not self._saved:
            await self._keep()
        failure: TonError | None = None
        bug = ""
        try:
            await self._go(list(sources))
        except TonError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - whatever it is
            # A bug of ours must cost this account alone; its text could quote anything.
            bug = traceback.format_exc()
            failure = TonError(Reason.PROBE_FAILED, f"bug in tonwatch: {type(error).__name__}")
            # Nobody knows where it was interrupted: what is counted stands, the way does not.
            self._backfill = None
        finally:
            # Between beats thousands of accounts are held in memory, with their anchors alone.
            if self._backfill is not None:
                self._backfill.let_go()
        return replace(self._progress(failure), bug=bug)

    def _begin(self, newest: TransactionId | None, amount: int | None) -> None:
        self._newest = newest or BEGINNING
        self._checkpoint = Checkpoint(cursor=self._newest, since=int(self._wall()), opening=amount)
        self._saved = False
        self._log.info("payouts are counted from here on", lt=self._newest.lt)

    async def _go(self, sources: list[PageSource]) -> None:
        """Walk until nothing is left or the budget is spent.

        Raises:
            TonError: no source could give the next page.
        """
        if self._backfill is not None and (
            self._backfill.unseen or self._without_page >= START_OVER
        ):
            self._backfill, self._without_page = None, 0
        for _ in range(self._budget):
            if self._backfill is None:
                if self._newest.lt <= self.checkpoint.cursor.lt:
                    return
                self._backfill = Backfill(self._newest)
            if await self._look(self._backfill, sources):
                await self._keep()

    async def _look(self, backfill: Backfill, sources: list[PageSource]) -> bool:
        """Get one page; True where that moves the book.

        Raises:
            TonError: no source could give it.
        """
        self._without_page += 1
        try:
            page = await ask(sources, self._address, backfill.at)
        except Gone as gone:
            self._gone += 1
            if not self._may_skip(backfill, gone):
                raise
            self._skip(backfill)
            return True
        except TonError:
            self._gone = 0
            raise
        self._without_page = self._gone = 0
        self._log_progress(len(page))
        cursor = self.checkpoint.cursor
        for transaction in page:
            backfill.held.append(transaction)
            before = transaction.previous or BEGINNING
            if before == cursor:
                self._count_held(backfill)
                return True
            if before.lt <= cursor.lt:
                self._part(backfill)
                return True
        if len(backfill.held) >= CHUNK:
            backfill.let_go()
        return False

    def _may_skip(self, backfill: Backfill, gone: Gone) -> bool:
        patient = self._gone >= self._patience
        if backfill.unseen:
            # Of the newest transaction it is more likely that the sources are behind. And a
            # lie about it must not carry the cursor to where no transaction is ever newer.
            return patient and self._proven
        return patient or gone.unanimous

    def _skip(self, backfill: Backfill) -> None:
        """Give up what nobody has any more, and count what is held of the chunk."""
        self._without_page = self._gone = 0
        self._log.warning(
            "transactions cannot be counted: no source has them any more",
            after_lt=self.checkpoint.cursor.lt,
            to_lt=backfill.at.lt,
        )
        # A gap that is found in several steps is one gap.
        gap = not self._after_gap
        self._after_gap = True
        self._count_held(backfill, gap=gap)

    def _part(self, backfill: Backfill) -> None:
        """Count what is newer than a cursor to which history does not lead."""
        self._log.warning(
            "what was counted last is not in the account's history: the account was made anew,"
            " or the chain was another one; transactions may be missing",
            cursor_lt=self.checkpoint.cursor.lt,
            from_lt=backfill.held[-1].id.lt,
        )
        self._count_held(backfill, gap=True)

    def _count_held(self, backfill: Backfill, *, gap: bool = False) -> None:
        """Count what is held, and take the whole chunk for counted."""
        totals = self.checkpoint.totals
        for transaction in reversed(backfill.held):
            totals = self._count(totals, transaction)
        if backfill.held:
            self._after_gap = False
        if gap:
            totals = replace(
                totals, history_gaps=totals.history_gaps + 1, last_gap=int(self._wall())
            )
        self._checkpoint = replace(self.checkpoint, cursor=backfill.start, totals=totals)
        if not backfill.shorten():
            self._backfill = None

    async def _keep(self) -> None:
        # Not saved until it says so: where it is cancelled, nobody knows.
        self._saved = False
        self._saved = await self._save(self.checkpoint)

    def _log_progress(self, seen: int) -> None:
        lines = self._seen // PROGRESS
        self._seen += seen
        if self._seen // PROGRESS > lines:
            self._log.info(
                "catching up on payouts",
                counted=self.checkpoint.totals.transactions,
                backlog=self.backlog,
            )

    def _progress(self, failure: TonError | None) -> PayoutProgress:
        progress = PayoutProgress(
            key=self._key,
            finished=asyncio.get_running_loop().time(),
            totals=self.checkpoint.totals,
            cursor=self.checkpoint.cursor,
            since=self.checkpoint.since,
            opening=self.checkpoint.opening,
            backlog=self.backlog,
            reason=failure.reason if failure else Reason.OK,
            detail=failure.detail if failure else "",
        )
        if progress.reason is not self._reason:
            if progress.ok:
                self._log.info("payouts are counted again")
            else:
                self._log.warning(
                    "payouts not counted", reason=progress.reason, detail=progress.detail
                )
        self._reason = progress.reason
        if not progress.backlog:
            if self._seen >= PROGRESS:
                self._log.info("caught up on payouts", counted=progress.totals.transactions)
            self._seen = 0
        return progress
