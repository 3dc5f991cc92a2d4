"""Internal and external messages of the simulated chain.

Source: ``CommonMsgInfo`` and ``Message`` in the node's ``crypto/block/block.tlb``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tonwatch.simulator.chain.accounts import own_bits
from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice, cell
from tonwatch.ton.contracts.transactions import rest
from tonwatch.ton.errors import BadAnswer

_INLINE, _INLINE_EXTERNAL = 120, 700
"""Bits of a body that always fit into the message's own cell."""

_INLINE_REFS: Final = 3

_BOUNCED: Final = 0xFFFFFFFF
_BOUNCED_BITS: Final = 256
"""Bits of the body that a bounced message returns."""


@dataclass(frozen=True, kw_only=True)
class SimMessage:
    """A message.

    Attributes:
        source: None for an external message.
        value: nanocoins.
        forward_fee: the part that is left for the validators that deliver it, nanocoins.
        init: code and data for an account that has none.
        lt, time: of its creation: logical time and Unix seconds.
    """

    source: Address | None
    destination: Address
    body: Cell
    value: int = 0
    forward_fee: int = 0
    bounce: bool = False
    bounced: bool = False
    init: Cell | None = None
    lt: int = 0
    time: int = 0

    @cached_property
    def inline(self) -> bool:
        """Whether the body is in the message's own cell."""
        most = _INLINE_EXTERNAL if self.source is None else _INLINE
        return own_bits(self.body) <= most and len(self.body.refs) <= _INLINE_REFS

    @cached_property
    def cell(self) -> Cell:
        """``Message``."""
        builder = CellBuilder()
        if self.source is None:
            builder.uint(0b10, 2).address(None).address(self.destination).coins(0)
        else:
            builder.uint(0b010 | self.bounce, 3).uint(self.bounced, 1)
            builder.address(self.source).address(self.destination).currencies(self.value)
            builder.coins(0).coins(self.forward_fee).uint(self.lt, 64).uint(self.time, 32)
        if self.init is None:
            builder.uint(0, 1)
        else:
            builder.uint(0b11, 2).ref(self.init)
        if self.inline:
            builder.uint(0, 1).rest(self.body)
        else:
            builder.uint(1, 1).ref(self.body)
        return builder.cell()


def bounced_body(body: Cell) -> Cell:
    """The body of a bounced message: a prefix and the first 256 bits of the original."""
    source = Slice(body)
    bits = min(source.left, _BOUNCED_BITS)
    return CellBuilder().uint(_BOUNCED, 32).uint(source.uint(bits), bits).cell()


def read_external(root: Cell) -> tuple[Address, Cell]:
    """Destination and body of an external message.

    Raises:
        BadAnswer: it is no external message, or has a state init in its own cell.
    """
    fields = Slice(root)
    if fields.uint(2) != 0b10:
        raise BadAnswer("not an inbound external message")
    fields.address()
    destination = fields.address()
    if destination is None:
        raise BadAnswer("a message without destination")
    fields.coins()
    if fields.bit():
        if not fields.bit():
            raise BadAnswer("a message with an inline state init")
        fields.ref()
    return destination, fields.ref() if fields.bit() else rest(fields)


EMPTY_BODY: Final = cell()
