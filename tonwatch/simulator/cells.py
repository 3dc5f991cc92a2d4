"""Cells, proofs and bags of cells, made for speed: a simulated day has 200,000 blocks.

A cell is kept as the bytes that are hashed and stored, so that making one costs
a few concatenations and one SHA-256. pytoniq reads what is written here.

Source: TON's whitepaper 3.1 and the node's ``crypto/tl/boc.tlb``.
"""

import hashlib
from functools import lru_cache
from typing import Final

_EXOTIC: Final = 8
_LEVEL_1: Final = 32


class Cell:
    """A cell with its references.

    Attributes:
        body: two descriptor bytes and the data, padded to whole bytes.
        refs: the cells it refers to.
        hash: its representation hash.
        depth: of the tree below it; 0 without references.
    """

    __slots__ = ("body", "depth", "hash", "refs")

    def __init__(self, body: bytes, refs: tuple["Cell", ...] = ()) -> None:
        self.body = body
        self.refs = refs
        self.depth: int = 0
        if refs:
            self.depth = max([ref.depth for ref in refs]) + 1
            below = [ref.depth.to_bytes(2, "big") for ref in refs]
            below += [ref.hash for ref in refs]
            body += b"".join(below)
        self.hash: bytes = hashlib.sha256(body).digest()


def cell(data: bytes = b"", *refs: Cell, head: str = "", tail: str = "") -> Cell:
    """An ordinary cell of `head` bits, whole bytes of `data` and `tail` bits."""
    if not head and not tail:
        return Cell(bytes((len(refs), 2 * len(data))) + data, refs)
    size = len(head) + 8 * len(data) + len(tail)
    number = (_number(head) << 8 * len(data) | int.from_bytes(data, "big")) << len(tail)
    number |= _number(tail)
    if padding := -size % 8:
        number = (number << 1 | 1) << padding - 1
    whole = size // 8
    length = (size + 7) // 8
    return Cell(bytes((len(refs), whole + length)) + number.to_bytes(length, "big"), refs)


def pruned(branch: Cell) -> Cell:
    """What a proof keeps of a cell that it leaves out: hash and depth."""
    data = b"\x01\x01" + branch.hash + branch.depth.to_bytes(2, "big")
    return Cell(bytes((_EXOTIC + _LEVEL_1, 2 * len(data))) + data)


def merkle_update(old: Cell, new: Cell) -> Cell:
    """The step from one state to the next, both as `pruned` left them."""
    data = b"\x04" + old.body[4:36] + new.body[4:36] + old.body[36:] + new.body[36:]
    return Cell(bytes((_EXOTIC + 2, 2 * len(data))) + data, (old, new))


class Keep(dict[int, "Keep"]):
    """Which references of a cell a proof follows: index to what is kept below.

    References not named are pruned; ``ALL`` keeps everything below.
    """


ALL: Final = Keep()


def merkle_proof(root: Cell, keep: Keep) -> Cell:
    """A Merkle proof of `root` that shows what `keep` names."""
    data = b"\x03" + root.hash + root.depth.to_bytes(2, "big")
    return Cell(bytes((_EXOTIC + 1, 2 * len(data))) + data, (_prune(root, keep),))


def boc(*roots: Cell) -> bytes:
    """A bag of cells with one root or, as proofs have them, several."""
    done: dict[Cell, None] = {}
    for root in roots:
        _place(root, done)
    # A cell must come before those it refers to.
    indexes = {item: index for index, item in enumerate(reversed(done))}
    size = (len(indexes).bit_length() + 7) // 8
    payload = b"".join(
        item.body + b"".join([indexes[ref].to_bytes(size, "big") for ref in item.refs])
        if item.refs
        else item.body
        for item in indexes
    )
    offset_size = (len(payload).bit_length() + 7) // 8
    return b"".join(
        (
            b"\xb5\xee\x9c\x72",
            bytes((size, offset_size)),
            len(indexes).to_bytes(size, "big"),
            len(roots).to_bytes(size, "big"),
            bytes(size),
            len(payload).to_bytes(offset_size, "big"),
            *(indexes[root].to_bytes(size, "big") for root in roots),
            payload,
        )
    )


def _place(root: Cell, done: dict[Cell, None]) -> None:
    """Add `root` behind all that it refers to."""
    if root not in done:
        for ref in reversed(root.refs):
            _place(ref, done)
        done[root] = None


def _prune(branch: Cell, keep: Keep) -> Cell:
    if keep is ALL:
        return branch
    refs = tuple(
        # A leaf is shorter than what would stand for it: the node keeps it too.
        _prune(ref, keep[index]) if index in keep else pruned(ref) if ref.refs else ref
        for index, ref in enumerate(branch.refs)
    )
    level = _LEVEL_1 if any(ref.body[0] & _LEVEL_1 for ref in refs) else 0
    return Cell(bytes((branch.body[0] | level,)) + branch.body[1:], refs)


@lru_cache(maxsize=64)
def _number(bits: str) -> int:
    return int(bits, 2) if bits else 0
