"""The results of get methods, as TVM has them and as liteservers encode them.

Source: TEP-74 and TEP-89; ``VmStack`` in the node's ``crypto/block/block.tlb``.
"""

import binascii
from typing import Final, NamedTuple

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.contracts.accounts import MethodResult

WRONG_ARGUMENTS: Final = 9
UNKNOWN_METHOD: Final = 11
NO_CONTRACT: Final = -256
"""Exit code where there is no code to run."""


class SliceValue(NamedTuple):
    """A slice: the cell that it is of."""

    cell: Cell


StackValue = int | Cell | SliceValue


class GetMethodResult(NamedTuple):
    """An exit code and the stack, its bottom first."""

    exit_code: int
    stack: tuple[StackValue, ...] = ()

    def untyped(self) -> MethodResult:
        """The result where slices are given as cells."""
        values = (value.cell if isinstance(value, SliceValue) else value for value in self.stack)
        return MethodResult(self.exit_code, tuple(values))

    def stack_cell(self) -> Cell:
        """``VmStack``."""
        rest: CellBuilder = CellBuilder()
        for value in self.stack:
            rest = _push(CellBuilder().ref(rest.cell()), value)
        body = rest.cell()
        return CellBuilder().uint(len(self.stack), 24).rest(body).cell()


def method_id(name: str) -> int:
    """The id of a get method: CRC-16 of its name, with bit 16 set."""
    return binascii.crc_hqx(name.encode(), 0) | 0x10000


def _push(builder: CellBuilder, value: StackValue) -> CellBuilder:
    if isinstance(value, SliceValue):
        bits, refs = Slice(value.cell).left, len(value.cell.refs)
        builder.uint(0x04, 8).ref(value.cell).uint(0, 10).uint(bits, 10)
        return builder.uint(0, 3).uint(refs, 3)
    if isinstance(value, Cell):
        return builder.uint(0x03, 8).ref(value)
    if -(1 << 63) <= value < 1 << 63:
        return builder.uint(0x01, 8).uint(value, 64)
    return builder.uint(0x02, 8).uint(0, 7).uint(value, 257)
