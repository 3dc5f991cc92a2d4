"""Writes cells field by field, as `tonwatch.ton.cells.cell.Slice` reads them."""

from typing import Self

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice


class CellBuilder:
    """Collects bits and references of one cell; values must fit and are not checked."""

    __slots__ = ("_bits", "_refs", "_size")

    def __init__(self) -> None:
        self._bits = 0
        self._size = 0
        self._refs: list[Cell] = []

    def uint(self, value: int, bits: int) -> Self:
        """An unsigned integer of `bits` bits; negative ones as two's complement."""
        self._bits = self._bits << bits | value & (1 << bits) - 1
        self._size += bits
        return self

    def take(self, data: bytes) -> Self:
        """Whole bytes."""
        self._bits = self._bits << 8 * len(data) | int.from_bytes(data, "big")
        self._size += 8 * len(data)
        return self

    def variable(self, value: int, length_bits: int) -> Self:
        """``VarUInteger``: the length in bytes, in `length_bits` bits, then the bytes."""
        length = (value.bit_length() + 7) // 8
        self._bits = (self._bits << length_bits | length) << 8 * length | value
        self._size += length_bits + 8 * length
        return self

    def coins(self, amount: int) -> Self:
        """``Coins``: nanocoins, or a jetton's smallest units."""
        return self.variable(amount, 4)

    def currencies(self, amount: int) -> Self:
        """``CurrencyCollection`` of coins alone."""
        return self.variable(amount, 4).uint(0, 1)

    def address(self, address: Address | None) -> Self:
        """``MsgAddress``: ``addr_std`` or ``addr_none``."""
        if address is None:
            return self.uint(0, 2)
        return self.uint(0b100, 3).uint(address.workchain, 8).take(address.hash)

    def ref(self, cell: Cell) -> Self:
        self._refs.append(cell)
        return self

    def maybe_ref(self, cell: Cell | None) -> Self:
        """``Maybe ^Cell``."""
        self.uint(cell is not None, 1)
        return self if cell is None else self.ref(cell)

    def rest(self, cell: Cell) -> Self:
        """The bits and references of an ordinary cell."""
        source = Slice(cell)
        left = source.left
        self.uint(source.uint(left), left)
        self._refs.extend(cell.refs)
        return self

    def cell(self) -> Cell:
        """The finished cell."""
        whole, bits, unused = self._size // 8, self._bits, -self._size % 8
        length = whole + (unused > 0)
        if unused:
            bits = (bits << 1 | 1) << unused - 1
        head = bytes((len(self._refs), whole + length))
        return Cell(head + bits.to_bytes(length, "big"), tuple(self._refs))
