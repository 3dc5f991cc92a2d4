"""A fork: the same network and past, other new blocks; made only while a server follows it."""

import asyncio
import base64
from typing import Any

import pytest
from pytoniq_core.boc.cell import Cell
from pytoniq_core.proof.check_proof import check_block_header_proof
from pytoniq_core.tlb.block import BlockInfo

from tests.simulator.chains import empty_chain
from tests.simulator.small_network import (
    NOW,
    PATIENCE,
    SmallNetwork,
    connect,
    get,
    info,
    small_network,
    until,
)
from tonwatch.simulator.chain.block_layout import WHOLE_SHARD
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.liteserver import tl

FORKED_AT = 80


def grow(it: SmallNetwork, blocks: int) -> None:
    for _ in range(blocks):
        it.clock.now += 0.4
        it.chain.advance()


async def look_up(connection: AdnlConnection, seqno: int, workchain: int = -1) -> tl.Fields:
    wanted = {"workchain": workchain, "shard": WHOLE_SHARD, "seqno": seqno}
    query = tl.encode_query("lookupBlock", {"mode": 1, "id": wanted})
    return tl.decode((await connection.query(query, PATIENCE)).body, "liteServer.blockHeader")


async def root_hash(connection: AdnlConnection, seqno: int, workchain: int = -1) -> str:
    return str((await look_up(connection, seqno, workchain))["id"]["root_hash"])


async def test_a_forked_node_has_the_same_past_and_other_new_blocks() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        healthy = await info(connection)
        await it.node.set_fault(Fault.FORK)
        assert (await info(connection))["last"] == healthy["last"], "nothing is new yet"
        grow(it, 5)
        forked = await info(connection)
        assert forked["init"] == healthy["init"], "it is the same network"
        assert forked["last"]["seqno"] == it.chain.head.seqno
        assert forked["last_utime"] == it.chain.head.gen_utime
        for seqno in (FORKED_AT - 9, FORKED_AT, FORKED_AT + 1, FORKED_AT + 5):
            for workchain in (-1, 0):
                main = it.chain.block(seqno)
                assert main is not None
                main = main if workchain else main.shard
                assert main is not None
                same = await root_hash(connection, seqno, workchain) == main.id.root_hash.hex()
                assert same == (seqno <= FORKED_AT)
        await it.node.clear_faults()
        assert (await info(connection))["last"]["root_hash"] == it.chain.head.id.root_hash.hex()
        await connection.close()


async def test_a_forks_answers_agree_and_its_proofs_hold() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.FORK)
        grow(it, 3)
        last = (await info(connection))["last"]
        found = await look_up(connection, last["seqno"])
        assert found["id"] == last
        query = tl.encode_query("getBlockHeader", {"id": last, "mode": 0})
        header = tl.decode((await connection.query(query, PATIENCE)).body, "liteServer.blockHeader")
        proof = Cell.one_from_boc(header["header_proof"])
        check_block_header_proof(proof[0], bytes.fromhex(last["root_hash"]))
        read = BlockInfo.deserialize(proof[0][0].begin_parse())
        assert (read.seqno, read.gen_utime) == (last["seqno"], it.chain.head.gen_utime)
        before = await root_hash(connection, last["seqno"] - 1)
        assert read.prev_ref.prev.root_hash.hex() == before, "the fork is a chain of its own"
        await connection.close()


async def test_all_who_follow_the_fork_follow_the_same_one() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.FORK)
        grow(it, 2)
        await it.provider.set_fault(Fault.FORK)
        grow(it, 2)
        last = (await info(connection))["last"]
        for method in (
            "getMasterchainInfo",
            f"getBlockHeader?workchain=-1&shard={WHOLE_SHARD}&seqno={last['seqno']}",
        ):
            _, body = await get(it.provider, method)
            assert isinstance(body, dict)
            theirs: Any = body["result"].get("last") or body["result"]["id"]
            assert base64.b64decode(theirs["root_hash"]).hex() == last["root_hash"]
        await it.node.clear_faults()
        grow(it, 1)
        _, body = await get(it.provider, "getMasterchainInfo")
        assert isinstance(body, dict)
        assert body["result"]["last"]["seqno"] == FORKED_AT + 5, "the other one still follows it"
        await connection.close()


async def test_a_fork_ends_without_followers_and_the_next_one_begins_now() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.FORK)
        grow(it, 3)
        await it.node.set_fault(Fault.LAG)
        assert it.chain._listeners == []
        grow(it, 3)
        await it.node.set_fault(Fault.FORK)
        assert it.node.view().head is it.chain.head
        await it.node.close()
        assert it.chain._listeners == []


async def test_a_fork_set_anew_stays_the_same() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.FORK)
        grow(it, 3)
        before = it.node.view().head
        await it.node.set_fault(Fault.FORK)
        assert it.node.view().head is before


async def test_a_query_that_waits_for_a_block_of_the_fork_is_answered() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.FORK)
        ask = tl.encode_query("getMasterchainInfo", {})
        wait = tl.lite_api().serialize(
            "liteServer.waitMasterchainSeqno", {"seqno": FORKED_AT + 1, "timeout_ms": 5000}
        )
        inner, _ = wire.read_tl_bytes(ask, 4)
        query = ask[:4] + wire.tl_bytes(bytes(wait) + inner)
        asked = asyncio.create_task(connection.query(query, PATIENCE))
        await until(lambda: len(it.node.view().chain._listeners) == 1)
        grow(it, 1)
        last = tl.decode((await asked).body, "liteServer.masterchainInfo")["last"]
        assert last["root_hash"] == it.node.view().head.id.root_hash.hex()
        assert last["root_hash"] != it.chain.head.id.root_hash.hex()
        await connection.close()


def test_a_fork_of_a_bounded_history_is_bounded() -> None:
    chain = empty_chain(history=5, backfill=5, clock=lambda: NOW)
    branch = Fork(chain).join()
    for _ in range(20):
        chain.advance()
    assert (branch.oldest.seqno, branch.head.seqno) == (21, 25)
    assert branch.head.produced == chain.head.produced


@pytest.mark.parametrize("fault", [Fault.WRONG_NETWORK, Fault.FORK], ids=str)
async def test_blocks_of_another_chain_are_made_only_while_a_server_follows_it(
    fault: Fault,
) -> None:
    async with Simulator(block_interval=0.01, backfill=0) as simulator:
        assert simulator.foreign.head.seqno == 1
        node = simulator.liteservers[0]
        await node.set_fault(fault)
        await until(lambda: node.view().head.seqno > 3)
        assert node.view().head.id != simulator.chain.head.id
        await node.clear_faults()
        made, main = simulator.foreign.head.seqno, simulator.chain.head.seqno
        await until(lambda: simulator.chain.head.seqno > main + 5)
        assert simulator.foreign.head.seqno <= made + 1, "the one that was due is still made"


async def test_a_node_joins_a_foreign_network_with_fresh_blocks() -> None:
    async with Simulator(block_interval=0.05, backfill=0) as simulator:
        node: LiteServer = simulator.liteservers[0]
        await node.set_fault(Fault.WRONG_NETWORK)
        before = simulator.foreign.head.seqno
        await until(lambda: simulator.foreign.head.seqno > before)
        assert abs(simulator.foreign.head.produced - simulator.chain.clock()) < 1
