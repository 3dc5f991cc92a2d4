"""One page of an account's transactions, from the first source that has it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import BadAnswer, ProofInvalid, Reason, TonError

PAGE: Final = 16
"""Transactions per page: a liteserver's maximum."""

PageSource = Callable[[Address, TransactionId, int], Awaitable[list[Transaction]]]
"""Returns up to so many transactions from this one backwards, newest first; raises `TonError`."""


class PagePruned(TonError):
    """No source has the page, and some have pruned it; `unanimous` where all have."""

    def __init__(self, detail: str, *, unanimous: bool) -> None:
        self.unanimous = unanimous
        super().__init__(Reason.PRUNED, detail)


async def read_page(
    sources: list[PageSource], address: Address, at: TransactionId
) -> list[Transaction]:
    """The transactions from `at` backwards, newest first: at least one, at most `PAGE`.

    Args:
        sources: the best first. One that has what others have pruned is moved to the front,
            where the next pages are requested from it first.
        address: the account.
        at: the newest transaction of the page.

    Raises:
        PagePruned: some sources have pruned it, and no other returned it.
        TonError: no source returned it, and none has pruned it.
    """
    pruned: TonError | None = None
    failure: TonError | None = None
    for source in sources:
        try:
            page = await _page_from(source, address, at)
        except TonError as error:
            if error.reason is Reason.PRUNED:
                pruned = pruned or error
            else:
                failure = failure or error
        else:
            if pruned is not None:
                sources.remove(source)
                sources.insert(0, source)
            return page
    if pruned is None:
        raise failure or TonError(Reason.NOT_READY, "no source available")
    others = f"; not every source answered: {failure.detail}" if failure else ""
    raise PagePruned(f"{pruned.detail}{others}", unanimous=failure is None)


async def _page_from(source: PageSource, address: Address, at: TransactionId) -> list[Transaction]:
    count = PAGE
    while True:
        try:
            page = await source(address, at, count)
        except TonError as error:
            if error.reason is not Reason.ANSWER_TOO_LARGE or count == 1:
                raise
            count //= 4
        else:
            _check_links(page, address, at)
            return page


def _check_links(page: Sequence[Transaction], address: Address, at: TransactionId) -> None:
    """Check that the page starts with `at`, and that each transaction links to the next one.

    Raises:
        BadAnswer: there is none, or one of another account.
        ProofInvalid: a link does not match.
    """
    if not 1 <= len(page) <= PAGE:
        raise BadAnswer(f"{len(page)} transactions where 1 to {PAGE} were asked for")
    expected: TransactionId | None = at
    for transaction in page:
        if transaction.id != expected:
            raise ProofInvalid("a transaction is not the one that is linked to")
        if transaction.account != address.hash:
            raise BadAnswer("a transaction of another account")
        expected = transaction.previous
        if expected is not None and expected.lt >= transaction.id.lt:
            raise ProofInvalid("a transaction links to a later one")
