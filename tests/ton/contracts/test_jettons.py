"""What is read of jettons: balances in storage, and the messages that move them."""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.boc.address import Address as PytoniqAddress
from pytoniq_core.boc.builder import Builder
from pytoniq_core.boc.cell import Cell as PytoniqCell

from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.contracts.jetton import jetton_wallet_data
from tonwatch.ton.address import Address, parse
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, cell
from tonwatch.ton.contracts.jettons import (
    CODE_HASHES,
    JettonData,
    JettonKind,
    Move,
    MoveKind,
    kind_of,
    owner_argument,
    read_bounced,
    read_data,
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
    assert read_data(data, OWNER, MASTER) == JettonData(balance)


def test_the_code_may_be_a_library() -> None:
    data = jetton_wallet_data(5, OWNER, MASTER, code=LIBRARY)
    assert read_data(data, OWNER, MASTER) == JettonData(5)


class Recorded(NamedTuple):
    """What a TVM made of a jetton wallet's storage: `npm @ton/sandbox` 0.41.0.

    Attributes:
        data: made up, or a real account's.
        read: results of ``get_wallet_data`` and ``is_claimed``; None where the code failed on it.
    """

    data: Cell
    owner: Address
    master: Address
    read: JettonData | None


FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDED = json.loads((FIXTURES / "jetton-codes.json").read_text())
every_kind = pytest.mark.parametrize(
    "kind", [kind for kind in JettonKind if kind is not JettonKind.UNKNOWN]
)


def code_of(kind: JettonKind) -> bytes:
    """The published code, a bag of cells."""
    return b64decode(RECORDED[kind]["code"])


def runs(kind: JettonKind) -> Iterator[Recorded]:
    for run in RECORDED[kind]["runs"]:
        data = read_one(b64decode(run["data"]))
        if "balance" in run:
            read = JettonData(int(run["balance"]), run.get("claimed"))
            yield Recorded(data, parse(run["owner"]).address, parse(run["master"]).address, read)


@every_kind
def test_every_kind_has_the_hash_of_its_published_code(kind: JettonKind) -> None:
    code = PytoniqCell.one_from_boc(code_of(kind))
    library = Builder(type_=2).store_uint(2, 8).store_bytes(code.hash).end_cell()
    assert kind_of(code.hash) is kind
    assert kind_of(library.hash) is kind


def test_every_hash_is_that_of_a_published_code() -> None:
    assert len(CODE_HASHES) == 2 * len(RECORDED)


@pytest.mark.parametrize(
    ("code_hash", "kind"),
    [
        (None, None),
        (bytes(32), JettonKind.UNKNOWN),
        # As explorers show it for USDT and for NOT.
        ("89468f02c78e570802e39979c8516fc38df07ea76a48357e0536f2ba7b3ee37b", JettonKind.GOVERNED),
        ("8d28ea421b77e805fea52acf335296499f03aec8e9fd21ddb5f2564aa65c48de", JettonKind.NOTCOIN),
    ],
    ids=["no code", "other code", "usdt", "not"],
)
def test_which_wallet_it_is(code_hash: bytes | str | None, kind: JettonKind | None) -> None:
    given = bytes.fromhex(code_hash) if isinstance(code_hash, str) else code_hash
    assert kind_of(given) is kind


@every_kind
def test_a_tvm_reads_the_same_from_its_storage(kind: JettonKind) -> None:
    """Two runs of USDT's are of real accounts."""
    recorded = list(runs(kind))
    assert len(recorded) >= 3
    for run in recorded:
        assert read_data(run.data, run.owner, run.master) == run.read
        assert read_data(run.data, run.master, run.owner) is None


@pytest.mark.parametrize("claimed", [False, True])
def test_a_mintless_wallet_without_salt(claimed: bool) -> None:
    """As TEP-177 has it: the salt, which moves wallets into their owner's shard, came later."""
    writer = CellBuilder().uint(int(claimed), 4).coins(5).address(OWNER).address(MASTER)
    assert read_data(writer.take(bytes(32)).cell(), OWNER, MASTER) == JettonData(5, claimed)


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
        pytest.param(stored().uint(0, 1).ref(CODE).cell(), OWNER, MASTER, id="a bit more"),
        pytest.param(stored().ref(CODE).ref(CODE).cell(), OWNER, MASTER, id="a cell more"),
        pytest.param(
            stored().take(bytes(32)).cell(), OWNER, MASTER, id="an airdrop's root without status"
        ),
        pytest.param(
            stored(status=True).take(bytes(32)).uint(0, 9).cell(), OWNER, MASTER, id="half a salt"
        ),
        pytest.param(stored(status=True).ref(CODE).cell(), OWNER, MASTER, id="status and code"),
        pytest.param(cell(), OWNER, MASTER, id="empty"),
        pytest.param(LIBRARY, OWNER, MASTER, id="a library"),
        pytest.param(CellBuilder().coins(5).cell(), OWNER, MASTER, id="cut short"),
    ],
)
def test_other_storage_has_no_balance(data: Cell, owner: Address, master: Address) -> None:
    assert read_data(data, owner, master) is None


@given(data=st.binary(max_size=127), refs=st.integers(0, 2))
def test_any_storage_has_a_balance_or_none(data: bytes, refs: int) -> None:
    assert read_data(cell(data, *[CODE] * refs), OWNER, MASTER) is None


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
