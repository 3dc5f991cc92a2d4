"""Errors of simulated liteservers have the codes and words that real nodes sent."""

import re
from collections.abc import Callable

import pytest

from tests.simulator.node_queries import UNUSED_ADDRESS
from tests.simulator.wallet_network import WALLETS, WalletNetwork
from tests.ton.peers import NEWER_ERRORS, OLDER, recorded
from tonwatch.simulator.chain.block_layout import BlockId
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.liteserver import queries
from tonwatch.simulator.servers.liteserver.node_state import LiteError
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.ton.adnl import wire
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind, unacceptable_message
from tonwatch.ton.liteserver import tl

Ask = Callable[[WalletNetwork], bytes]
"""The query that one of a recording is on a simulated network."""

_QUERY = bytes.fromhex("df068c79")


def account_at(block: Callable[[WalletNetwork], BlockId]) -> Ask:
    def ask(network: WalletNetwork) -> bytes:
        account = {"workchain": 0, "id": UNUSED_ADDRESS.hash.hex()}
        return tl.encode_query("getAccountState", {"id": block(network).tl(), "account": account})

    return ask


def wrong_root_hash(network: WalletNetwork) -> BlockId:
    return network.chain.head.id._replace(root_hash=b"\xab" * 32)


def of_zerostate(network: WalletNetwork) -> bytes:
    return tl.encode_query("getBlockHeader", {"id": network.chain.zerostate.tl(), "mode": 0})


def wrong_transaction(network: WalletNetwork) -> bytes:
    address = network.wallet().address
    last: TransactionId = network.history(address)[-1].id
    return tl.encode_query(
        "getTransactions",
        {
            "account": {"workchain": 0, "id": address.hash.hex()},
            "lt": last.lt,
            "hash": "ee" * 32,
            "count": 10,
        },
    )


def probe(kind: WalletKind) -> Ask:
    """The message that no wallet accepts; its answer names the wallet."""

    def ask(network: WalletNetwork) -> bytes:
        wallet = next(each for each in network.world.wallets if each.wallet_kind is kind)
        message = unacceptable_message(kind, wallet.address, bytes(64))
        return tl.encode_query("sendMessage", {"body": message})

    return ask


AS_RECORDED = None
"""The query itself: it means the same on every chain."""

NEWER: dict[str, Ask | None] = {
    "lookupBlock future": AS_RECORDED,
    "lookupBlock 2^31-1": AS_RECORDED,
    "lookupBlock seqno 0": AS_RECORDED,
    "getAccountState at unknown future block": AS_RECORDED,
    "getAccountState wrong root hash": account_at(wrong_root_hash),
    "getBlockHeader zerostate": of_zerostate,
    "getMasterchainInfoExt mode 2": AS_RECORDED,
    "getMasterchainInfoExt mode -1": AS_RECORDED,
    "getTransactions wallet v3r2 wrong hash": wrong_transaction,
    "sendMessage to missing account": AS_RECORDED,
    "sendMessage garbage": AS_RECORDED,
    "sendMessage tonwatch probe to v3r1": probe(WalletKind.V3R1),
    "sendMessage tonwatch probe to v3r2": probe(WalletKind.V3R2),
    "sendMessage tonwatch probe to v4r2": probe(WalletKind.V4R2),
    "sendMessage tonwatch probe to v5r1": probe(WalletKind.V5R1),
    "sendMessage tonwatch probe to highload_v2": probe(WalletKind.HIGHLOAD_V2),
    "sendMessage tonwatch probe to highload_v3": probe(WalletKind.HIGHLOAD_V3),
    "unknown function": AS_RECORDED,
    "syncing 0.0 s: getAccountState at last": account_at(lambda network: network.chain.zerostate),
    "syncing 4.7 s: getAccountState at last": account_at(lambda network: network.chain.head.id),
}

LEGACY: dict[str, Ask | None] = {
    "lookupBlock future": AS_RECORDED,
    "getAccountState at unknown future block": AS_RECORDED,
    "getAccountState wrong root hash": account_at(wrong_root_hash),
    "getMasterchainInfoExt mode 1 (unsupported here)": AS_RECORDED,
    "getTransactions wallet v1 wrong hash": wrong_transaction,
    "sendMessage to missing account": AS_RECORDED,
    "sendMessage garbage": AS_RECORDED,
    "sendMessage to wallet v1, impossible seqno": probe(WalletKind.HIGHLOAD_V3),  # 33 as well
    "unknown function": AS_RECORDED,
}


def form(answer: bytes) -> tuple[int, str]:
    """Code and text of an error, without what differs from chain to chain."""
    fields = tl.decode(answer, "liteServer.error")
    text = fields["message"].split("\nVM Log")[0]
    text = re.sub(r"[0-9A-F]{64}", "HASH", text)
    text = re.sub(r"(steps=|shard_client_seqno=|ls_seqno=|masterchain block: )\d+", r"\1N", text)
    return fields["code"], re.sub(r"8000000000000000,\d+", "8000000000000000,N", text)


@pytest.fixture(scope="module")
def paid() -> WalletNetwork:
    network = WalletNetwork()
    network.world.pay(WALLETS[0], 1)
    network.run(10)
    return network


@pytest.mark.parametrize(
    ("file", "label", "ask"),
    [
        *(
            pytest.param(NEWER_ERRORS, label, ask, id=f"v2026.06 {label}")
            for label, ask in NEWER.items()
        ),
        *(pytest.param(OLDER, label, ask, id=f"v2025.10 {label}") for label, ask in LEGACY.items()),
    ],
)
async def test_errors_are_as_recorded(
    paid: WalletNetwork, file: str, label: str, ask: Ask | None
) -> None:
    pair = recorded(file)[label]
    node = LiteServer("node", paid.chain, legacy=file == OLDER)
    if label.startswith("syncing"):
        node.faults = (node.check(Fault.SHARD_LAG, 10),)
    body = ask(paid) if ask is not None else _QUERY + wire.tl_bytes(pair.query)
    try:
        answer = queries.answer(node.node_state(), queries.parse(body))
    except LiteError as error:
        answer = error.encode()
    assert form(answer) == form(pair.answer)


def test_transactions_at_a_time_that_no_node_has_reached(paid: WalletNetwork) -> None:
    address = paid.wallet().address
    node = LiteServer("node", paid.chain)
    lt = paid.chain.head.header.end_lt + 10**9
    account = {"workchain": 0, "id": address.hash.hex()}
    query = {"account": account, "lt": lt, "hash": "ee" * 32, "count": 10}
    answer = queries.answer(node.node_state(), queries.Call("getTransactions", query))
    seqno = paid.chain.head.seqno
    fields = tl.decode(answer, "liteServer.error")
    assert fields["code"] == -400
    assert fields["message"] == (
        "cannot compute block with specified transaction: cannot find block "
        f"(0,{address.hash[:8].hex()}) lt={lt}: ltdb: block not found "
        f"(possibly out of sync: shard_client_seqno={seqno} ls_seqno={seqno})"
    )


def test_outbound_queues_are_listed_as_recorded(paid: WalletNetwork) -> None:
    def listed(answer: bytes) -> tuple[list[int], int]:
        fields = tl.decode(answer, "liteServer.outMsgQueueSizes")
        shards = [shard["id"]["workchain"] for shard in fields["shards"]]
        return shards, fields["ext_msg_queue_size_limit"]

    pair = recorded()["getOutMsgQueueSizes"]
    call = queries.parse(_QUERY + wire.tl_bytes(pair.query))
    answer = queries.answer(LiteServer("node", paid.chain).node_state(), call)
    assert listed(answer) == listed(pair.answer)
