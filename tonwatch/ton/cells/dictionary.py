"""Dictionaries in cells, looked up by key: ``Hashmap``, ``HashmapAug`` and what holds them.

Source: TON's whitepaper 3.3 and the node's ``crypto/block/block.tlb``.
"""

from collections.abc import Iterator

from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.errors import BadAnswer


def find(root: Cell, key: int, bits: int) -> Slice | None:
    """The value of a key.

    Args:
        root: its first cell; for a ``HashmapE`` the referenced one.
        key: as an unsigned integer.
        bits: of every key.

    Returns:
        The leaf, read up to its value (of a ``HashmapAug`` up to the leaf's extra); None where
        the dictionary has no such key.

    Raises:
        BadAnswer: it is not a dictionary with such keys.
        ProofInvalid: the path to the key is pruned.
    """
    at = root
    while True:
        body = at.body
        # Most forks of a large dictionary have an empty label: two bits of 0.
        if body[1] < 2 or body[2] & 0xC0 or at.exotic or not bits:
            node = Slice(at)
            label, length = _label(node, bits)
            bits -= length
            if bits < 0:
                raise BadAnswer("a dictionary's label is longer than its keys")
            if label != key >> bits:
                return None
            if not bits:
                return node
        if len(at.refs) < 2:
            raise BadAnswer("a dictionary's fork has less than two branches")
        bits -= 1
        at = at.refs[key >> bits & 1]
        key &= (1 << bits) - 1


def items(root: Cell, bits: int, most: int) -> Iterator[tuple[int, Slice]]:
    """All keys, in ascending order, and their values; arguments and errors as of `find`.

    Raises `BadAnswer` also where there are more than `most`: branches may be the same cell, so
    that a few cells hold any number of keys.
    """
    left = [(root, 0, bits)]
    while left:
        if most < len(left):
            raise BadAnswer("a dictionary of too many keys")
        at, key, more = left.pop()
        node = Slice(at)
        label, length = _label(node, more)
        more -= length
        if more < 0:
            raise BadAnswer("a dictionary's label is longer than its keys")
        key = key << length | label
        if not more:
            yield key, node
            most -= 1
            continue
        if len(at.refs) < 2:
            raise BadAnswer("a dictionary's fork has less than two branches")
        left += [(at.refs[side], key << 1 | side, more - 1) for side in (1, 0)]


def _label(node: Slice, bits: int) -> tuple[int, int]:
    """The bits that all keys of a branch start with, and how many; `bits` are left of a key."""
    if not node.bit():  # hml_short$0, its length in ones
        length = 0
        while node.bit():
            length += 1
        return node.uint(length), length
    if not node.bit():  # hml_long$10
        length = node.uint(bits.bit_length())
        return node.uint(length), length
    same = node.bit()  # hml_same$11
    length = node.uint(bits.bit_length())
    return (1 << length) - 1 if same else 0, length
