"""The transactions of a simulated chain; they are kept longer than their blocks."""

from typing import Final, NamedTuple

from tonwatch.simulator.chain.block_layout import BASECHAIN, BlockId
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.transactions import TransactionId

TRANSACTIONS: Final = 200_000
"""Transactions of all accounts that are kept."""


class SimTransaction(NamedTuple):
    """An archived transaction.

    Attributes:
        cell: ``Transaction``.
        previous: the account's previous transaction; None for its first.
        time: of its block, Unix seconds.
        block: the basechain block that it is in.
    """

    cell: Cell
    id: TransactionId
    previous: TransactionId | None
    time: int
    block: BlockId


class Archive:
    """Transactions by account and logical time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, int], SimTransaction] = {}

    def add(self, address: Address, transaction: SimTransaction) -> None:
        """Archive a transaction; drops the oldest where there are too many."""
        self._kept[address.hash, transaction.id.lt] = transaction
        if len(self._kept) > TRANSACTIONS:
            del self._kept[next(iter(self._kept))]

    def rewind(self, seqno: int) -> None:
        """Forget the transactions of later blocks than `seqno`."""
        self._kept = {key: each for key, each in self._kept.items() if each.block.seqno <= seqno}

    def read(self, address: Address, last: TransactionId, count: int) -> list[SimTransaction]:
        """As `WorldProtocol.transactions`."""
        found: list[SimTransaction] = []
        wanted: TransactionId | None = last
        while wanted is not None and len(found) < count:
            transaction = self._kept.get((address.hash, wanted.lt))
            if transaction is None or address.workchain != BASECHAIN:
                if found:
                    break
                raise KeyError(wanted.lt)
            if transaction.id != wanted:
                raise ValueError("transaction hash mismatch")
            found.append(transaction)
            wanted = transaction.previous
        return found
