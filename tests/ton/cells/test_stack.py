"""The stack of a get method, compared with pytoniq's."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.boc.builder import Builder
from pytoniq_core.boc.cell import Cell as Theirs
from pytoniq_core.boc.slice import Slice as TheirSlice
from pytoniq_core.tlb.vm_stack import VmStack, VmTuple

from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, Slice, boc, cell
from tonwatch.ton.cells.stack import MAX_DEPTH, read_stack, write_stack
from tonwatch.ton.errors import BadAnswer, ProofInvalid

SMALL: Final = st.integers(-(2**63), 2**63 - 1)
NUMBERS: Final = st.one_of(SMALL, st.integers(-(2**256), 2**256 - 1))
OURS: Final = cell(b"a cell", cell(b"below"), tail="101")
THEIRS: Final = Theirs.one_from_boc(boc(OURS))
REST: Final = cell()


def theirs(*values: object) -> Cell:
    """A stack that pytoniq wrote, the first value deepest."""
    return read_one(VmStack.serialize(list(values)).to_boc())


def one(head: str, *refs: Cell) -> Cell:
    """A stack of one value, written bit by bit."""
    return cell(b"", REST, *refs, head=f"{1:024b}" + head)


def cut(start: int, end: int, first: int, last: int) -> Cell:
    """A stack with a slice of `OURS`."""
    return one(f"{4:08b}{start:010b}{end:010b}{first:03b}{last:03b}", OURS)


class TestWriting:
    @given(st.lists(NUMBERS, max_size=5))
    def test_numbers(self, numbers: list[int]) -> None:
        stack = Theirs.one_from_boc(boc(write_stack(numbers)))
        assert VmStack.deserialize(stack.begin_parse()) == numbers

    def test_cells_are_passed_as_slices(self) -> None:
        stack = Theirs.one_from_boc(boc(write_stack([5, OURS])))
        number, passed = VmStack.deserialize(stack.begin_parse())
        assert number == 5
        assert isinstance(passed, TheirSlice)
        assert passed.to_cell().hash == OURS.hash

    @pytest.mark.parametrize(
        "arguments", [[], [0], [-1, 2**255], [2**64, 7], [-(2**256), 2**256 - 1]], ids=str
    )
    def test_as_pytoniq_does(self, arguments: list[int]) -> None:
        assert write_stack(arguments).hash == VmStack.serialize(list(arguments)).hash

    @pytest.mark.parametrize("number", [2**256, -(2**256) - 1], ids=["too large", "too small"])
    def test_too_long(self, number: int) -> None:
        with pytest.raises(ValueError, match="257 bits"):
            write_stack([number])


class TestReading:
    @given(st.lists(NUMBERS, max_size=6))
    def test_numbers(self, numbers: list[int]) -> None:
        assert read_stack(theirs(*numbers)) == tuple(numbers)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param(None, None, id="null"),
            pytest.param(VmTuple([1, 2]), None, id="tuple"),
            pytest.param(Builder().store_uint(1, 8), None, id="builder"),
            pytest.param(THEIRS, OURS, id="cell"),
            pytest.param(THEIRS.begin_parse(), OURS, id="slice"),
        ],
    )
    def test_values(self, value: Any, expected: Cell | None) -> None:
        first, found, last = read_stack(theirs(1, value, 2))
        assert (first, last) == (1, 2)
        if expected is None:
            assert found is None
        else:
            assert isinstance(found, Cell)
            assert found.hash == expected.hash

    def test_not_a_number(self) -> None:
        assert read_stack(one(f"{0x02FF:016b}")) == (None,)

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            pytest.param((0, 51, 0, 1), OURS, id="whole"),
            pytest.param((8, 24, 0, 0), cell(b" c"), id="middle"),
            pytest.param((0, 0, 0, 1), cell(b"", cell(b"below")), id="reference alone"),
            pytest.param((51, 51, 1, 1), cell(), id="nothing"),
        ],
    )
    def test_slices(self, limits: tuple[int, int, int, int], expected: Cell) -> None:
        (found,) = read_stack(cut(*limits))
        assert isinstance(found, Cell)
        assert found.hash == expected.hash

    @pytest.mark.parametrize(
        "stack",
        [
            pytest.param(cell(), id="nothing"),
            pytest.param(cell(head=f"{1:024b}"), id="no value"),
            pytest.param(one(f"{8:08b}"), id="value of no kind"),
            pytest.param(one(f"{1:08b}1"), id="number cut short"),
            pytest.param(one(f"{3:08b}"), id="no cell"),
            pytest.param(cut(8, 0, 0, 0), id="slice ends before it starts"),
            pytest.param(cut(0, 52, 0, 0), id="slice ends after its data"),
            pytest.param(cut(0, 0, 0, 2), id="slice ends after its references"),
            pytest.param(cut(0, 0, 1, 0), id="references end before they start"),
            pytest.param(cell(b"", REST, head=f"{MAX_DEPTH + 1:024b}"), id="too deep"),
            pytest.param(cell(b"", REST, head=24 * "1"), id="16 million deep"),
        ],
    )
    def test_bad(self, stack: Cell) -> None:
        with pytest.raises(BadAnswer):
            read_stack(stack)

    @given(st.lists(st.tuples(st.text("01", max_size=60), st.booleans()), max_size=5))
    def test_any_cells(self, parts: list[tuple[str, bool]]) -> None:
        stack = REST
        for head, more in parts:
            stack = cell(b"", stack, *([OURS] if more else []), head=head)
        for whole in (stack, cell(b"", *stack.refs, head=f"{len(parts):024b}")):
            try:
                values = read_stack(whole)
            except (BadAnswer, ProofInvalid):
                continue
            assert all(value is None or isinstance(value, (int, Cell)) for value in values)


def test_what_is_written_is_read() -> None:
    number, passed = read_stack(write_stack([-7, OURS]))
    assert number == -7
    assert isinstance(passed, Cell)
    assert Slice(passed).take(6) == b"a cell"
