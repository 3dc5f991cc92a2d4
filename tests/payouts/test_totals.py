"""What each kind of transaction adds to an account's totals."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.payouts.transactions import (
    BURN,
    BURN_NOTIFICATION,
    COIN,
    EXCESSES,
    EXTERNAL,
    FRIEND,
    INTERNAL_TRANSFER,
    JETTON_WALLET,
    TRANSFER,
    WALLET,
    body,
    message,
    transaction,
)
from tonwatch.payouts.totals import count_jetton, count_native
from tonwatch.samples.payouts import MAX_CODES, OTHER_CODE, RECENT, Totals, Trouble, TroubleKind
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, cell
from tonwatch.ton.contracts.transactions import Message, Transaction, TransactionId

MASTER: Final = FRIEND
FAILED: Final[Mapping[str, Any]] = {
    "compute_ok": False,
    "exit_code": 706,
    "aborted": True,
    "action_code": None,
    "action_ok": False,
}
ACTION_FAILED: Final[Mapping[str, Any]] = {
    "aborted": True,
    "action_code": 37,
    "action_ok": False,
}
SKIPPED: Final[Mapping[str, Any]] = {
    "skipped": "no_gas",
    "exit_code": None,
    "compute_ok": False,
    "aborted": True,
    "action_code": None,
    "action_ok": False,
}
NO_PHASES: Final[Mapping[str, Any]] = {
    "exit_code": None,
    "compute_ok": False,
    "action_code": None,
    "action_ok": False,
}


def pays(value: int, **fields: Any) -> Message:
    return message(value, source=WALLET, destination=FRIEND, **fields)


def to_itself(value: int, **fields: Any) -> Message:
    return message(value, source=WALLET, destination=WALLET, **fields)


def to_jetton_wallet(operation: int) -> Message:
    return message(
        COIN // 20, source=WALLET, destination=JETTON_WALLET, body=body(operation, 5_000_000)
    )


NATIVE: Final[Mapping[str, tuple[Transaction, Mapping[str, Any]]]] = {
    "one payment": (
        transaction(EXTERNAL, pays(2 * COIN), fees=5_000_000),
        {"sent_amount": 2 * COIN, "sent_messages": 1, "fees_amount": 5_000_000},
    ),
    "several payments": (
        transaction(EXTERNAL, pays(COIN), pays(2 * COIN), pays(0)),
        {"sent_amount": 3 * COIN, "sent_messages": 3},
    ),
    "no payment": (transaction(EXTERNAL, fees=7), {"fees_amount": 7}),
    "coins come in": (transaction(message(COIN)), {"received_amount": COIN}),
    "coins come in and some go out": (
        transaction(message(COIN), pays(COIN // 2)),
        {"received_amount": COIN, "sent_amount": COIN // 2, "sent_messages": 1},
    ),
    "a payment comes back": (
        transaction(message(COIN, bounced=True)),
        {"bounced_amount": COIN, "bounced_messages": 1},
    ),
    "a transfer of jettons": (
        transaction(EXTERNAL, to_jetton_wallet(TRANSFER)),
        {"sent_amount": COIN // 20},
    ),
    "a burn of jettons": (
        transaction(EXTERNAL, to_jetton_wallet(BURN)),
        {"sent_amount": COIN // 20, "sent_messages": 1},
    ),
    "coins for the jetton wallet": (
        transaction(EXTERNAL, message(COIN, source=WALLET, destination=JETTON_WALLET)),
        {"sent_amount": COIN, "sent_messages": 1},
    ),
    "a transfer's body for another contract": (
        transaction(EXTERNAL, pays(COIN, body=body(TRANSFER, 5))),
        {"sent_amount": COIN, "sent_messages": 1},
    ),
    "an order to itself": (
        transaction(EXTERNAL, to_itself(COIN)),
        {"in_flight_amount": COIN},
    ),
    "an order from itself": (
        transaction(to_itself(COIN), pays(COIN // 2), fees=5),
        {"in_flight_amount": -COIN, "sent_amount": COIN // 2, "sent_messages": 1, "fees_amount": 5},
    ),
    "an order from itself, and one more": (
        transaction(to_itself(COIN), to_itself(COIN // 2)),
        {"in_flight_amount": -COIN + COIN // 2},
    ),
    "an order to itself fails": (
        transaction(to_itself(COIN), to_itself(COIN - 9, bounced=True), **FAILED),
        {"in_flight_amount": -9, "failed_transactions": {("compute", 706): 1}},
    ),
    "an order to itself comes back": (
        transaction(to_itself(COIN - 9, bounced=True)),
        {"in_flight_amount": -(COIN - 9)},
    ),
    "coins for the same hash in another workchain": (
        transaction(EXTERNAL, message(COIN, source=WALLET, destination=Address(-1, WALLET.hash))),
        {"sent_amount": COIN, "sent_messages": 1},
    ),
    "coins from the same hash in another workchain": (
        transaction(message(COIN, source=Address(-1, WALLET.hash))),
        {"received_amount": COIN},
    ),
    "a log entry": (
        transaction(EXTERNAL, message(0, source=WALLET, destination=None)),
        {},
    ),
    "coins that it sends back itself": (
        transaction(message(COIN), pays(COIN - 9, bounced=True), **SKIPPED),
        {"received_amount": COIN, "sent_amount": COIN - 9, "compute_skipped": {"no_gas": 1}},
    ),
    "the compute phase fails": (
        transaction(message(COIN), **FAILED),
        {"received_amount": COIN, "failed_transactions": {("compute", 706): 1}},
    ),
    "the action phase fails": (
        transaction(EXTERNAL, **ACTION_FAILED),
        {"failed_transactions": {("action", 37): 1}},
    ),
    "a success with another exit code": (transaction(EXTERNAL, exit_code=1), {}),
    "an error after what was done is kept": (
        transaction(EXTERNAL, exit_code=137),
        {"failed_transactions": {("compute", 137): 1}},
    ),
    "messages that are passed over": (
        transaction(EXTERNAL, pays(COIN), skipped_messages=2),
        {"sent_amount": COIN, "sent_messages": 1, "skipped_messages": 2},
    ),
    "skipped": (transaction(EXTERNAL, **SKIPPED), {"compute_skipped": {"no_gas": 1}}),
    "storage alone": (transaction(None, fees=3, **NO_PHASES), {"fees_amount": 3}),
}


@pytest.mark.parametrize(("one", "adds"), NATIVE.values(), ids=NATIVE.keys())
def test_native(one: Transaction, adds: Mapping[str, Any]) -> None:
    totals = count_native(Totals(), one, {JETTON_WALLET})
    assert sums(totals) == expected(one, adds)


def jetton(operation: int, source: Any = WALLET, **fields: Any) -> Transaction:
    return transaction(
        message(COIN, source=source, destination=JETTON_WALLET, body=body(operation, 5_000_000)),
        **{"account": JETTON_WALLET.hash, **fields},
    )


def jettons_to_itself(*, bounced: bool = False) -> Message:
    return message(
        COIN,
        source=JETTON_WALLET,
        destination=JETTON_WALLET,
        bounced=bounced,
        body=body(INTERNAL_TRANSFER, 5_000_000, bounced=bounced),
    )


def bounced(operation: int, **fields: Any) -> Transaction:
    content = body(operation, 5_000_000, bounced=True)
    return transaction(message(COIN, bounced=True, body=content), **fields)


JETTONS: Final[Mapping[str, tuple[Transaction, Mapping[str, Any]]]] = {
    "a transfer": (
        jetton(TRANSFER, fees=9),
        {"sent_amount": 5_000_000, "sent_messages": 1, "fees_amount": 9},
    ),
    "a transfer without an order of the owner": (
        jetton(TRANSFER, source=MASTER),
        {"sent_amount": 5_000_000},
    ),
    "a transfer that fails": (
        jetton(TRANSFER, **FAILED),
        {"failed_transactions": {("compute", 706): 1}},
    ),
    "a transfer whose action fails": (
        jetton(TRANSFER, **ACTION_FAILED),
        {"failed_transactions": {("action", 37): 1}},
    ),
    "a transfer without gas": (jetton(TRANSFER, **SKIPPED), {"compute_skipped": {"no_gas": 1}}),
    "a transfer whose change is passed over": (
        jetton(TRANSFER, skipped_messages=1),
        {"sent_amount": 5_000_000, "sent_messages": 1},
    ),
    "a transfer from outside": (jetton(TRANSFER, source=None), {}),
    "a transfer to itself": (
        jetton(TRANSFER, messages_out=(jettons_to_itself(),), fees=9),
        {"in_flight_amount": 5_000_000, "fees_amount": 9},
    ),
    "a transfer from itself": (
        jetton(INTERNAL_TRANSFER, source=JETTON_WALLET),
        {"in_flight_amount": -5_000_000},
    ),
    "a transfer from itself that it refuses": (
        jetton(INTERNAL_TRANSFER, source=JETTON_WALLET, **FAILED),
        {"failed_transactions": {("compute", 706): 1}},
    ),
    "a transfer to itself comes back": (
        transaction(jettons_to_itself(bounced=True)),
        {"in_flight_amount": -5_000_000},
    ),
    "a transfer with another message to itself": (
        jetton(
            TRANSFER, messages_out=(message(1, source=JETTON_WALLET, destination=JETTON_WALLET),)
        ),
        {"sent_amount": 5_000_000, "sent_messages": 1},
    ),
    "a burn": (jetton(BURN), {"sent_amount": 5_000_000}),
    "jettons come in": (jetton(INTERNAL_TRANSFER, source=FRIEND), {"received_amount": 5_000_000}),
    "jettons that it refuses": (
        jetton(INTERNAL_TRANSFER, source=FRIEND, **FAILED),
        {"failed_transactions": {("compute", 706): 1}},
    ),
    "a transfer comes back": (
        bounced(INTERNAL_TRANSFER),
        {"bounced_amount": 5_000_000, "bounced_messages": 1},
    ),
    "a burn comes back": (
        bounced(BURN_NOTIFICATION),
        {"bounced_amount": 5_000_000, "bounced_messages": 1},
    ),
    "a transfer comes back and is not taken": (
        bounced(INTERNAL_TRANSFER, **FAILED),
        {"bounced_messages": 1, "failed_transactions": {("compute", 706): 1}},
    ),
    "something else comes back": (bounced(EXCESSES), {"bounced_messages": 1}),
    "a bounce without a body": (transaction(message(bounced=True)), {"bounced_messages": 1}),
    "excesses": (jetton(EXCESSES), {}),
    "coins alone": (transaction(message(COIN)), {}),
    "a body cut short": (transaction(message(body=cell(head=f"{TRANSFER:032b}"))), {}),
    "storage alone": (transaction(None, fees=3, **NO_PHASES), {"fees_amount": 3}),
}


@pytest.mark.parametrize(("one", "adds"), JETTONS.values(), ids=JETTONS.keys())
def test_jetton(one: Transaction, adds: Mapping[str, Any]) -> None:
    totals = count_jetton(Totals(), one, WALLET)
    assert sums(totals) == expected(one, adds)


def sums(totals: Totals) -> dict[str, Any]:
    return {
        name: getattr(totals, name)
        for name in Totals.__dataclass_fields__
        if name != "recent" and getattr(totals, name)
    }


def expected(one: Transaction, adds: Mapping[str, Any]) -> dict[str, Any]:
    return {"transactions": 1, "last_time": one.time, **adds}


TROUBLES: Final[Mapping[str, tuple[Transaction, list[Trouble]]]] = {
    "none": (transaction(), []),
    "failed": (
        transaction(EXTERNAL, **FAILED),
        [Trouble(1_800_000_000, TroubleKind.FAILED, "compute", 706, 1000)],
    ),
    "action failed": (
        transaction(EXTERNAL, **ACTION_FAILED),
        [Trouble(1_800_000_000, TroubleKind.FAILED, "action", 37, 1000)],
    ),
    "skipped": (
        transaction(EXTERNAL, **SKIPPED),
        [Trouble(1_800_000_000, TroubleKind.COMPUTE_SKIPPED, "compute", None, 1000, "no_gas")],
    ),
    "bounced, and that failed": (
        transaction(message(COIN, bounced=True), **FAILED),
        [
            Trouble(1_800_000_000, TroubleKind.BOUNCED, "", None, 1000),
            Trouble(1_800_000_000, TroubleKind.FAILED, "compute", 706, 1000),
        ],
    ),
    "another sender's failed": (transaction(message(COIN), **FAILED), []),
    "another sender's skipped": (transaction(message(COIN), **SKIPPED), []),
}


@pytest.mark.parametrize(("one", "troubles"), TROUBLES.values(), ids=TROUBLES.keys())
def test_troubles(one: Transaction, troubles: list[Trouble]) -> None:
    assert list(count_native(Totals(), one, ()).recent) == troubles
    assert list(count_jetton(Totals(), one, WALLET).recent) == troubles


@pytest.mark.parametrize(
    ("one", "count"),
    [
        pytest.param(jetton(TRANSFER, **FAILED), 1, id="its owner's order"),
        pytest.param(jetton(TRANSFER, source=FRIEND, **FAILED), 0, id="another sender's"),
        pytest.param(jetton(INTERNAL_TRANSFER, source=FRIEND, **SKIPPED), 0, id="jettons come in"),
    ],
)
def test_troubles_of_a_jetton_wallet(one: Transaction, count: int) -> None:
    assert len(count_jetton(Totals(), one, WALLET).recent) == count


def test_skipped_messages_are_a_trouble_of_wallets_only() -> None:
    one = transaction(EXTERNAL, skipped_messages=3)
    trouble = Trouble(1_800_000_000, TroubleKind.MESSAGE_SKIPPED, "action", None, 1000)
    assert count_native(Totals(), one, ()).recent == (trouble,)
    assert count_jetton(Totals(), one, WALLET).recent == ()
    assert count_native(Totals(), transaction(message(COIN), skipped_messages=1), ()).recent == ()


def test_a_message_from_itself_is_an_order() -> None:
    """Highload wallets send their orders to themselves."""
    one = transaction(message(source=WALLET), **ACTION_FAILED)
    assert len(count_native(Totals(), one, ()).recent) == 1


def test_adds_up_without_changing_the_totals_before() -> None:
    first = count_native(Totals(), transaction(EXTERNAL, pays(COIN), fees=1, time=10), ())
    second = count_native(first, transaction(EXTERNAL, pays(COIN), fees=2, time=20), ())
    third = count_native(second, transaction(EXTERNAL, **ACTION_FAILED), ())
    fourth = count_native(third, transaction(EXTERNAL, **ACTION_FAILED), ())
    assert (first.transactions, first.sent_amount, first.fees_amount, first.last_time) == (
        1,
        COIN,
        1,
        10,
    )
    assert (second.transactions, second.sent_amount, second.fees_amount, second.last_time) == (
        2,
        2 * COIN,
        3,
        20,
    )
    assert third.failed_transactions == {("action", 37): 1}
    assert fourth.failed_transactions == {("action", 37): 2}


def test_exit_codes_are_bounded() -> None:
    totals = Totals()
    for code in range(1000):
        failed = transaction(
            EXTERNAL, id=TransactionId(code, bytes(32)), **{**FAILED, "exit_code": 2 + code}
        )
        totals = count_native(totals, failed, ())
    assert [trouble.lt for trouble in totals.recent] == list(range(1000 - RECENT, 1000))
    assert len(totals.failed_transactions) == MAX_CODES + 1
    assert totals.failed_transactions["compute", OTHER_CODE] == 1000 - MAX_CODES
    assert sum(totals.failed_transactions.values()) == 1000


def test_totals_explain_balances() -> None:
    """The equation of the module's docstring, over all tables."""
    totals, balance = Totals(), 0
    for one, _ in NATIVE.values():
        totals = count_native(totals, one, {JETTON_WALLET})
        balance += one.message_in.value if one.message_in else 0
        balance -= sum(out.value for out in one.messages_out) + one.fees
    assert (
        totals.received_amount
        + totals.bounced_amount
        - totals.sent_amount
        - totals.fees_amount
        - totals.in_flight_amount
        == balance
    )


class Account:
    """A wallet's balance on the chain, and the totals of its transactions."""

    def __init__(self, balance: int) -> None:
        self.opening = self.balance = balance
        self.totals = Totals()

    def run(self, one: Transaction, *, counted: bool = True) -> None:
        self.balance += one.message_in.value if one.message_in else 0
        self.balance -= sum(out.value for out in one.messages_out) + one.fees
        if counted:
            self.totals = count_native(self.totals, one, {JETTON_WALLET})
        else:
            self.opening = self.balance

    @property
    def balance_by_totals(self) -> int:
        totals = self.totals
        changed = (
            totals.received_amount
            + totals.bounced_amount
            - totals.sent_amount
            - totals.fees_amount
            - totals.in_flight_amount
        )
        return self.opening + changed


BALANCE: Final = 5_000 * COIN
FEE: Final = COIN // 100


def sends_itself(value: int) -> Transaction:
    """The order of a highload v3 wallet: a message to itself with nearly all its coins."""
    order = cell(b"\xae\x42\xe5\xa4" + bytes(8), cell(b"the list of actions"))
    return transaction(EXTERNAL, to_itself(value, body=order), fees=FEE)


def carries_out(value: int, *payouts: int) -> Transaction:
    return transaction(to_itself(value), *(pays(payout) for payout in payouts), fees=FEE)


class TestHighloadV3:
    """It sends nearly all its coins to itself; that message makes the payouts."""

    SENT: Final = BALANCE - 6 * COIN

    def test_only_payouts_count_as_sent(self) -> None:
        wallet = Account(BALANCE)
        wallet.run(sends_itself(self.SENT))
        assert (wallet.totals.sent_amount, wallet.totals.in_flight_amount) == (0, self.SENT)
        assert wallet.balance_by_totals == wallet.balance == 6 * COIN - FEE
        wallet.run(carries_out(self.SENT, COIN, COIN, COIN, COIN, COIN))
        totals = wallet.totals
        assert (totals.sent_amount, totals.received_amount, totals.bounced_amount) == (
            5 * COIN,
            0,
            0,
        )
        assert (totals.sent_messages, totals.fees_amount, totals.in_flight_amount) == (
            5,
            2 * FEE,
            0,
        )
        assert wallet.balance_by_totals == wallet.balance == BALANCE - 5 * COIN - 2 * FEE

    def test_counting_begins_while_coins_are_in_flight(self) -> None:
        wallet = Account(BALANCE)
        wallet.run(sends_itself(self.SENT), counted=False)
        wallet.run(carries_out(self.SENT, COIN))
        assert (wallet.totals.sent_amount, wallet.totals.in_flight_amount) == (COIN, -self.SENT)
        assert wallet.balance_by_totals == wallet.balance
        wallet.run(sends_itself(self.SENT))
        wallet.run(carries_out(self.SENT, COIN))
        assert (wallet.totals.sent_amount, wallet.totals.in_flight_amount) == (2 * COIN, -self.SENT)
        assert wallet.balance_by_totals == wallet.balance

    def test_the_order_fails_and_bounces(self) -> None:
        wallet = Account(BALANCE)
        wallet.run(sends_itself(self.SENT))
        back = to_itself(self.SENT - FEE, bounced=True)
        wallet.run(transaction(to_itself(self.SENT), back, fees=FEE, **FAILED))
        assert wallet.balance_by_totals == wallet.balance
        wallet.run(transaction(back, fees=FEE))
        totals = wallet.totals
        assert (
            totals.sent_amount,
            totals.received_amount,
            totals.bounced_amount,
            totals.in_flight_amount,
        ) == (0, 0, 0, 0)
        assert (totals.sent_messages, totals.bounced_messages) == (0, 0)
        assert [trouble.kind for trouble in totals.recent] == [TroubleKind.FAILED]
        assert wallet.balance_by_totals == wallet.balance

    def test_the_payouts_fail_in_the_action_phase(self) -> None:
        wallet = Account(BALANCE)
        wallet.run(sends_itself(self.SENT))
        wallet.run(transaction(to_itself(self.SENT), fees=FEE, **ACTION_FAILED))
        assert (wallet.totals.sent_amount, wallet.totals.in_flight_amount) == (0, 0)
        assert wallet.totals.failed_transactions == {("action", 37): 1}
        assert [trouble.kind for trouble in wallet.totals.recent] == [TroubleKind.FAILED]
        assert wallet.balance_by_totals == wallet.balance

    def test_incoming_payments_meanwhile(self) -> None:
        wallet = Account(BALANCE)
        wallet.run(sends_itself(self.SENT))
        wallet.run(transaction(message(COIN)))
        wallet.run(carries_out(self.SENT, COIN))
        assert (
            wallet.totals.received_amount,
            wallet.totals.sent_amount,
            wallet.totals.in_flight_amount,
        ) == (
            COIN,
            COIN,
            0,
        )
        assert wallet.balance_by_totals == wallet.balance


def test_any_message_body() -> None:
    for content in (
        Cell(bytes((0, 0))),
        cell(b"\xff" * 32),
        cell(b"\x0f\x8a\x7e\xa5" + b"\xff" * 90),
    ):
        for flag in (False, True):
            one = transaction(message(body=content, bounced=flag))
            assert count_jetton(Totals(), one, WALLET).transactions == 1
