"""Messages from outside to simulated contracts: taken once, or refused in the node's words."""

import pytest

from tests.simulator.asking import NOBODY, ask, everybody, node
from tests.simulator.town import WALLETS, Town
from tonwatch.simulator.chain.external_messages import ContractThrew
from tonwatch.simulator.chain.messages import Letter
from tonwatch.simulator.contracts.wallets.kinds import signed_body
from tonwatch.simulator.contracts.wallets.wallet import COIN, Wallet
from tonwatch.ton import cells
from tonwatch.ton.address import Address
from tonwatch.ton.cells import cell
from tonwatch.ton.tl import Fields
from tonwatch.ton.wallets import REJECTIONS, exit_code, unacceptable_message


def send(town: Town, message: bytes, **wrong: object) -> Fields:
    return ask(node(town, **wrong), "sendMessage", body=message)


def order(wallet: Wallet, now: float) -> bytes:
    """What only the owner can write."""
    body = signed_body(wallet.contract, wallet.key, wallet.orders, int(now), ())
    return cells.boc(Letter(source=None, destination=wallet.address, body=body).cell)


def test_every_wallet_refuses_what_cannot_be_accepted(town: Town) -> None:
    for wallet in town.world.wallets:
        message = unacceptable_message(wallet.contract, wallet.address, bytes(range(64)))
        answer = send(town, message)
        assert answer["code"] == 0
        assert exit_code(answer["message"]) in REJECTIONS[wallet.contract]
        name = wallet.address.hash.hex().upper()
        assert answer["message"].startswith(
            "cannot apply external message to current state : External message was not accepted\n"
            "Cannot run message on account: inbound external message rejected by transaction "
            f"{name}:\nexitcode="
        )
        # It may be sent again: only what was accepted is remembered.
        assert send(town, message) == answer


@pytest.mark.parametrize("name", WALLETS)
def test_the_owners_order_is_carried_out_once(name: str) -> None:
    town = Town()
    wallet = town.wallet(name)
    message = order(wallet, town.clock.now)
    assert send(town, message)["status"] == 1
    assert "duplicate message" in send(town, message)["message"]
    town.run(2)
    (only,) = town.history(wallet.address)
    assert only.messages_out == ()
    assert (only.compute_ok, only.action_ok, wallet.orders) == (True, True, 1)


def test_an_order_that_has_become_void_meanwhile_is_dropped() -> None:
    town = Town(["payroll"])
    first = order(town.wallet(), town.clock.now)
    other = order(town.wallet(), town.clock.now + 1)
    assert [send(town, each)["status"] for each in (first, other)] == [1, 1]
    town.run(2)
    assert len(town.history(town.wallet().address)) == 1


def test_payouts_are_orders_that_the_wallets_own_checks_accept() -> None:
    town = Town()
    for wallet in town.world.wallets:
        account = town.accounts.get(wallet.address)
        assert account is not None
        town.world.pay(wallet.name, COIN)
        town.run(2)
        (paid,) = town.history(wallet.address)
        assert paid.message_in is not None
        wallet.orders = 0
        try:
            wallet.accept(account, paid.message_in.body, paid.time)
        except ContractThrew as thrown:
            pytest.fail(f"{wallet.contract}: {thrown}")


def external(address: Address) -> bytes:
    return cells.boc(Letter(source=None, destination=address, body=cell(b"hello")).cell)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nobody", "Failed to unpack account state"),
        ("somebody", "exitcode=0, steps=0, gas_used=0"),
        ("registry", "exitcode=11"),
        ("payroll's usdt", "exitcode=11"),
        ("payroll", "exitcode=9"),
    ],
)
def test_messages_to_accounts_that_take_none(town: Town, name: str, text: str) -> None:
    answer = send(town, external(everybody(town).get(name, NOBODY)))
    assert answer["code"] == 0
    assert answer["message"].startswith("cannot apply external message to current state : ")
    assert text in answer["message"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"garbage!", "cannot deserialize bag-of-cells: invalid header, error 0"),
        (cells.boc(cell(b"\0")), "failed to parse external message"),
        (cells.boc(cell()), "failed to parse external message"),
    ],
    ids=["bytes", "internal", "empty"],
)
def test_what_is_no_message(town: Town, message: bytes, text: str) -> None:
    assert text in send(town, message)["message"]


def test_a_node_that_rejects_all_says_why(town: Town) -> None:
    answer = send(town, order(town.wallet(), town.clock.now), rejects=True)
    assert answer["code"] == 0
    assert "configuration parameter 43 is invalid" in answer["message"]
