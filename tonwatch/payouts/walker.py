"""Walks an account's transactions: each is counted once and in order, across restarts.

A short backfill is one page. A long one, after downtime, first goes back to the cursor, then
forward chunk by chunk; each chunk is counted and saved in one step.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from tonwatch.payouts.backfill import CHUNK, Backfill
from tonwatch.payouts.checkpoints import BEGINNING, Checkpoint
from tonwatch.payouts.paging import PagePruned, PageSource, read_page
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import PayoutProgress, Totals
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import Reason, TonError

BUDGET: Final = 32
"""Pages per tick."""

PATIENCE: Final = 8
"""Consecutive ticks with some sources answering that a page is pruned, and no other returning
it, after which it is skipped; at once where all sources answer so."""

START_OVER: Final = 240
"""Consecutive ticks without any page after which the backfill is restarted: the transaction it
started from may have been of a fork that is gone."""

PROGRESS: Final = 10_000
"""Transactions between two log lines."""


class TransactionWalker:
    """Walks one account's transactions, a step per tick; any step may be cancelled.

    Args:
        key: the account's key.
        address: of the account.
        checkpoint: what is counted already; None to begin with the newest transaction.
        count: adds a transaction to totals.
        save: saves the checkpoint; where it returns False it is called again at the next tick.
        wall: local clock, Unix seconds.
        budget: pages per tick.
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
        self._pruned_ticks = 0
        self._after_gap = False
        self._reason = Reason.OK
        self._read = 0
        self._log = structlog.get_logger(__name__).bind(wallet=key.name, asset=key.asset)
        self._key = key

    @property
    def checkpoint(self) -> Checkpoint:
        """What is counted; set by the first step."""
        assert self._checkpoint is not None, "set by the first step"
        return self._checkpoint

    @property
    def backlog(self) -> int:
        """Transactions known but not counted yet."""
        if self._checkpoint is None:
            return 0
        if self._backfill is None:
            return int(self._newest.lt > self.checkpoint.cursor.lt)
        return self._backfill.length + (self._newest.lt > self._backfill.top.lt)

    @property
    def is_saved(self) -> bool:
        """Whether what is counted has been saved."""
        return self._saved

    def was_lost(self) -> None:
        """What was saved is lost: save it again at the next attempt."""
        self._saved = self._checkpoint is None

    async def save_again(self) -> None:
        """Save what is counted, where the last attempt failed."""
        if not self._saved:
            await self._save_checkpoint()

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
            amount: the balance after it, in smallest units.
            sources: the best first.
            proven: whether `newest` is proven: only then may it be skipped as pruned.
        """
        self._proven = proven
        if self._checkpoint is None:
            self._begin(newest, amount)
        elif newest is not None:
            self._newest = newest
        await self.save_again()
        failure: TonError | None = None
        bug = ""
        try:
            await self._catch_up(list(sources))
        except TonError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - whatever it is
            # A bug must cost this account alone; the exception's text may have secrets.
            bug = traceback.format_exc()
            failure = TonError(Reason.PROBE_FAILED, f"bug in tonwatch: {type(error).__name__}")
            # The backfill may be inconsistent; the checkpoint is not.
            self._backfill = None
        finally:
            # Thousands of accounts are in memory between ticks: keep anchors alone.
            if self._backfill is not None:
                self._backfill.release()
        return replace(self._progress(failure), bug=bug)

    def _begin(self, newest: TransactionId | None, amount: int | None) -> None:
        self._newest = newest or BEGINNING
        self._checkpoint = Checkpoint(cursor=self._newest, since=int(self._wall()), opening=amount)
        self._saved = False
        self._log.info("payouts are counted from here on", lt=self._newest.lt)

    async def _catch_up(self, sources: list[PageSource]) -> None:
        """Read pages until all is counted or the budget is spent.

        Raises:
            TonError: no source returned the next page.
        """
        if self._backfill is not None and (
            self._backfill.is_empty or self._without_page >= START_OVER
        ):
            self._backfill, self._without_page = None, 0
        for _ in range(self._budget):
            if self._backfill is None:
                if self._newest.lt <= self.checkpoint.cursor.lt:
                    return
                self._backfill = Backfill(self._newest)
            if await self._read_page(self._backfill, sources):
                await self._save_checkpoint()

    async def _read_page(self, backfill: Backfill, sources: list[PageSource]) -> bool:
        """Read one page; True where that changes the checkpoint.

        Raises:
            TonError: no source returned it.
        """
        self._without_page += 1
        try:
            page = await read_page(sources, self._address, backfill.at)
        except PagePruned as error:
            self._pruned_ticks += 1
            if not self._may_skip(backfill, error):
                raise
            self._skip(backfill)
            return True
        except TonError:
            self._pruned_ticks = 0
            raise
        self._without_page = self._pruned_ticks = 0
        self._log_progress(len(page))
        cursor = self.checkpoint.cursor
        for transaction in page:
            backfill.held.append(transaction)
            before = transaction.previous or BEGINNING
            if before == cursor:
                self._count_held(backfill)
                return True
            if before.lt <= cursor.lt:
                self._count_unlinked(backfill)
                return True
        if len(backfill.held) >= CHUNK:
            backfill.release()
        return False

    def _may_skip(self, backfill: Backfill, error: PagePruned) -> bool:
        waited = self._pruned_ticks >= self._patience
        if backfill.is_empty:
            # For the newest transaction it is more likely that the sources lag. And a false
            # claim must not move the cursor beyond all real transactions.
            return waited and self._proven
        return waited or error.unanimous

    def _skip(self, backfill: Backfill) -> None:
        """Skip what no source has any more, and count what is held of the chunk."""
        self._without_page = self._pruned_ticks = 0
        self._log.warning(
            "transactions cannot be counted: no source has them any more",
            after_lt=self.checkpoint.cursor.lt,
            to_lt=backfill.at.lt,
        )
        # A gap that is found in several steps is one gap.
        gap = not self._after_gap
        self._after_gap = True
        self._count_held(backfill, gap=gap)

    def _count_unlinked(self, backfill: Backfill) -> None:
        """Count what is newer than the cursor, where history does not link to the cursor."""
        self._log.warning(
            "the cursor is not in the account's history: the account was deleted and created"
            " again, or the chain was another one; transactions may be missing",
            cursor_lt=self.checkpoint.cursor.lt,
            from_lt=backfill.held[-1].id.lt,
        )
        self._count_held(backfill, gap=True)

    def _count_held(self, backfill: Backfill, *, gap: bool = False) -> None:
        """Count what is held, and set the cursor to the end of the chunk."""
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
        if not backfill.drop_deepest():
            self._backfill = None

    async def _save_checkpoint(self) -> None:
        # If cancelled, it counts as not saved.
        self._saved = False
        self._saved = await self._save(self.checkpoint)

    def _log_progress(self, read: int) -> None:
        lines = self._read // PROGRESS
        self._read += read
        if self._read // PROGRESS > lines:
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
            if self._read >= PROGRESS:
                self._log.info("caught up on payouts", counted=progress.totals.transactions)
            self._read = 0
        return progress
