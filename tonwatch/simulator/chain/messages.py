"""Messages between accounts of the simulated chain, and from outside of it.

Source: ``CommonMsgInfo`` and ``Message`` in the node's ``crypto/block/block.tlb``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tonwatch.simulator.chain.accounts import own_bits
from tonwatch.simulator.chain.cell_builder import Writer
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell, Slice, cell
from tonwatch.ton.errors import BadAnswer
from tonwatch.ton.transactions import rest

_INLINE, _INLINE_FROM_OUTSIDE = 120, 700
"""Bits of a body that surely fit behind the rest of a message."""

_INLINE_REFS: Final = 3

_BOUNCED: Final = 0xFFFFFFFF
_BOUNCED_BITS: Final = 256
"""Bits of a body that come back with a bounced message."""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message.

    Attributes:
        source: None for a message from outside the chain.
        value: nanocoins.
        forward_fee: what is left of it for who delivers the message, nanocoins.
        init: code and data for an account that has none.
        lt, time: when it was made: logical time and Unix seconds.
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
        """The body is in the message's own cell."""
        most = _INLINE_FROM_OUTSIDE if self.source is None else _INLINE
        return own_bits(self.body) <= most and len(self.body.refs) <= _INLINE_REFS

    @cached_property
    def cell(self) -> Cell:
        """``Message``."""
        writer = Writer()
        if self.source is None:
            writer.uint(0b10, 2).address(None).address(self.destination).coins(0)
        else:
            writer.uint(0b010 | self.bounce, 3).uint(self.bounced, 1)
            writer.address(self.source).address(self.destination).currencies(self.value)
            writer.coins(0).coins(self.forward_fee).uint(self.lt, 64).uint(self.time, 32)
        if self.init is None:
            writer.uint(0, 1)
        else:
            writer.uint(0b11, 2).ref(self.init)
        if self.inline:
            writer.uint(0, 1).rest(self.body)
        else:
            writer.uint(1, 1).ref(self.body)
        return writer.cell()


def bounced_body(body: Cell) -> Cell:
    """What comes back of a body: a mark and its first 256 bits."""
    source = Slice(body)
    bits = min(source.left, _BOUNCED_BITS)
    return Writer().uint(_BOUNCED, 32).uint(source.uint(bits), bits).cell()


def read_external(root: Cell) -> tuple[Address, Cell]:
    """To whom a message from outside goes, and its body.

    Raises:
        BadAnswer: it is none.
    """
    fields = Slice(root)
    if fields.uint(2) != 0b10:
        raise BadAnswer("not a message from outside the chain")
    fields.address()
    destination = fields.address()
    if destination is None:
        raise BadAnswer("a message to nobody")
    fields.coins()
    if fields.bit():
        if not fields.bit():
            raise BadAnswer("a message with code in it")
        fields.ref()
    return destination, fields.ref() if fields.bit() else rest(fields)


EMPTY_BODY: Final = cell()
