"""Cells, the data structure of all blocks, accounts, messages and proofs of TON.

`tonwatch.ton.cells.boc` parses them from bytes. Written for speed: a monitor reads thousands of
proofs a minute, and a simulated day has 200,000 blocks.

Source: TON's whitepaper 3.1 and the node's ``crypto/tl/boc.tlb``.
"""

import hashlib
from functools import lru_cache
from typing import Final

from tonwatch.ton.address import Address
from tonwatch.ton.errors import BadAnswer, ProofInvalid

PRUNED: Final = 1
LIBRARY: Final = 2
MERKLE_PROOF: Final = 3
MERKLE_UPDATE: Final = 4

_EXOTIC: Final = 8


class Cell:
    """A cell with its references.

    Attributes:
        body: two descriptor bytes and the data, padded to whole bytes.
        refs: the cells it refers to.
        hash: its representation hash; of a cell in a Merkle proof the hash of the
            original, with nothing pruned. A proof that is a root has the hash of its content.
        depth: of the tree below it, likewise; 0 without references.
        level: where anything below is pruned, as a mask; 0 where nothing is.
    """

    __slots__ = ("body", "depth", "hash", "level", "refs")

    def __init__(self, body: bytes, refs: tuple["Cell", ...] = ()) -> None:
        self.body = body
        self.refs = refs
        self.level = body[0] >> 5
        self.depth: int = 0
        if refs:
            self.depth = max([ref.depth for ref in refs]) + 1
            below = [ref.depth.to_bytes(2, "big") for ref in refs]
            below += [ref.hash for ref in refs]
            body += b"".join(below)
        self.hash: bytes = hashlib.sha256(body).digest()

    @property
    def exotic(self) -> int:
        """`PRUNED`, `LIBRARY`, `MERKLE_PROOF` or `MERKLE_UPDATE`; 0 for an ordinary cell."""
        return self.body[2] if self.body[0] & _EXOTIC else 0


def cell(data: bytes = b"", *refs: Cell, head: str = "", tail: str = "") -> Cell:
    """An ordinary cell of `head` bits, whole bytes of `data` and `tail` bits."""
    if not head and not tail:
        return Cell(bytes((len(refs), 2 * len(data))) + data, refs)
    size = len(head) + 8 * len(data) + len(tail)
    number = (_number(head) << 8 * len(data) | int.from_bytes(data, "big")) << len(tail)
    number |= _number(tail)
    if padding := -size % 8:
        number = (number << 1 | 1) << padding - 1
    length = (size + 7) // 8
    return Cell(bytes((len(refs), size // 8 + length)) + number.to_bytes(length, "big"), refs)


def library(code_hash: bytes) -> bytes:
    """The hash of the library cell that stands for the code with this hash."""
    return Cell(bytes((_EXOTIC, 2 * 33, LIBRARY)) + code_hash).hash


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


@lru_cache(maxsize=64)
def _number(bits: str) -> int:
    return int(bits, 2) if bits else 0


class Slice:
    """Reads a cell sequentially: bits and references.

    Every method raises `BadAnswer` where the cell has less, `ProofInvalid` where it is pruned.
    """

    __slots__ = ("_bits", "_next", "_refs", "left")

    def __init__(self, source: Cell) -> None:
        kind = source.exotic
        if kind == PRUNED:
            raise ProofInvalid("the proof leaves out what it should show")
        if kind:
            raise BadAnswer(f"an exotic cell of kind {kind} where data is needed")
        body = source.body
        size = body[1]
        number = int.from_bytes(body[2:], "big")
        left = 4 * size
        if size & 1:
            # The last byte's data ends before its lowest set bit.
            unused = (number & -number).bit_length()
            number >>= unused
            left = 4 * (size + 1) - unused
        self._bits = number
        self._refs = source.refs
        self._next = 0
        self.left = left

    @property
    def refs_left(self) -> int:
        """References not read yet."""
        return len(self._refs) - self._next

    def uint(self, bits: int) -> int:
        """An unsigned integer of so many bits."""
        left = self.left - bits
        if left < 0:
            raise BadAnswer(f"a cell has {self.left} bits where {bits} are needed")
        self.left = left
        number = self._bits >> left
        self._bits &= (1 << left) - 1
        return number

    def sint(self, bits: int) -> int:
        """A signed integer of so many bits."""
        number = self.uint(bits)
        return number - (1 << bits) if number >> bits - 1 else number

    def bit(self) -> bool:
        return bool(self.uint(1))

    def take(self, size: int) -> bytes:
        """So many whole bytes."""
        return self.uint(8 * size).to_bytes(size, "big")

    def coins(self) -> int:
        """``Coins`` (VarUInteger 16): nanocoins, or a jetton's smallest units."""
        return self.variable(4)

    def variable(self, bits: int) -> int:
        """``VarUInteger``, whose length in bytes has so many bits."""
        return self.uint(8 * self.uint(bits))

    def currencies(self) -> int:
        """``CurrencyCollection``: its coins; other currencies are skipped."""
        amount = self.coins()
        if self.bit():
            self.ref()
        return amount

    def ref(self) -> Cell:
        """The next reference."""
        if self._next >= len(self._refs):
            raise BadAnswer(f"a cell has {len(self._refs)} references where more are needed")
        self._next += 1
        return self._refs[self._next - 1]

    def maybe_ref(self) -> Cell | None:
        """A bit that says whether there is one, then the reference."""
        return self.ref() if self.bit() else None

    def address(self) -> Address | None:
        """``MsgAddress``: an account's, or None for none and for an address outside the chain."""
        tag = self.uint(2)
        if tag == 0b00:
            return None
        if tag == 0b01:
            self.uint(self.uint(9))
            return None
        if self.bit():
            raise BadAnswer("an address with anycast")
        if tag == 0b10:
            return Address(self.sint(8), self.take(32))
        length, workchain = self.uint(9), self.sint(32)
        if length != 256:
            raise BadAnswer(f"an account's address of {length} bits")
        return Address(workchain, self.take(32))
