"""Faults against careless clients: slow bytes, endless answers, proofs of other blocks."""

import asyncio
from typing import Any

import aiohttp
import pytest
from pytoniq_core.boc.cell import Cell
from pytoniq_core.proof.check_proof import check_proof

from tests.simulator.small_network import (
    PATIENCE,
    SmallNetwork,
    connect,
    get,
    info,
    outcome,
    small_network,
    until,
)
from tonwatch.simulator.chain.block_layout import WHOLE_SHARD
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.liteserver.sender import GIANT
from tonwatch.ton.adnl import wire
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver import tl

# Byte by byte.


async def test_an_answer_that_comes_byte_by_byte_is_complete() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SLOW_DRIP, 0.001)
        reply = await connection.query(tl.encode_query("getTime", {}), PATIENCE)
        assert "now" in tl.decode(reply.body, "liteServer.currentTime")
        assert reply.elapsed >= 0.001 * 100
        await connection.close()


async def test_two_answers_that_come_byte_by_byte_keep_their_order() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SLOW_DRIP, 0.0)
        asked = outcome(info(connection)), outcome(connection.ping(PATIENCE))
        assert set(await asyncio.gather(*asked)) == {Reason.OK}
        await connection.close()


@pytest.mark.parametrize("then", [None, Fault.SLOW, Fault.LAG], ids=str)
async def test_the_rest_comes_at_once_when_slow_drip_ends(then: Fault | None) -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SLOW_DRIP, 1000)
        asked = asyncio.create_task(outcome(info(connection)))
        await until(
            lambda: any(
                connection._sender and connection._sender._slow_bytes
                for connection in it.node.connections
            )
        )
        if then is None:
            await it.node.clear_faults()
        else:
            await it.node.set_fault(then)
        assert await asked == Reason.OK
        await connection.close()


async def test_a_client_that_queues_too_many_slow_bytes_is_disconnected() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SLOW_DRIP, 1000)
        asked = [outcome(connection.ping(PATIENCE)) for _ in range(1000)]
        assert set(await asyncio.gather(*asked)) == {Reason.CONNECTION_LOST}
        await connection.close()


async def test_a_providers_body_comes_byte_by_byte() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.SLOW_DRIP, 0.05)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
            session.get(f"{it.provider.url}/getMasterchainInfo") as response,
        ):
            assert response.status == 200
            assert len(await response.content.readany()) == 1
            assert len(await response.content.readany()) == 1
            await it.provider.clear_faults()
            assert (await response.content.read()).endswith(b"}")


# Giant answers.


async def test_a_giant_frame_is_announced_and_sent_in_full() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.GIANT_ANSWER)
        handshake, session = wire.open_session(it.node.public_key, 2 * GIANT)
        reader, writer = await asyncio.open_connection(it.node.host, it.node.port)
        writer.write(handshake)
        assert list(session.feed(await reader.readexactly(68))) == [b""]
        writer.write(session.seal(wire.Message(wire.PING, bytes(8)).encode()))
        async with asyncio.timeout(20):
            start = session._incoming.decrypt(await reader.readexactly(4))
            assert int.from_bytes(start, "little") == GIANT
            left = GIANT
            while left:
                left -= len(await reader.read(min(left, 1 << 20)))
        writer.close()
        await writer.wait_closed()


async def test_a_giant_frame_that_is_not_read_waits_in_bounded_memory() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.GIANT_ANSWER)
        handshake, session = wire.open_session(it.node.public_key)
        reader, writer = await asyncio.open_connection(it.node.host, it.node.port, limit=1024)
        writer.write(handshake)
        list(session.feed(await reader.readexactly(68)))
        writer.write(session.seal(wire.Message(wire.PING, bytes(8)).encode()))
        (connection,) = it.node.connections
        await until(lambda: connection._sender and connection._sender._paused)
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 1 << 20
        await it.node.clear_faults()
        await until(lambda: not it.node.connections)  # what follows could not be read
        writer.close()


async def test_a_new_connection_after_a_giant_answer_works() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.GIANT_ANSWER)
        assert await outcome(info(connection)) == Reason.ANSWER_TOO_LARGE
        await connection.close()
        await it.node.clear_faults()
        connection = await connect(it.node)
        assert await outcome(info(connection)) == Reason.OK
        await connection.close()


async def test_a_providers_body_has_no_end() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.GIANT_ANSWER)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.get(f"{it.provider.url}/getMasterchainInfo") as response,
        ):
            assert (response.status, response.content_length) == (200, None)
            taken = 0
            while taken < 32 * 1024 * 1024:
                taken += len(await response.content.readany())
            await it.provider.clear_faults()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
        assert (await get(it.provider, "getMasterchainInfo"))[0] == 200


# Proofs of other blocks.


async def header_of_head(it: SmallNetwork) -> tl.Fields:
    connection = await connect(it.node)
    head = it.chain.head.id.tl()
    query = tl.encode_query("getBlockHeader", {"id": head, "mode": 0})
    body = (await connection.query(query, PATIENCE)).body
    await connection.close()
    return tl.decode(body, "liteServer.blockHeader")


async def test_a_bad_proof_is_well_formed_and_belongs_to_another_block() -> None:
    async with small_network() as it:
        good = await header_of_head(it)
        await it.node.set_fault(Fault.BAD_PROOF)
        bad = await header_of_head(it)
        assert bad["id"] == good["id"]
        before = it.chain.block(79)
        assert before is not None
        check_proof(Cell.one_from_boc(bad["header_proof"]), before.id.root_hash)
        with pytest.raises(Exception, match="hash"):
            check_proof(
                Cell.one_from_boc(bad["header_proof"]), bytes.fromhex(bad["id"]["root_hash"])
            )


@pytest.mark.parametrize("workchain", [-1, 0])
@pytest.mark.parametrize("seqno", [1, 40])
async def test_every_kind_of_proof_is_bad(workchain: int, seqno: int) -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.BAD_PROOF)
        block = it.chain.block(seqno)
        assert block is not None
        master = block.id.tl()
        wanted = {"workchain": workchain, "shard": WHOLE_SHARD, "seqno": seqno}
        account = {"workchain": workchain, "id": "77" * 32}
        answers: list[tuple[str, dict[str, Any], str, str]] = [
            ("lookupBlock", {"mode": 1, "id": wanted}, "blockHeader", "header_proof"),
            ("getAllShardsInfo", {"id": master}, "allShardsInfo", "proof"),
            ("getAccountState", {"id": master, "account": account}, "accountState", "proof"),
        ]
        for function, arguments, constructor, proof in answers:
            body = (await connection.query(tl.encode_query(function, arguments), PATIENCE)).body
            fields = tl.decode(body, f"liteServer.{constructor}")
            named = fields["shardblk" if "shardblk" in fields else "id"]["root_hash"]
            with pytest.raises(Exception, match="hash"):
                check_proof(Cell.from_boc(fields[proof])[0], bytes.fromhex(named))
        await connection.close()
