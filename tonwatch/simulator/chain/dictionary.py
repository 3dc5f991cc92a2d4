"""The dictionary of a shard's accounts: a tree whose versions share all that did not change.

A change makes new nodes on the way to it and a new root; older roots stay as they are, so
that every block keeps its own accounts at the cost of what happened in it.

Source: ``HashmapAug`` and ``ShardAccounts`` in the node's ``crypto/block/block.tlb``; labels
are chosen as ``append_dict_label`` in its ``crypto/vm/dict.cpp`` does.
"""

from typing import Final, Generic, Protocol, TypeVar

from tonwatch.simulator.chain.cell_builder import Writer
from tonwatch.simulator.chain.merkle import Keep
from tonwatch.ton.cells import Cell

_KEY_BITS: Final = 256


class Item(Protocol):
    """What a key leads to.

    Attributes:
        balance: nanocoins; forks sum them up.
        cell: the one reference of its value.
        entry: the value's bits.
    """

    @property
    def balance(self) -> int: ...
    @property
    def cell(self) -> Cell: ...
    @property
    def entry(self) -> bytes: ...


ItemT = TypeVar("ItemT", bound=Item)


class Edge(Generic[ItemT]):
    """Some bits that keys have in common, and what is behind them: an item, or a fork.

    Args:
        label: these bits as a number.
        bits: how many there are.
        left: bits of a key from here on, these included.
        end: the item, or what is behind a further bit 0 and behind a further bit 1.

    Attributes:
        total: nanocoins of all items behind.
        cell: all of it.
    """

    __slots__ = ("bits", "cell", "end", "label", "total")

    def __init__(
        self, label: int, bits: int, left: int, end: "ItemT | tuple[Edge[ItemT], Edge[ItemT]]"
    ) -> None:
        self.label = label
        self.bits = bits
        self.end = end
        writer = Writer()
        _write_label(writer, label, bits, left)
        writer.uint(0, 5)  # how deep the shard is going to be split
        if isinstance(end, tuple):
            self.total: int = end[0].total + end[1].total
            writer.currencies(self.total).ref(end[0].cell).ref(end[1].cell)
        else:
            self.total = end.balance
            writer.currencies(self.total).ref(end.cell).take(end.entry)
        self.cell: Cell = writer.cell()


def put(root: Edge[ItemT] | None, key: bytes, item: ItemT) -> Edge[ItemT]:
    """The dictionary with `item` under `key`; `root` stays as it is."""
    number = int.from_bytes(key, "big")
    return Edge(number, _KEY_BITS, _KEY_BITS, item) if root is None else _put(root, number, item)


def get(root: Edge[ItemT] | None, key: bytes) -> ItemT | None:
    """What is under `key`."""
    number, left, edge = int.from_bytes(key, "big"), _KEY_BITS, root
    while edge is not None:
        left -= edge.bits
        if number >> left & (1 << edge.bits) - 1 != edge.label:
            break
        if not isinstance(edge.end, tuple):
            return edge.end
        left -= 1
        edge = edge.end[number >> left & 1]
    return None


def way(root: Edge[ItemT] | None, key: bytes) -> Keep:
    """What a proof keeps below the root's cell to show what is under `key`, or that nothing is."""
    turns = []
    number, left, edge = int.from_bytes(key, "big"), _KEY_BITS, root
    while edge is not None:
        left -= edge.bits
        if number >> left & (1 << edge.bits) - 1 != edge.label or not isinstance(edge.end, tuple):
            break
        left -= 1
        turns.append(number >> left & 1)
        edge = edge.end[turns[-1]]
    keep = Keep()
    for turn in reversed(turns):
        keep = Keep({turn: keep})
    return keep


def _put(edge: Edge[ItemT], number: int, item: ItemT, left: int = _KEY_BITS) -> Edge[ItemT]:
    """As `put` for the last `left` bits of a key."""
    label, bits, end = edge.label, edge.bits, edge.end
    start = number >> left - bits
    if start != label:
        bits = edge.bits - (start ^ label).bit_length()
        behind = left - bits - 1
        rest = edge.bits - bits - 1
        old = Edge(label & (1 << rest) - 1, rest, behind, end)
        new: Edge[ItemT] = Edge(number & (1 << behind) - 1, behind, behind, item)
        turn = number >> behind & 1
        return Edge(label >> rest + 1, bits, left, (old, new) if turn else (new, old))
    if not isinstance(end, tuple):
        return Edge(label, bits, left, item)
    behind = left - bits - 1
    turn = number >> behind & 1
    changed = _put(end[turn], number & (1 << behind) - 1, item, behind)
    return Edge(label, bits, left, (end[0], changed) if turn else (changed, end[1]))


def _write_label(writer: Writer, label: int, bits: int, left: int) -> None:
    length = left.bit_length()
    if label in {0, (1 << bits) - 1} and bits > 1 and length < 2 * bits - 1:
        # hml_same$11: one bit, and how often.
        writer.uint(0b110 | label & 1, 3).uint(bits, length)
    elif length < bits:
        # hml_long$10: the length, then the bits.
        writer.uint(0b10, 2).uint(bits, length).uint(label, bits)
    else:
        # hml_short$0: the length in unary, then the bits.
        writer.uint((1 << bits + 1) - 2, bits + 2).uint(label, bits)


def hashmap(cells: list[tuple[int, Cell]], bits: int) -> Cell:
    """A plain ``Hashmap`` of references, not empty: keys of so many bits, in rising order."""
    first, last = cells[0][0], cells[-1][0]
    common = bits - (first ^ last).bit_length()
    writer = Writer()
    _write_label(writer, first >> bits - common, common, bits)
    if common == bits:
        return writer.ref(cells[0][1]).cell()
    behind = bits - common - 1
    mask = (1 << behind) - 1
    for turn in (0, 1):
        half = [(key & mask, cell) for key, cell in cells if key >> behind & 1 == turn]
        writer.ref(hashmap(half, behind))
    return writer.cell()
