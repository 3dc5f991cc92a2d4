"""Transactions are read as pytoniq reads them, and hostile ones end in a bad answer."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.boc.cell import Cell as PytoniqCell
from pytoniq_core.boc.hashmap.hashmap import HashMap
from pytoniq_core.tlb.account import Account as PytoniqAccount
from pytoniq_core.tlb.transaction import MessageAny
from pytoniq_core.tlb.transaction import Transaction as PytoniqTransaction

from tests.ton.peers import recorded
from tonwatch.simulator.chain.cell_builder import CellBuilder
from tonwatch.simulator.chain.merkle import pruned
from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_boc, read_one
from tonwatch.ton.cells.cell import Cell, Slice, boc, cell
from tonwatch.ton.contracts.transactions import (
    MAX_MESSAGES,
    Transaction,
    TransactionId,
    parse_message,
    parse_transaction,
)
from tonwatch.ton.errors import BadAnswer, ProofInvalid
from tonwatch.ton.liteserver import tl

ACCOUNT: Final = Address(0, b"\xaa" * 32)
OTHER: Final = Address(-1, b"\xbb" * 32)
EMPTY: Final = cell()


def recorded_fields(label: str) -> tl.Fields:
    pair = recorded()[label]
    assert pair.type is not None
    return tl.decode(pair.answer, pair.type)


@pytest.fixture(scope="module")
def roots() -> tuple[Cell, ...]:
    """Both transactions of a real wallet, the newest first."""
    return read_boc(recorded_fields("getTransactions wallet v1")["transactions"])


def test_a_real_wallets_history(roots: tuple[Cell, ...]) -> None:
    newest, oldest = [parse_transaction(root) for root in roots]
    assert newest.id == TransactionId(3162000001, roots[0].hash)
    assert newest.previous == oldest.id
    assert oldest.previous is None
    assert newest.account == oldest.account
    assert newest.account.hex().startswith("a221b4aa")
    assert (oldest.message_in, oldest.skipped) != (None, None)
    assert oldest.message_in is not None
    assert oldest.message_in.value == 100_000_000_000
    assert (oldest.skipped, oldest.exit_code, oldest.aborted) == ("no_state", None, True)
    assert (oldest.compute_ok, oldest.action_ok, oldest.action_code) == (False, False, None)
    assert newest.message_in is not None
    assert newest.message_in.source is None
    assert (newest.skipped, newest.exit_code, newest.aborted) == (None, 0, False)
    assert (newest.compute_ok, newest.action_ok, newest.action_code) == (True, True, 0)
    assert newest.time == 1795431815


def test_a_real_wallets_balance_is_what_its_transactions_left(roots: tuple[Cell, ...]) -> None:
    state = recorded_fields("getAccountState wallet v1 basechain")["state"]
    account = PytoniqAccount.deserialize(PytoniqCell.one_from_boc(state).begin_parse())
    assert sum(change(parse_transaction(root)) for root in roots) == account.storage.balance.grams


def test_real_transactions_read_as_pytoniq_reads_them(roots: tuple[Cell, ...]) -> None:
    for root in roots:
        agree(root)


MAX_BITS = 1023
"""Of a cell."""

amounts = st.integers(0, 10**18) | st.integers(0, (1 << 120) - 1)
bodies = st.builds(
    lambda data, bits, refs: cell(data, *[cell(b"ref")] * refs, tail=bits),
    st.binary(max_size=40),
    st.text("01", max_size=7),
    st.integers(0, 2),
)


@st.composite
def messages(draw: st.DrawFn) -> Cell:
    """Messages of all kinds, with everything that may be in them."""
    writer = CellBuilder()
    match draw(st.sampled_from(["internal", "in", "out"])):
        case "internal":
            writer.uint(0, 1).uint(draw(st.integers(0, 7)), 3).address(ACCOUNT).address(OTHER)
            writer.currencies(draw(amounts)).coins(draw(amounts)).coins(draw(amounts))
            writer.uint(draw(st.integers(0, 9)), 64 + 32)
        case "in":
            writer.uint(0b10, 2).address(None).address(ACCOUNT).coins(draw(amounts))
        case _:
            writer.uint(0b11, 2).address(ACCOUNT).address(None).uint(0, 64 + 32)
    init = draw(st.sampled_from(["none", "reference", "inline"]))
    state = CellBuilder().uint(0, 2).maybe_ref(cell(b"code")).maybe_ref(None).maybe_ref(None)
    match init:
        case "none":
            writer.uint(0, 1)
        case "reference":
            writer.uint(0b11, 2).ref(state.cell())
        case _:
            writer.uint(0b10, 2).rest(state.cell())
    body = draw(bodies)
    fits = Slice(writer.cell()).left + 1 + Slice(body).left <= MAX_BITS
    if draw(st.booleans()) or not fits:
        writer.uint(1, 1).ref(body)
    else:
        writer.uint(0, 1).rest(body)
    return writer.cell()


def dictionary(values: list[Cell]) -> Cell | None:
    """``HashmapE 15 ^Cell`` with keys 0, 1, 2 ..., as pytoniq writes it."""
    if not values:
        return None

    def store(source: Any, destination: Any) -> None:
        destination.store_ref(source)

    items = {index: PytoniqCell.one_from_boc(boc(value)) for index, value in enumerate(values)}
    made: Any = HashMap(key_size=15, map_=items, value_serializer=store).serialize()
    return read_one(made.to_boc())


def transaction(
    description: Cell,
    message_in: Cell | None = None,
    out: list[Cell] | None = None,
    *,
    fees: int = 7,
    previous: tuple[int, bytes] = (9, b"\x11" * 32),
    count: int | None = None,
    out_root: Cell | None = None,
) -> Cell:
    """``Transaction``."""
    out = out or []
    held = CellBuilder().maybe_ref(message_in).maybe_ref(out_root or dictionary(out)).cell()
    writer = CellBuilder().uint(0b0111, 4).take(ACCOUNT.hash).uint(10, 64)
    writer.take(previous[1]).uint(previous[0], 64).uint(1_800_000_000, 32)
    writer.uint(len(out) if count is None else count, 15).uint(0b1010, 4).ref(held)
    update = CellBuilder().uint(0x72, 8).take(bytes(64)).cell()
    return writer.currencies(fees).ref(update).ref(description).cell()


SKIPPED: Final = {"no_state": "00", "bad_state": "01", "no_gas": "10", "suspended": "110"}


def computed(
    writer: CellBuilder, *, code: int = 0, success: bool = True, credit: bool = False
) -> CellBuilder:
    details = CellBuilder().variable(5000, 3).variable(10**6, 3)
    details.uint(0b1, 1).variable(10_000, 2) if credit else details.uint(0, 1)
    details.uint(0, 8).uint(code, 32).uint(0, 1).uint(50, 32).take(bytes(64))
    return writer.uint(0b1 << 3 | success << 2, 4).coins(4000).ref(details.cell())


def acted(code: int = 0, *, fees: bool = False, skipped_messages: int = 0) -> Cell:
    writer = CellBuilder().uint((code == 0) << 2 | 0b10, 3).uint(0, 1)
    for _ in range(2):
        writer.uint(fees, 1)
        if fees:
            writer.coins(400)
    if code:
        writer.uint(code, 32).uint(1, 1).uint(2, 32)
    else:
        writer.uint(code, 32).uint(0, 1)
    writer.uint(3, 16).uint(1, 16).uint(skipped_messages, 16).uint(2 - skipped_messages, 16).take(
        bytes(32)
    )
    return writer.variable(1, 3).variable(300, 3).cell()


Compute = Callable[[CellBuilder], CellBuilder]


def ordinary(compute: Compute, action: Cell | None, *, aborted: bool) -> Cell:
    writer = CellBuilder().uint(0, 4).uint(1, 1).uint(0, 2)
    return compute(writer).maybe_ref(action).uint(aborted, 1).uint(0, 2).cell()


def with_storage_and_credit(compute: Compute, action: Cell | None, *, aborted: bool) -> Cell:
    writer = CellBuilder().uint(0, 4).uint(1, 1)
    writer.uint(1, 1).coins(55).uint(1, 1).coins(66).uint(0b10, 2)  # storage; now frozen
    writer.uint(1, 1).uint(1, 1).coins(77).currencies(88)  # credit
    bounce = CellBuilder().uint(0b1, 1).variable(1, 3).variable(300, 3).coins(5).coins(6).cell()
    writer = compute(writer).maybe_ref(action).uint(aborted, 1)
    return writer.uint(1, 1).rest(bounce).uint(0, 1).cell()


def tick(compute: Compute, action: Cell | None, *, aborted: bool) -> Cell:
    writer = CellBuilder().uint(0b0010, 4).coins(5).uint(0, 2)
    return compute(writer).maybe_ref(action).uint(aborted, 1).uint(0, 1).cell()


def skipped(bits: str) -> Compute:
    return lambda writer: writer.uint(0, 1).uint(int(bits, 2), len(bits))


GOOD: Final = ordinary(computed, acted(), aborted=False)


def outcome(root: Cell) -> tuple[str | None, int | None, bool, int | None, bool, bool]:
    found = parse_transaction(root)
    return (
        found.skipped,
        found.exit_code,
        found.compute_ok,
        found.action_code,
        found.action_ok,
        found.aborted,
    )


@pytest.mark.parametrize(
    ("compute", "action", "expected"),
    [
        pytest.param(computed, acted(), (None, 0, True, 0, True, False), id="good"),
        pytest.param(
            computed, acted(fees=True), (None, 0, True, 0, True, False), id="with action fees"
        ),
        pytest.param(
            lambda writer: computed(writer, code=33, success=False),
            None,
            (None, 33, False, None, False, True),
            id="compute failed",
        ),
        pytest.param(
            lambda writer: computed(writer, code=-14, success=False, credit=True),
            None,
            (None, -14, False, None, False, True),
            id="out of gas",
        ),
        pytest.param(computed, acted(37), (None, 0, True, 37, False, True), id="action failed"),
        *(
            pytest.param(skipped(bits), None, (reason, None, False, None, False, True), id=reason)
            for reason, bits in SKIPPED.items()
        ),
    ],
)
@pytest.mark.parametrize("describe", [ordinary, with_storage_and_credit, tick])
def test_how_it_ended(
    describe: Callable[..., Cell],
    compute: Compute,
    action: Cell | None,
    expected: tuple[Any, ...],
) -> None:
    root = transaction(describe(compute, action, aborted=expected[-1]))
    assert outcome(root) == expected
    agree(root)


@pytest.mark.parametrize(
    ("action", "skipped_messages"),
    [(acted(skipped_messages=2), 2), (acted(37, skipped_messages=1), 0)],
)
def test_messages_that_were_skipped(action: Cell, skipped_messages: int) -> None:
    root = transaction(ordinary(computed, action, aborted=False))
    assert parse_transaction(root).skipped_messages == skipped_messages
    agree(root)


def test_a_transaction_of_storage_alone() -> None:
    description = CellBuilder().uint(0b0001, 4).coins(5).uint(0, 1).uint(0, 1).cell()
    root = transaction(description)
    assert outcome(root) == (None, None, False, None, False, False)
    agree(root)


@given(
    message_in=st.none() | messages(),
    out=st.lists(messages(), max_size=5),
    fees=amounts,
    previous=st.tuples(st.integers(0, 3), st.binary(min_size=32, max_size=32)),
)
def test_any_transaction_reads_as_pytoniq_reads_it(
    message_in: Cell | None, out: list[Cell], fees: int, previous: tuple[int, bytes]
) -> None:
    agree(transaction(GOOD, message_in, out, fees=min(fees, 10**18), previous=previous))


def test_as_many_messages_as_a_transaction_can_send_in_order() -> None:
    out = [
        CellBuilder().uint(0b0100, 4).address(ACCOUNT).address(OTHER).currencies(value).coins(0)
        .coins(1).uint(0, 96).uint(0, 2).cell()
        for value in range(255)
    ]  # fmt: skip
    found = parse_transaction(transaction(GOOD, None, out))
    assert [message.value for message in found.messages_out] == list(range(255))
    assert found.fees == 7 + 255
    assert change(found) == -sum(range(255)) - found.fees


@pytest.mark.parametrize(
    ("disabled", "value"), [(False, 1 + 3), (True, 1)], ids=["a fee", "flags instead"]
)
def test_what_was_paid_for_instant_routing_reached_the_receiver(disabled: bool, value: int) -> None:
    """As a real executor of transactions counted it until such fees were abolished."""
    root = CellBuilder().uint(disabled << 2 | 0b01, 4).address(ACCOUNT).address(OTHER).currencies(1)
    message = parse_message(root.coins(3).coins(5).uint(0, 96).uint(0, 2).cell())
    assert (message.value, message.forward_fee) == (value, 5)
    assert (message.bounced, message.bounce) == (True, False)


def test_the_empty_body_is_an_empty_cell() -> None:
    root = CellBuilder().uint(0b10, 2).address(None).address(ACCOUNT).coins(0).uint(0, 2).cell()
    assert parse_message(root).body.hash == EMPTY.hash


def fork(left: Cell, right: Cell) -> Cell:
    return CellBuilder().uint(0, 2).ref(left).ref(right).cell()


def bomb() -> Cell:
    """A dictionary of 32768 messages in 17 cells."""
    message = CellBuilder().uint(0b10, 2).address(None).address(ACCOUNT).coins(0).uint(0, 2).cell()
    at = CellBuilder().uint(0, 2).ref(message).cell()
    for _ in range(15):
        at = fork(at, at)
    return at


ONE: Final = CellBuilder().uint(0b10, 2).address(None).address(ACCOUNT).coins(0).uint(0, 2).cell()


@pytest.mark.parametrize(
    "root",
    [
        pytest.param(cell(b"\x70" * 90), id="no references"),
        pytest.param(cell(b"\x80" * 90, EMPTY, EMPTY, EMPTY), id="another tag"),
        pytest.param(EMPTY, id="empty"),
        pytest.param(transaction(GOOD, None, [ONE], count=2), id="fewer messages than it says"),
        pytest.param(transaction(GOOD, None, [ONE], count=0), id="messages where it says none"),
        pytest.param(transaction(GOOD, None, count=1), id="no messages where it says one"),
        pytest.param(transaction(GOOD, None, count=32767, out_root=bomb()), id="a bomb"),
        pytest.param(
            transaction(GOOD, None, count=1, out_root=cell(b"\xff" * 4)), id="a label too long"
        ),
        pytest.param(transaction(GOOD, EMPTY), id="an empty message"),
        pytest.param(transaction(EMPTY), id="an empty description"),
        pytest.param(
            transaction(ordinary(skipped("111"), None, aborted=True)), id="an unknown reason"
        ),
        pytest.param(transaction(ordinary(computed, EMPTY, aborted=True)), id="an empty action"),
        pytest.param(
            transaction(Cell(b"\x08\x42\x02" + bytes(32))), id="a library for a description"
        ),
    ],
)
def test_what_is_no_transaction_is_a_bad_answer(root: Cell) -> None:
    with pytest.raises(BadAnswer):
        parse_transaction(root)


def test_many_messages_that_are_one_cost_little() -> None:
    root = transaction(GOOD, None, count=MAX_MESSAGES, out_root=bomb())
    assert len(parse_transaction(root).messages_out) == MAX_MESSAGES


def test_a_pruned_part_is_an_invalid_proof() -> None:
    with pytest.raises(ProofInvalid):
        parse_transaction(transaction(pruned(GOOD)))


@given(data=st.data())
def test_a_spoilt_transaction_ends_in_an_answer_or_a_bad_one(data: st.DataObject) -> None:
    message = data.draw(messages())
    root = transaction(GOOD, message, [message] * data.draw(st.integers(0, 3)))
    spoilt = spoil(root, data)
    try:
        parse_transaction(spoilt)
    except BadAnswer:
        return


def spoil(root: Cell, data: st.DataObject) -> Cell:
    """The same with one cell somewhere in it cut, changed or without its references."""
    refs = list(root.refs)
    deeper: bool = data.draw(st.booleans())
    if refs and deeper:
        index = data.draw(st.integers(0, len(refs) - 1))
        refs[index] = spoil(refs[index], data)
        return Cell(root.body, tuple(refs))
    match data.draw(st.sampled_from(["cut", "change", "refs", "swap"])):
        case "cut":
            return cell(root.body[2 : 2 + data.draw(st.integers(0, len(root.body)))], *refs)
        case "change" if len(root.body) > 2:
            at = data.draw(st.integers(2, len(root.body) - 1))
            byte = bytes((data.draw(st.integers(1, 255)),))
            return cell(root.body[2:at] + byte + root.body[at + 1 :], *refs)
        case "refs":
            return Cell(bytes((0, root.body[1])) + root.body[2:])
        case _:
            return cell(root.body[2:], *reversed(refs))


@given(data=st.binary(max_size=127), refs=st.integers(0, 4))
def test_any_cell_ends_in_an_answer_or_a_bad_one(data: bytes, refs: int) -> None:
    for parse in (parse_transaction, parse_message):
        try:
            parse(cell(data, *[ONE] * refs))
        except BadAnswer:
            continue


def change(found: Transaction) -> int:
    """By how much the account's balance changed."""
    received = found.message_in.value if found.message_in is not None else 0
    return received - sum(message.value for message in found.messages_out) - found.fees


def agree(root: Cell) -> None:
    """Compare with pytoniq's reading."""
    ours = parse_transaction(root)
    theirs = PytoniqTransaction.deserialize(PytoniqCell.one_from_boc(boc(root)).begin_parse())
    assert ours.id == (theirs.lt, root.hash)
    assert ours.account == theirs.account_addr
    assert ours.time == theirs.now
    before = (theirs.prev_trans_lt, theirs.prev_trans_hash)
    assert ours.previous == (before if theirs.prev_trans_lt else None)
    assert len(ours.messages_out) == len(theirs.out_msgs) == theirs.outmsg_cnt
    for message, other in zip(ours.messages_out, theirs.out_msgs, strict=True):
        agree_on_message(message, other)
    if theirs.in_msg is None:
        assert ours.message_in is None
    else:
        agree_on_message(ours.message_in, theirs.in_msg)
    forward_fees = sum(message.forward_fee for message in ours.messages_out)
    assert ours.fees == theirs.total_fees.grams + forward_fees
    phases: Any = theirs.description
    if phases.type_ not in {"ordinary", "tick_tock"}:
        return
    assert ours.aborted == phases.aborted
    if phases.compute_ph.type_ == "skipped":
        assert ours.skipped == phases.compute_ph.reason.type_
        assert ours.exit_code is None
    else:
        assert ours.skipped is None
        assert (ours.exit_code, ours.compute_ok) == (
            phases.compute_ph.exit_code,
            phases.compute_ph.success,
        )
    if phases.action is None:
        assert (ours.action_code, ours.action_ok, ours.skipped_messages) == (None, False, 0)
    else:
        assert (ours.action_code, ours.action_ok, ours.skipped_messages) == (
            phases.action.result_code,
            phases.action.success,
            phases.action.skipped_actions if phases.action.success else 0,
        )


def agree_on_message(ours: Any, theirs: MessageAny) -> None:
    info: Any = theirs.info
    assert ours.body.hash == theirs.body.hash
    for mine, other in ((ours.source, info.src), (ours.destination, info.dest)):
        if mine is None:
            assert getattr(other, "wc", None) is None
        else:
            assert (mine.workchain, mine.hash) == (other.wc, other.hash_part)
    flags = (ours.value, ours.forward_fee, ours.bounce, ours.bounced)
    if theirs.is_internal:
        value = info.value.grams + (0 if info.ihr_disabled else info.ihr_fee)
        assert flags == (value, info.fwd_fee, info.bounce, info.bounced)
    else:
        assert flags == (0, 0, False, False)
