"""External messages to simulated contracts: accepted once, or rejected with the node's texts."""

import pytest

from tests.simulator.node_queries import UNUSED_ADDRESS, all_addresses, ask, node
from tests.simulator.wallet_network import WALLETS, WalletNetwork
from tonwatch.simulator.chain.external_messages import ContractThrew
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.simulator.contracts.wallets.kinds import signed_body
from tonwatch.simulator.contracts.wallets.wallet import COIN, Wallet
from tonwatch.ton.address import Address
from tonwatch.ton.cells import cell as cells
from tonwatch.ton.cells.cell import cell
from tonwatch.ton.contracts.wallets import REJECTIONS, exit_code, unacceptable_message
from tonwatch.ton.liteserver.tl import Fields


def send(network: WalletNetwork, message: bytes, **wrong: object) -> Fields:
    return ask(node(network, **wrong), "sendMessage", body=message)


def signed_message(wallet: Wallet, now: float) -> bytes:
    """A message signed by the owner."""
    body = signed_body(wallet.wallet_kind, wallet.key, wallet.seqno, int(now), ())
    return cells.boc(SimMessage(source=None, destination=wallet.address, body=body).cell)


def test_every_wallet_rejects_the_unacceptable_message(network: WalletNetwork) -> None:
    for wallet in network.world.wallets:
        message = unacceptable_message(wallet.wallet_kind, wallet.address, bytes(range(64)))
        answer = send(network, message)
        assert answer["code"] == -701
        assert exit_code(answer["message"]) in REJECTIONS[wallet.wallet_kind]
        # It may be sent again: only accepted messages are duplicates.
        assert send(network, message) == answer


@pytest.mark.parametrize("name", WALLETS)
def test_the_owners_message_is_executed_once(name: str) -> None:
    network = WalletNetwork()
    wallet = network.wallet(name)
    message = signed_message(wallet, network.clock.now)
    assert send(network, message)["status"] == 1
    again = send(network, message)
    assert (again["code"], again["message"]) == (
        0,
        "cannot send external message : duplicate message",
    )
    older = "cannot apply external message to current state : duplicate message"
    assert send(network, message, legacy=True)["message"] == older
    network.run(2)
    (only,) = network.history(wallet.address)
    assert only.messages_out == ()
    assert (only.compute_ok, only.action_ok, wallet.seqno) == (True, True, 1)


def test_a_message_whose_seqno_was_used_meanwhile_is_dropped() -> None:
    network = WalletNetwork(["payroll"])
    first = signed_message(network.wallet(), network.clock.now)
    other = signed_message(network.wallet(), network.clock.now + 1)
    assert [send(network, each)["status"] for each in (first, other)] == [1, 1]
    network.run(2)
    assert len(network.history(network.wallet().address)) == 1


def test_payouts_are_messages_that_the_wallets_own_checks_accept() -> None:
    network = WalletNetwork()
    for wallet in network.world.wallets:
        account = network.accounts.get(wallet.address)
        assert account is not None
        network.world.pay(wallet.name, COIN)
        network.run(2)
        (paid,) = network.history(wallet.address)
        assert paid.message_in is not None
        wallet.seqno = 0
        try:
            wallet.receive_external(account, paid.message_in.body, paid.time)
        except ContractThrew as thrown:
            pytest.fail(f"{wallet.wallet_kind}: {thrown}")


def external(address: Address) -> bytes:
    return cells.boc(SimMessage(source=None, destination=address, body=cell(b"hello")).cell)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unused", "Failed to unpack account state"),
        ("filler account", "exitcode=0, steps=0, gas_used=0"),
        ("registry", "exitcode=11"),
        ("payroll's usdt", "exitcode=11"),
        ("payroll", "exitcode=9"),
    ],
)
def test_messages_to_accounts_that_accept_none(
    network: WalletNetwork, name: str, text: str
) -> None:
    answer = send(network, external(all_addresses(network).get(name, UNUSED_ADDRESS)))
    assert answer["code"] == (0 if name == "unused" else -701)
    assert answer["message"].startswith("cannot apply external message to current state : ")
    assert text in answer["message"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"garbage!", "cannot deserialize bag-of-cells: invalid header, error 0"),
        (cells.boc(cell(b"\0")), "cannot unpack external message header"),
        (cells.boc(cell()), "cannot unpack external message header"),
    ],
    ids=["bytes", "internal", "empty"],
)
def test_what_is_no_message(network: WalletNetwork, message: bytes, text: str) -> None:
    assert text in send(network, message)["message"]


def test_a_node_that_rejects_all_gives_the_reason(network: WalletNetwork) -> None:
    answer = send(
        network, signed_message(network.wallet(), network.clock.now), rejects_externals=True
    )
    assert answer["code"] == 0
    assert "configuration parameter 43 is invalid" in answer["message"]


def test_a_node_that_runs_no_contract_gives_no_exit_code(network: WalletNetwork) -> None:
    wallet = network.wallet()
    message = unacceptable_message(wallet.wallet_kind, wallet.address, bytes(64))
    answer = send(network, message, undecided_externals=True)
    assert answer["code"] == -701
    assert answer["message"] == (
        "cannot apply external message to current state : External message was not accepted: "
        "cannot run message on account: inbound external message rejected by account "
        f"{wallet.address.hash.hex().upper()} before smart-contract execution"
    )
    assert exit_code(answer["message"]) is None
    accepted = signed_message(wallet, network.clock.now)
    assert send(network, accepted, undecided_externals=True)["code"] == -701
    unreadable = send(network, b"garbage!", undecided_externals=True)
    assert "cannot deserialize bag-of-cells" in unreadable["message"]
