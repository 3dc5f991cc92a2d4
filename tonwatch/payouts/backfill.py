"""Backfill of an account's history in bounded memory.

Transactions link backwards, but are counted forwards. So a backfill keeps anchors: where each
chunk of history starts. Only the transactions of the deepest chunk are held in memory.
"""

from typing import Final, NamedTuple

from tonwatch.payouts.checkpoints import BEGINNING
from tonwatch.payouts.paging import PAGE
from tonwatch.ton.contracts.transactions import Transaction, TransactionId

CHUNK: Final = 16 * PAGE
"""Transactions in memory at a time, up to a page more."""

MAX_ANCHORS: Final = 4096
"""Anchors kept at a time: one for each chunk of a million transactions; beyond, chunks grow."""


class _Anchor(NamedTuple):
    """Where a chunk starts, and how many transactions it is known to have."""

    id: TransactionId
    size: int


class Backfill:
    """From `top` backwards to the cursor.

    Attributes:
        held: transactions of the deepest chunk read so far, newest first.
    """

    __slots__ = ("_anchors", "held")

    def __init__(self, top: TransactionId) -> None:
        self._anchors = [_Anchor(top, 0)]
        self.held: list[Transaction] = []

    @property
    def top(self) -> TransactionId:
        """Where it starts."""
        return self._anchors[0].id

    @property
    def start(self) -> TransactionId:
        """The newest transaction of the deepest chunk."""
        return self._anchors[-1].id

    @property
    def at(self) -> TransactionId:
        """The next transaction to read."""
        return (self.held[-1].previous or BEGINNING) if self.held else self.start

    @property
    def is_empty(self) -> bool:
        """Whether not even `top` has been read."""
        return not self.held and len(self._anchors) == 1 and not self._anchors[0].size

    @property
    def length(self) -> int:
        """Transactions that it is known to have, at least one."""
        *above, deepest = self._anchors
        return sum([anchor.size for anchor in above]) + max(deepest.size, len(self.held), 1)

    def release(self) -> None:
        """Drop `held`; the unread rest of the chunk becomes a chunk of its own."""
        if not self.held:
            return
        start, size = self._anchors.pop()
        read = len(self.held)
        self._anchors += [_Anchor(start, read), _Anchor(self.at, max(0, size - read))]
        self.held = []
        if len(self._anchors) > MAX_ANCHORS:
            self._merge_smallest()

    def drop_deepest(self) -> bool:
        """Drop the deepest chunk; False where it was the last."""
        self.held = []
        self._anchors.pop()
        return bool(self._anchors)

    def _merge_smallest(self) -> None:
        """Merge the two smallest neighbouring chunks, but not the deepest."""
        anchors = self._anchors
        size, index = min(
            (anchors[index].size + anchors[index + 1].size, index)
            for index in range(len(anchors) - 2)
        )
        anchors[index : index + 2] = [_Anchor(anchors[index].id, size)]
