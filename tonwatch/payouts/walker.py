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

from tonwatch.payouts.backfill import CHUNK, Way
from tonwatch.payouts.checkpoints import BEGINNING, Book
from tonwatch.payouts.paging import Gone, PageSource, ask
from tonwatch.samples.account import AccountKey
from tonwatch.samples.payouts import Tally, Walked
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


class Walk:
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
        book: Book | None,
        *,
        count: Callable[[Tally, Transaction], Tally],
        save: Callable[[Book], Awaitable[bool]],
        wall: Callable[[], float],
        budget: int = BUDGET,
        patience: int = PATIENCE,
    ) -> None:
        self._address = address
        self._book = book
        self._count = count
        self._save = save
        self._wall = wall
        self._budget = budget
        self._patience = patience
        self._saved = True
        self._way: Way | None = None
        self._newest = book.cursor if book else BEGINNING
        self._proven = False
        self._without_page = 0
        self._gone = 0
        self._after_gap = False
        self._reason = Reason.OK
        self._seen = 0
        self._log = structlog.get_logger(__name__).bind(wallet=key.name, asset=key.asset)
        self._key = key

    @property
    def book(self) -> Book:
        """What is counted; begins with the first beat."""
        assert self._book is not None, "the first beat begins it"
        return self._book

    @property
    def backlog(self) -> int:
        """Transactions known to be not counted yet."""
        if self._book is None:
            return 0
        if self._way is None:
            return int(self._newest.lt > self.book.cursor.lt)
        return self._way.length + (self._newest.lt > self._way.top.lt)

    async def beat(
        self,
        newest: TransactionId | None,
        amount: int | None,
        sources: Sequence[PageSource],
        *,
        proven: bool,
    ) -> Walked:
        """Count what is new, as much of it as the budget allows.

        Args:
            newest: the account's newest transaction; None where it never had one.
            amount: what the account holds after that, in smallest units.
            sources: whom to ask, the best first.
            proven: `newest` is no mere word: it can be given up where nobody has it any more.
        """
        self._proven = proven
        if self._book is None:
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
            self._way = None
        finally:
            # Between beats thousands of accounts are held in memory, with their anchors alone.
            if self._way is not None:
                self._way.let_go()
        return replace(self._walked(failure), bug=bug)

    def _begin(self, newest: TransactionId | None, amount: int | None) -> None:
        self._newest = newest or BEGINNING
        self._book = Book(cursor=self._newest, since=int(self._wall()), opening=amount)
        self._saved = False
        self._log.info("payouts are counted from here on", lt=self._newest.lt)

    async def _go(self, sources: list[PageSource]) -> None:
        """Walk until nothing is left or the budget is spent.

        Raises:
            TonError: no source could give the next page.
        """
        if self._way is not None and (self._way.unseen or self._without_page >= START_OVER):
            self._way, self._without_page = None, 0
        for _ in range(self._budget):
            if self._way is None:
                if self._newest.lt <= self.book.cursor.lt:
                    return
                self._way = Way(self._newest)
            if await self._look(self._way, sources):
                await self._keep()

    async def _look(self, way: Way, sources: list[PageSource]) -> bool:
        """Get one page; True where that moves the book.

        Raises:
            TonError: no source could give it.
        """
        self._without_page += 1
        try:
            page = await ask(sources, self._address, way.at)
        except Gone as gone:
            self._gone += 1
            if not self._may_skip(way, gone):
                raise
            self._skip(way)
            return True
        except TonError:
            self._gone = 0
            raise
        self._without_page = self._gone = 0
        self._progress(len(page))
        cursor = self.book.cursor
        for transaction in page:
            way.held.append(transaction)
            before = transaction.previous or BEGINNING
            if before == cursor:
                self._count_held(way)
                return True
            if before.lt <= cursor.lt:
                self._part(way)
                return True
        if len(way.held) >= CHUNK:
            way.let_go()
        return False

    def _may_skip(self, way: Way, gone: Gone) -> bool:
        patient = self._gone >= self._patience
        if way.unseen:
            # Of the newest transaction it is more likely that the sources are behind. And a
            # lie about it must not carry the cursor to where no transaction is ever newer.
            return patient and self._proven
        return patient or gone.unanimous

    def _skip(self, way: Way) -> None:
        """Give up what nobody has any more, and count what is held of the chunk."""
        self._without_page = self._gone = 0
        self._log.warning(
            "transactions cannot be counted: no source has them any more",
            after_lt=self.book.cursor.lt,
            to_lt=way.at.lt,
        )
        # A gap that is found in several steps is one gap.
        gap = not self._after_gap
        self._after_gap = True
        self._count_held(way, gap=gap)

    def _part(self, way: Way) -> None:
        """Count what is newer than a cursor to which history does not lead."""
        self._log.warning(
            "what was counted last is not in the account's history: the account was made anew,"
            " or the chain was another one; transactions may be missing",
            cursor_lt=self.book.cursor.lt,
            from_lt=way.held[-1].id.lt,
        )
        self._count_held(way, gap=True)

    def _count_held(self, way: Way, *, gap: bool = False) -> None:
        """Count what is held, and take the whole chunk for counted."""
        tally = self.book.tally
        for transaction in reversed(way.held):
            tally = self._count(tally, transaction)
        if way.held:
            self._after_gap = False
        if gap:
            tally = replace(tally, gaps=tally.gaps + 1, last_gap=int(self._wall()))
        self._book = replace(self.book, cursor=way.start, tally=tally)
        if not way.shorten():
            self._way = None

    async def _keep(self) -> None:
        # Not saved until it says so: where it is cancelled, nobody knows.
        self._saved = False
        self._saved = await self._save(self.book)

    def _progress(self, seen: int) -> None:
        lines = self._seen // PROGRESS
        self._seen += seen
        if self._seen // PROGRESS > lines:
            self._log.info(
                "catching up on payouts",
                counted=self.book.tally.transactions,
                backlog=self.backlog,
            )

    def _walked(self, failure: TonError | None) -> Walked:
        walked = Walked(
            key=self._key,
            finished=asyncio.get_running_loop().time(),
            tally=self.book.tally,
            cursor=self.book.cursor,
            since=self.book.since,
            opening=self.book.opening,
            backlog=self.backlog,
            reason=failure.reason if failure else Reason.OK,
            detail=failure.detail if failure else "",
        )
        if walked.reason is not self._reason:
            if walked.ok:
                self._log.info("payouts are counted again")
            else:
                self._log.warning("payouts not counted", reason=walked.reason, detail=walked.detail)
        self._reason = walked.reason
        if not walked.backlog:
            if self._seen >= PROGRESS:
                self._log.info("caught up on payouts", counted=walked.tally.transactions)
            self._seen = 0
        return walked
