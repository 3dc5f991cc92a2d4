"""What is read of jettons: balances in storage, and the messages that move them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.boc.address import Address as PytoniqAddress
from pytoniq_core.boc.builder import Builder

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.contracts.jetton import jetton_wallet_data
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, cell
from tonwatch.ton.contracts.jettons import (
    Move,
    MoveKind,
    balance_in,
    owner_argument,
    read_bounced,
    read_move,
)

OWNER = Address(0, b"\x01" * 32)
MASTER = Address(0, b"\x02" * 32)
OTHER = Address(-1, b"\x01" * 32)
CODE = cell(b"code")
LIBRARY = Cell(b"\x08\x42\x02" + bytes(32))

amounts = st.integers(0, (1 << 120) - 1)


@given(balance=amounts, status=st.integers(0, 15), reference=st.booleans())
def test_a_balance_is_read_from_both_layouts(balance: int, status: int, reference: bool) -> None:
    code = CODE if reference else None
    data = jetton_wallet_data(balance, OWNER, MASTER, code=code, status=status)
    assert balance_in(data, OWNER, MASTER) == balance


def test_the_code_may_be_a_library() -> None:
    data = jetton_wallet_data(5, OWNER, MASTER, code=LIBRARY)
    assert balance_in(data, OWNER, MASTER) == 5


def stored(*, status: bool = False) -> CellBuilder:
    writer = CellBuilder().uint(0, 4) if status else CellBuilder()
    return writer.coins(5).address(OWNER).address(MASTER)


@pytest.mark.parametrize(
    ("data", "owner", "master"),
    [
        pytest.param(stored().ref(CODE).cell(), OTHER, MASTER, id="another owner"),
        pytest.param(stored().ref(CODE).cell(), OWNER, OTHER, id="another master"),
        pytest.param(stored().ref(CODE).cell(), MASTER, OWNER, id="the other way round"),
        pytest.param(stored(status=True).cell(), OTHER, MASTER, id="a stablecoin's other owner"),
        pytest.param(stored().cell(), OWNER, MASTER, id="without code"),
        pytest.param(stored().uint(0, 1).ref(CODE).cell(), OWNER, MASTER, id="a bit more"),
        pytest.param(stored().ref(CODE).ref(CODE).cell(), OWNER, MASTER, id="a cell more"),
        pytest.param(
            stored(status=True).take(bytes(32)).cell(), OWNER, MASTER, id="an airdrop's root more"
        ),
        pytest.param(stored(status=True).ref(CODE).cell(), OWNER, MASTER, id="status and code"),
        pytest.param(cell(), OWNER, MASTER, id="empty"),
        pytest.param(LIBRARY, OWNER, MASTER, id="a library"),
        pytest.param(CellBuilder().coins(5).cell(), OWNER, MASTER, id="cut short"),
    ],
)
def test_other_storage_has_no_balance(data: Cell, owner: Address, master: Address) -> None:
    assert balance_in(data, owner, master) is None


@given(data=st.binary(max_size=127), refs=st.integers(0, 2))
def test_any_storage_has_a_balance_or_none(data: bytes, refs: int) -> None:
    assert balance_in(cell(data, *[CODE] * refs), OWNER, MASTER) is None


OPS = {
    MoveKind.TRANSFER: 0x0F8A7EA5,
    MoveKind.INTERNAL_TRANSFER: 0x178D4519,
    MoveKind.BURN: 0x595F07BC,
    MoveKind.BURN_NOTIFICATION: 0x7BDD97DE,
    MoveKind.TRANSFER_NOTIFICATION: 0x7362D09C,
    MoveKind.EXCESSES: 0xD53276DB,
}


def body(kind: MoveKind, amount: int) -> Cell:
    writer = CellBuilder().uint(OPS[kind], 32).uint(77, 64)
    if kind == MoveKind.EXCESSES:
        return writer.cell()
    return writer.coins(amount).address(OWNER).address(OTHER).uint(0, 1).coins(1).uint(0, 1).cell()


def first_bits(of: Cell, bits: int) -> str:
    data = of.body[2:]
    return format(int.from_bytes(data, "big"), f"0{8 * len(data)}b")[:bits]


@given(kind=st.sampled_from(MoveKind), amount=amounts)
def test_a_move_is_read(kind: MoveKind, amount: int) -> None:
    expected = Move(kind, 0 if kind == MoveKind.EXCESSES else amount)
    asked = body(kind, amount)
    assert read_move(asked) == expected
    assert read_bounced(asked) is None


@given(kind=st.sampled_from(MoveKind), amount=amounts)
def test_a_bounced_move_is_read_from_its_first_256_bits(kind: MoveKind, amount: int) -> None:
    expected = Move(kind, 0 if kind == MoveKind.EXCESSES else amount)
    asked = body(kind, amount)
    size = 96 if kind == MoveKind.EXCESSES else 256
    came_back = cell(b"", head="1" * 32 + first_bits(asked, size))
    assert read_bounced(came_back) == expected
    assert read_move(came_back) is None


@given(kind=st.sampled_from(MoveKind), amount=amounts)
def test_a_move_that_bounced_in_the_new_format_is_read(kind: MoveKind, amount: int) -> None:
    expected = Move(kind, 0 if kind == MoveKind.EXCESSES else amount)
    info = CellBuilder().currencies(1).uint(0, 96).cell()
    new = CellBuilder().uint(0xFFFFFFFE, 32).ref(body(kind, amount)).ref(info)
    assert read_bounced(new.uint(1, 8).uint(33, 32).uint(0, 1).cell()) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(cell(), id="empty"),
        pytest.param(cell(b"\0\0\0\0hello"), id="a comment"),
        pytest.param(cell(b"\x0f\x8a\x7e\xa5"), id="a transfer without anything"),
        pytest.param(cell(b"\x0f\x8a\x7e\xa5" + bytes(8) + b"\xf0"), id="an amount cut short"),
        pytest.param(cell(b"\xff\xff\xff\xfe"), id="bounced without its body"),
        pytest.param(cell(b"\xff\xff\xff\xff\x17\x8d"), id="bounced and cut short"),
        pytest.param(LIBRARY, id="a library"),
    ],
)
def test_bodies_that_move_no_jettons(text: Cell) -> None:
    assert read_move(text) is None
    assert read_bounced(text) is None


@given(data=st.binary(max_size=127), refs=st.integers(0, 2))
def test_any_body_is_a_move_or_none(data: bytes, refs: int) -> None:
    for read in (read_move, read_bounced):
        found = read(cell(data, *[CODE] * refs))
        assert found is None or found.amount >= 0


@pytest.mark.parametrize("owner", [OWNER, OTHER], ids=["basechain", "masterchain"])
def test_the_owner_is_asked_for_as_pytoniq_writes_addresses(owner: Address) -> None:
    theirs = Builder().store_address(PytoniqAddress((owner.workchain, owner.hash))).end_cell()
    assert owner_argument(owner).hash == theirs.hash
