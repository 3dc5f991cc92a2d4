"""The get methods of simulated contracts, and how their results are written.

Source: TEP-74 and TEP-89; ``VmStack`` in the node's ``crypto/block/block.tlb``.
"""

import binascii
from typing import Final, NamedTuple

from tonwatch.simulator.chain.cell_builder import Writer
from tonwatch.ton.accounts import MethodResult
from tonwatch.ton.cells import Cell, Slice

WRONG_ARGUMENTS: Final = 9
UNKNOWN_METHOD: Final = 11
NO_CONTRACT: Final = -256
"""Exit code where there is no code to run."""


class Part(NamedTuple):
    """A slice: a cell that is to be read."""

    cell: Cell


Value = int | Cell | Part


class Answer(NamedTuple):
    """What a method answers, the first result first."""

    exit_code: int
    stack: tuple[Value, ...] = ()

    def result(self) -> MethodResult:
        """As clients see it."""
        values = (value.cell if isinstance(value, Part) else value for value in self.stack)
        return MethodResult(self.exit_code, tuple(values))

    def stack_cell(self) -> Cell:
        """``VmStack``."""
        rest: Writer = Writer()
        for value in self.stack:
            rest = _push(Writer().ref(rest.cell()), value)
        body = rest.cell()
        return Writer().uint(len(self.stack), 24).rest(body).cell()


def method_id(name: str) -> int:
    """The number by which a contract knows a method."""
    return binascii.crc_hqx(name.encode(), 0) | 0x10000


def _push(writer: Writer, value: Value) -> Writer:
    if isinstance(value, Part):
        bits, refs = Slice(value.cell).left, len(value.cell.refs)
        writer.uint(0x04, 8).ref(value.cell).uint(0, 10).uint(bits, 10)
        return writer.uint(0, 3).uint(refs, 3)
    if isinstance(value, Cell):
        return writer.uint(0x03, 8).ref(value)
    if -(1 << 63) <= value < 1 << 63:
        return writer.uint(0x01, 8).uint(value, 64)
    return writer.uint(0x02, 8).uint(0, 7).uint(value, 257)
