"""The protocol to read accounts and send messages, the same for any kind of target."""

from collections.abc import Sequence
from typing import Protocol

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId


class Reader(Protocol):
    """Reads accounts at one block, where the source supports choosing it.

    Every method raises `TonError`.

    Attributes:
        at_once: maximum of concurrent queries.
    """

    at_once: int

    async def account(self, address: Address) -> AccountAt: ...

    async def run_method(
        self, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult: ...


class Source(Protocol):
    """A target that accounts can be read from. Every method raises `TonError`.

    Attributes:
        name: its configured name.
        proves: its answers have Merkle proofs.
    """

    name: str
    proves: bool

    async def reader(self, seqno: int | None = None) -> Reader:
        """Open a reader.

        Args:
            seqno: of the masterchain block to read at; None for the newest.

        Raises:
            TonError: it cannot be reached, or does not have that block.
        """
        ...

    async def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        """Up to `count` of an account's transactions from `last` backwards, newest first."""
        ...

    async def send_message(self, message: bytes) -> None:
        """Send an external message, a bag of cells; returns where it was accepted."""
        ...
