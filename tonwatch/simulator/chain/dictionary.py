"""The dictionary of a shard's accounts: a persistent tree.

A change makes new nodes from the changed item up to a new root and shares all others. So every
block keeps its own accounts at the cost of what it has changed.

Source: ``HashmapAug`` and ``ShardAccounts`` in the node's ``crypto/block/block.tlb``; labels
are chosen as ``append_dict_label`` in its ``crypto/vm/dict.cpp`` does.
"""

from typing import Final, Generic, Protocol, TypeVar

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.chain.merkle import Keep
from tonwatch.ton.cells.cell import Cell

_KEY_BITS: Final = 256


class Item(Protocol):
    """The value of a key.

    Attributes:
        balance: nanocoins; forks have the sum.
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
    """The bits that some keys have in common, then an item or a fork.

    Args:
        label: these bits as a number.
        bits: how many there are.
        left: bits of a key from here on, those of the label included.
        end: the item, or the edges after a further bit 0 and 1.

    Attributes:
        total: nanocoins of all items below.
        cell: the edge and all below it.
    """

    __slots__ = ("bits", "cell", "end", "label", "total")

    def __init__(
        self, label: int, bits: int, left: int, end: "ItemT | tuple[Edge[ItemT], Edge[ItemT]]"
    ) -> None:
        self.label = label
        self.bits = bits
        self.end = end
        builder = CellBuilder()
        _write_label(builder, label, bits, left)
        builder.uint(0, 5)  # split_depth
        if isinstance(end, tuple):
            self.total: int = end[0].total + end[1].total
            builder.currencies(self.total).ref(end[0].cell).ref(end[1].cell)
        else:
            self.total = end.balance
            builder.currencies(self.total).ref(end.cell).take(end.entry)
        self.cell: Cell = builder.cell()


def put(root: Edge[ItemT] | None, key: bytes, item: ItemT) -> Edge[ItemT]:
    """The dictionary with `item` under `key`; `root` stays as it is."""
    number = int.from_bytes(key, "big")
    return Edge(number, _KEY_BITS, _KEY_BITS, item) if root is None else _put(root, number, item)


def get(root: Edge[ItemT] | None, key: bytes) -> ItemT | None:
    """The item of a key; None if there is none."""
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


def proof_path(root: Edge[ItemT] | None, key: bytes) -> Keep:
    """What a proof keeps of the root's cell to prove an item, or that there is none."""
    branches: list[int] = []
    number, left, edge = int.from_bytes(key, "big"), _KEY_BITS, root
    while edge is not None:
        left -= edge.bits
        if number >> left & (1 << edge.bits) - 1 != edge.label or not isinstance(edge.end, tuple):
            break
        left -= 1
        branches.append(number >> left & 1)
        edge = edge.end[branches[-1]]
    keep = Keep()
    for branch in reversed(branches):
        keep = Keep({branch: keep})
    return keep


def _put(edge: Edge[ItemT], number: int, item: ItemT, left: int = _KEY_BITS) -> Edge[ItemT]:
    """As `put` for the last `left` bits of a key."""
    label, bits, end = edge.label, edge.bits, edge.end
    start = number >> left - bits
    if start != label:
        bits = edge.bits - (start ^ label).bit_length()
        below = left - bits - 1
        rest = edge.bits - bits - 1
        old = Edge(label & (1 << rest) - 1, rest, below, end)
        new: Edge[ItemT] = Edge(number & (1 << below) - 1, below, below, item)
        branch = number >> below & 1
        return Edge(label >> rest + 1, bits, left, (old, new) if branch else (new, old))
    if not isinstance(end, tuple):
        return Edge(label, bits, left, item)
    below = left - bits - 1
    branch = number >> below & 1
    changed = _put(end[branch], number & (1 << below) - 1, item, below)
    return Edge(label, bits, left, (end[0], changed) if branch else (changed, end[1]))


def _write_label(builder: CellBuilder, label: int, bits: int, left: int) -> None:
    length = left.bit_length()
    if label in {0, (1 << bits) - 1} and bits > 1 and length < 2 * bits - 1:
        # hml_same$11: the bit, then the length.
        builder.uint(0b110 | label & 1, 3).uint(bits, length)
    elif length < bits:
        # hml_long$10: the length, then the bits.
        builder.uint(0b10, 2).uint(bits, length).uint(label, bits)
    else:
        # hml_short$0: the length in unary, then the bits.
        builder.uint((1 << bits + 1) - 2, bits + 2).uint(label, bits)


def hashmap(cells: list[tuple[int, Cell]], bits: int, *, inline: bool = False) -> Cell:
    """A ``Hashmap`` that is not empty; keys have `bits` bits and rise.

    Its values are references; `inline` what these cells have in them.
    """
    first, last = cells[0][0], cells[-1][0]
    common = bits - (first ^ last).bit_length()
    builder = CellBuilder()
    _write_label(builder, first >> bits - common, common, bits)
    if common == bits:
        value = cells[0][1]
        return (builder.rest(value) if inline else builder.ref(value)).cell()
    below = bits - common - 1
    mask = (1 << below) - 1
    for branch in (0, 1):
        half = [(key & mask, cell) for key, cell in cells if key >> below & 1 == branch]
        builder.ref(hashmap(half, below, inline=inline))
    return builder.cell()
