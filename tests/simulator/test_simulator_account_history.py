"""What a simulated liteserver says of an account's transactions."""

import pytest

from tests.simulator.asking import ask, node
from tests.simulator.town import Town
from tonwatch.simulator.contracts.wallets.wallet import COIN
from tonwatch.simulator.servers.liteserver.node import Node
from tonwatch.simulator.servers.view import View
from tonwatch.ton.address import Address
from tonwatch.ton.boc import read_boc
from tonwatch.ton.tl import Fields
from tonwatch.ton.transactions import TransactionId, parse_transaction


def transactions(asked: Node, address: Address, last: TransactionId, count: int = 10) -> Fields:
    account = {"workchain": address.workchain, "id": address.hash.hex()}
    return ask(
        asked, "getTransactions", count=count, account=account, lt=last.lt, hash=last.hash.hex()
    )


def last_of(town: Town, address: Address) -> TransactionId:
    account = town.accounts.get(address)
    assert account is not None
    assert account.last is not None
    return account.last


def test_transactions_come_newest_first_with_their_blocks(town: Town) -> None:
    address = town.wallet().address
    answer = transactions(node(town), address, last_of(town, address))
    parsed = [parse_transaction(root) for root in read_boc(answer["transactions"])]
    assert [each.id for each in parsed] == [each.id for each in town.history(address)][::-1]
    assert len(parsed) == 3
    for each, block in zip(parsed, answer["ids"], strict=True):
        master = town.chain.block(block["seqno"])
        assert master is not None
        assert master.shard is not None
        assert master.shard.id.root_hash.hex() == block["root_hash"]
        assert master.shard.header.start_lt < each.id.lt < master.shard.header.end_lt


def test_a_page_has_as_many_as_are_asked_for_and_16_at_most(town: Town) -> None:
    address = town.wallet().address
    assert len(transactions(node(town), address, last_of(town, address), 2)["ids"]) == 2
    busy = Town(["payroll"], payouts_per_minute=60)
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
    town: Town, change: dict[str, object], code: int, text: str
) -> None:
    address = town.wallet().address
    wanted = last_of(town, address)._replace(**change)  # type: ignore[arg-type]
    answer = transactions(node(town), address, wanted)
    assert answer["code"] == code
    assert text in answer["message"]


def test_pruned_history_ends_early_or_is_not_there() -> None:
    town = Town(["payroll"])
    for _ in range(2):
        town.world.pay("payroll", COIN)
        town.run(30)
    address = town.wallet().address
    last = last_of(town, address)
    counts = [
        len(transactions(node(town, remembers=seconds), address, last).get("ids", ()))
        for seconds in (None, 45.0, 10.0)
    ]
    assert counts == [2, 1, 0]
    gone = transactions(node(town, remembers=10.0), address, last)["message"]
    assert "cannot locate transaction in block" in gone


def test_a_node_that_is_behind_does_not_know_them_yet(town: Town) -> None:
    address = town.wallet().address
    old = town.chain.block(1)
    assert old is not None
    behind = Node(View(town.chain, town.chain.head, old), town.clock.now)
    answer = transactions(behind, address, last_of(town, address))
    assert "possibly out of sync: shard_client_seqno=1 ls_seqno=" in answer["message"]
