"""The stack of a get method: arguments written, results read.

Source: the node's ``crypto/block/block.tlb``, ``VmStack``.
"""

from collections.abc import Sequence
from typing import Final

from tonwatch.ton.cells.cell import Cell, Slice, cell
from tonwatch.ton.errors import BadAnswer

MAX_DEPTH: Final = 255
"""Results that are read; the methods in use have a dozen."""

_SMALL: Final = 63
_NULL, _SMALL_INT, _INT, _CELL, _SLICE = range(5)
_OTHERS: Final = range(5, 8)
"""A builder, a continuation, a tuple."""


def write_stack(arguments: Sequence[int | Cell]) -> Cell:
    """A stack of arguments, the first one deepest; cells are passed as slices.

    Raises:
        ValueError: an integer has more than 257 bits with its sign.
    """
    rest: tuple[Cell, ...] = ()
    head = ""
    for argument in arguments:
        done = cell(b"", *rest, head=head)
        refs, head = _write(argument)
        rest = (done, *refs)
    return cell(b"", *rest, head=f"{len(arguments):024b}" + head)


def read_stack(root: Cell) -> tuple[int | Cell | None, ...]:
    """The values of a stack, deepest first; None for null and for unsupported types.

    Raises:
        BadAnswer: it is not a stack, or deeper than `MAX_DEPTH`.
        ProofInvalid: a branch of it is pruned.
    """
    data = Slice(root)
    depth = data.uint(24)
    if depth > MAX_DEPTH:
        raise BadAnswer(f"a stack of {depth} values")
    values: list[int | Cell | None] = []
    for _ in range(depth):
        rest = data.ref()
        values.append(_read(data))
        data = Slice(rest)
    return tuple(reversed(values))


def _write(argument: int | Cell) -> tuple[tuple[Cell, ...], str]:
    """The references and bits of a value."""
    if isinstance(argument, Cell):
        bits = Slice(argument).left
        return (argument,), f"{_SLICE:08b}{0:010b}{bits:010b}{0:03b}{len(argument.refs):03b}"
    size = argument.bit_length()
    if size <= _SMALL:
        return (), f"{_SMALL_INT:08b}{argument % (1 << 64):064b}"
    if not -(1 << 256) <= argument < 1 << 256:
        raise ValueError("an argument of more than 257 bits")
    return (), f"{_INT:08b}{0:07b}{argument % (1 << 257):0257b}"


def _read(data: Slice) -> int | Cell | None:
    kind = data.uint(8)
    if kind == _SMALL_INT:
        return data.sint(64)
    if kind == _INT:
        if data.uint(7):  # not a number: 02ff
            return None
        return data.sint(257)
    if kind == _CELL:
        return data.ref()
    if kind == _SLICE:
        return _cut(data.ref(), data.uint(10), data.uint(10), data.uint(3), data.uint(3))
    if kind != _NULL and kind not in _OTHERS:
        raise BadAnswer(f"a stack's value of kind {kind}")
    return None


def _cut(source: Cell, start: int, end: int, first: int, behind: int) -> Cell:
    """A cell of its own with these bits and references of another."""
    data = Slice(source)
    if not (start <= end <= data.left and first <= behind <= len(source.refs)):
        raise BadAnswer("a slice ends before it starts, or behind its cell")
    if (start, end, first, behind) == (0, data.left, 0, len(source.refs)):
        return source
    data.uint(start)
    size = end - start
    bits = f"{data.uint(size):0{size}b}" if size else ""
    return cell(b"", *source.refs[first:behind], head=bits)
