"""A simulated liteserver's answers about transactions."""

import pytest

from tests.simulator.node_queries import ask, node
from tests.simulator.wallet_network import WalletNetwork
from tonwatch.simulator.contracts.wallets.wallet import COIN
from tonwatch.simulator.servers.liteserver.node_state import NodeState
from tonwatch.simulator.servers.view import View
from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_boc
from tonwatch.ton.contracts.transactions import TransactionId, parse_transaction
from tonwatch.ton.liteserver.tl import Fields


def transactions(
    asked: NodeState, address: Address, last: TransactionId, count: int = 10
) -> Fields:
    account = {"workchain": address.workchain, "id": address.hash.hex()}
    return ask(
        asked, "getTransactions", count=count, account=account, lt=last.lt, hash=last.hash.hex()
    )


def last_of(network: WalletNetwork, address: Address) -> TransactionId:
    account = network.accounts.get(address)
    assert account is not None
    assert account.last is not None
    return account.last


def test_transactions_come_newest_first_with_their_blocks(network: WalletNetwork) -> None:
    address = network.wallet().address
    answer = transactions(node(network), address, last_of(network, address))
    parsed = [parse_transaction(root) for root in read_boc(answer["transactions"])]
    assert [each.id for each in parsed] == [each.id for each in network.history(address)][::-1]
    assert len(parsed) == 3
    for each, block in zip(parsed, answer["ids"], strict=True):
        master = network.chain.block(block["seqno"])
        assert master is not None
        assert master.shard is not None
        assert master.shard.id.root_hash.hex() == block["root_hash"]
        assert master.shard.header.start_lt < each.id.lt < master.shard.header.end_lt


def test_a_page_has_as_many_as_are_asked_for_and_16_at_most(network: WalletNetwork) -> None:
    address = network.wallet().address
    assert len(transactions(node(network), address, last_of(network, address), 2)["ids"]) == 2
    busy = WalletNetwork(["payroll"], payouts_per_minute=60)
    busy.run(40)
    found = transactions(
        node(busy), busy.wallet().address, last_of(busy, busy.wallet().address), 99
    )
    assert len(found["ids"]) == 16


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"hash": bytes(32)}, -400, "transaction hash mismatch"),
        ({"lt": 5}, -400, "cannot locate transaction in block"),
    ],
    ids=["hash", "lt"],
)
def test_transactions_that_are_not_there(
    network: WalletNetwork, change: dict[str, object], code: int, text: str
) -> None:
    address = network.wallet().address
    wanted = last_of(network, address)._replace(**change)  # type: ignore[arg-type]
    answer = transactions(node(network), address, wanted)
    assert answer["code"] == code
    assert text in answer["message"]


def test_pruned_history_ends_early_or_is_not_there() -> None:
    network = WalletNetwork(["payroll"])
    for _ in range(2):
        network.world.pay("payroll", COIN)
        network.run(30)
    address = network.wallet().address
    last = last_of(network, address)
    counts = [
        len(transactions(node(network, history=seconds), address, last).get("ids", ()))
        for seconds in (None, 45.0, 10.0)
    ]
    assert counts == [2, 1, 0]
    gone = transactions(node(network, history=10.0), address, last)["message"]
    assert "cannot locate transaction in block" in gone


def test_a_node_that_is_behind_does_not_know_them_yet(network: WalletNetwork) -> None:
    address = network.wallet().address
    old = network.chain.block(1)
    assert old is not None
    behind = NodeState(View(network.chain, network.chain.head, old), network.clock.now)
    answer = transactions(behind, address, last_of(network, address))
    assert "possibly out of sync: shard_client_seqno=1 ls_seqno=" in answer["message"]
