"""The simulated liteserver as its clients see it: answers, errors, the shard client, frames."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pytoniq.liteclient.client import LiteClient
from pytoniq_core.boc.cell import Cell
from pytoniq_core.crypto.ciphers import create_aes_ctr_cipher
from pytoniq_core.proof.check_proof import check_block_header_proof, check_shard_proof
from pytoniq_core.tl.block import BlockIdExt
from pytoniq_core.tlb.block import ShardStateUnsplit

from tests.simulator.chains import empty_chain
from tonwatch.simulator.chain.block_layout import WHOLE_SHARD, BlockId
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.liteserver import tl

# Both read files at their first use, which must not be inside an event loop.
tl.lite_api()
create_aes_ctr_cipher(bytes(32), bytes(16))

NOW = 1_800_000_000.0
MISSING = {"workchain": 0, "id": "77" * 32}
MASTER_MISSING = {"workchain": -1, "id": "77" * 32}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class SmallNetwork:
    """A chain of 80 blocks on a fake clock, one liteserver, and a connection to it."""

    def __init__(self, *, legacy: bool = False, history: int = 4096) -> None:
        self.clock = Clock()
        self.chain = empty_chain(clock=self.clock, backfill=80, history=history)
        self.server = LiteServer("node", self.chain, legacy=legacy)
        self.connection: AdnlConnection

    async def raw(self, query: bytes) -> bytes:
        return (await self.connection.query(query, 5)).body

    async def ask(self, function: str, constructor: str, /, **arguments: Any) -> tl.Fields:
        body = await self.raw(tl.encode_query(function, arguments))
        return tl.decode(body, f"liteServer.{constructor}")

    async def error(self, function: str, /, **arguments: Any) -> tuple[int, str]:
        return read_error(await self.raw(tl.encode_query(function, arguments)))

    async def last(self, mode: int) -> int:
        fields = await self.ask("getMasterchainInfoExt", "masterchainInfoExt", mode=mode)
        return int(fields["last"]["seqno"])


def read_error(body: bytes) -> tuple[int, str]:
    fields = tl.decode(body, "liteServer.error")
    return fields["code"], fields["message"]


@asynccontextmanager
async def small_network(
    *, legacy: bool = False, history: int = 4096
) -> AsyncIterator[SmallNetwork]:
    made = SmallNetwork(legacy=legacy, history=history)
    await made.server.start()
    server = made.server
    made.connection = await AdnlConnection.open(
        server.host, server.port, server.public_key, timeout=5
    )
    try:
        yield made
    finally:
        await made.connection.close()
        await server.close()


def lookup(seqno: int, workchain: int = -1) -> dict[str, object]:
    return {"mode": 1, "id": {"workchain": workchain, "shard": WHOLE_SHARD, "seqno": seqno}}


# A client that shares no code.


async def test_pytoniqs_own_client_believes_it() -> None:
    chain = empty_chain(backfill=20)
    server = LiteServer("node", chain)
    await server.start()
    key = base64.b64encode(server.public_key).decode()
    client = LiteClient(server.host, server.port, key, trust_level=1)
    await client.connect()  # asks getMasterchainInfo and getAllShardsInfo, and checks the proof
    try:
        for workchain in (-1, 0):
            found, header = await client.lookup_block(workchain, WHOLE_SHARD, 15)
            expected = chain.block(15)
            assert expected is not None
            expected = expected.shard if workchain == 0 else expected
            assert expected is not None
            assert (found.root_hash, found.file_hash) == expected.id[2:]
            assert header.info.seqno == 15
            assert header.info.gen_utime == expected.gen_utime
            # Its get_block_header() cannot be called in 0.1.43: it nests the id once too often.
            again = await client.raw_get_block_header(found)
            assert again.info.start_lt == expected.header.start_lt
            assert (await client.raw_get_block(found)).info.seqno == 15
        master = BlockIdExt.from_dict(chain.head.id.tl())
        assert await client.raw_get_account_state("0:" + "77" * 32, master) == (None, None)
        assert (await client.get_all_shards_info(master))[0].seqno == 20
    finally:
        await client.close()
        await server.close()


async def test_pytoniqs_block_updater_follows_the_chain() -> None:
    chain = empty_chain()
    server = LiteServer("node", chain)
    await server.start()
    client = LiteClient(server.host, server.port, base64.b64encode(server.public_key).decode())
    await client.connect()
    try:
        async with asyncio.timeout(10):
            while client.last_mc_block.seqno < 3:
                chain.advance()
                await asyncio.sleep(0.05)
    finally:
        await client.close()
        await server.close()


# Answers.


async def test_time_version_and_head() -> None:
    async with small_network() as it:
        assert (await it.ask("getTime", "currentTime"))["now"] == NOW
        version = await it.ask("getVersion", "version")
        assert (version["version"], version["capabilities"], version["now"]) == (0x101, 15, NOW)
        info = await it.ask("getMasterchainInfo", "masterchainInfo")
        extended = await it.ask("getMasterchainInfoExt", "masterchainInfoExt", mode=0)
        assert extended["last"] == info["last"]
        assert info["last"]["root_hash"] == it.chain.head.id.root_hash.hex()
        assert info["init"]["root_hash"] == it.chain.zerostate.root_hash.hex()
        assert info["state_root_hash"] == it.chain.head.state.hash.hex()
        assert extended["last_utime"] == it.chain.head.gen_utime
        assert extended["capabilities"] == 15


async def test_a_legacy_node_has_no_mode_1() -> None:
    async with small_network(legacy=True) as it:
        assert (await it.ask("getVersion", "version"))["capabilities"] == 7
        error = await it.error("getMasterchainInfoExt", mode=1)
        assert error == (-400, "unsupported getMasterchainInfo mode")


@pytest.mark.parametrize(
    ("arguments", "seqno"),
    [
        ({"mode": 1, "seqno": 30}, 30),
        ({"mode": 2, "seqno": 0, "lt": 29_000_005}, 30),
        ({"mode": 4, "seqno": 0, "utime": int(NOW) - 20}, 30),
    ],
    ids=["by seqno", "by lt", "by utime"],
)
async def test_lookup(arguments: dict[str, int], seqno: int) -> None:
    async with small_network() as it:
        block = {"workchain": -1, "shard": WHOLE_SHARD, "seqno": arguments.pop("seqno")}
        header = await it.ask("lookupBlock", "blockHeader", id=block, **arguments)
        assert header["id"]["seqno"] == seqno
        proof = Cell.one_from_boc(header["header_proof"])
        check_block_header_proof(proof[0], bytes.fromhex(header["id"]["root_hash"]))


@pytest.mark.parametrize("account", [MISSING, MASTER_MISSING], ids=["basechain", "masterchain"])
async def test_a_missing_account_is_proven_missing(account: dict[str, object]) -> None:
    async with small_network() as it:
        head = it.chain.head
        state = await it.ask("getAccountState", "accountState", id=head.id.tl(), account=account)
        assert state["state"] == b""
        master, shard = BlockIdExt.from_dict(state["id"]), BlockIdExt.from_dict(state["shardblk"])
        assert shard.workchain == account["workchain"]
        check_shard_proof(state["shard_proof"], master, shard)
        block_proof, state_proof = Cell.from_boc(state["proof"])
        state_hash = check_block_header_proof(block_proof[0], shard.root_hash, True)
        assert state_proof[0].get_hash(0) == state_hash
        assert ShardStateUnsplit.deserialize(state_proof[0].begin_parse()).accounts[0] == {}


# Errors, worded as recorded from validator-engine v2026.06.


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (bytes.fromhex("efbeadde"), (0, "Unknown constructor found 0xdeadbeef at 4")),
        (bytes.fromhex("345aad16") + bytes(4), (0, "Too much data to fetch at 4")),
        (bytes.fromhex("df71a670"), (0, "Not enough data to read at 4")),
        (b"", (0, "Not enough data to read at 0")),
    ],
    ids=["unknown function", "trailing bytes", "cut short", "empty query"],
)
async def test_a_wrong_query(query: bytes, error: tuple[int, str]) -> None:
    async with small_network() as it:
        body = await it.raw(bytes.fromhex("df068c79") + wire.tl_bytes(query))
        assert read_error(body) == error


async def test_a_query_that_is_no_liteserver_query() -> None:
    async with small_network() as it:
        code, text = read_error(await it.raw(b"\xef\xbe\xad\xde"))
        assert (code, text) == (0, "Unknown constructor found 0xdeadbeef at 4")


async def test_a_block_of_the_future() -> None:
    async with small_network() as it:
        assert await it.error("lookupBlock", **lookup(102016)) == (
            651,
            (
                "cannot find block (-1,8000000000000000) seqno=102016: ltdb: block not found "
                "(last known masterchain block: 80)"
            ),
        )
        block = BlockId(-1, 102016, b"\xab" * 32, b"\xcd" * 32).tl()
        assert await it.error("getAccountState", id=block, account=MISSING) == (
            651,
            (
                f"cannot load block (-1,8000000000000000,102016):{'AB' * 32}:{'CD' * 32} : "
                "block handle not in db (last known masterchain block: 80)"
            ),
        )


async def test_a_block_with_another_hash() -> None:
    async with small_network() as it:
        block = it.chain.head.id._replace(root_hash=b"\xab" * 32)
        code, text = await it.error("getBlockHeader", id=block.tl(), mode=0)
        assert code == 651
        assert text.endswith(" : block handle not in db")


async def test_a_forgotten_block() -> None:
    async with small_network(history=50) as it:
        code, text = await it.error("lookupBlock", **lookup(10))
        assert code == 651
        assert "seqno not in db" in text


# The shard client.


async def test_the_shard_client_serves_until_it_is_16_s_old() -> None:
    async with small_network() as it:
        await it.server.set_fault(Fault.SHARD_LAG, 30)  # 12 s
        assert [await it.last(0), await it.last(1)] == [50, 50]
        assert (await it.ask("getMasterchainInfo", "masterchainInfo"))["last"]["seqno"] == 50
        await it.server.set_fault(Fault.SHARD_LAG, 50)  # 20 s
        assert [await it.last(0), await it.last(1)] == [80, 30]
        assert (await it.ask("getMasterchainInfo", "masterchainInfo"))["last"]["seqno"] == 80


async def test_accounts_beyond_the_shard_client_are_not_ready() -> None:
    async with small_network() as it:
        await it.server.set_fault(Fault.SHARD_LAG, 60)
        head = it.chain.head.id.tl()
        code, text = await it.error("getAccountState", id=head, account=MISSING)
        assert code == 651
        assert text.endswith("(possibly out of sync: shard_client_seqno=20 ls_seqno=80)")
        old = it.chain.block(20)
        assert old is not None
        await it.ask("getAccountState", "accountState", id=old.id.tl(), account=MISSING)
        await it.ask("getAccountState", "accountState", id=head, account=MASTER_MISSING)


async def test_on_a_stalled_chain_both_modes_name_its_last_block() -> None:
    async with small_network() as it:
        it.clock.now += 60
        assert [await it.last(0), await it.last(1)] == [80, 80], "there is nothing newer"


# waitMasterchainSeqno.


def wait_for(seqno: int, milliseconds: int) -> bytes:
    api = tl.lite_api()
    wait = {"seqno": seqno, "timeout_ms": milliseconds}
    prefix = api.serialize("liteServer.waitMasterchainSeqno", wait)
    call = prefix + api.serialize("liteServer.getMasterchainInfo", {})
    return bytes.fromhex("df068c79") + wire.tl_bytes(call)


async def test_waiting_for_a_block_ends_with_the_block() -> None:
    async with small_network() as it:
        waiting = asyncio.create_task(it.raw(wait_for(81, 5000)))
        await it.connection.ping(5)  # behind the query on the same wire
        assert not waiting.done()
        it.chain.advance()
        info = tl.decode(await waiting, "liteServer.masterchainInfo")
        assert info["last"]["seqno"] == 81


@pytest.mark.parametrize(
    ("seqno", "milliseconds", "error"),
    [
        (81, 10, (652, "timeout")),
        (5000, 5000, (651, "too big masterchain block seqno")),
    ],
    ids=["in vain", "too far ahead"],
)
async def test_waiting(seqno: int, milliseconds: int, error: tuple[int, str]) -> None:
    async with small_network() as it:
        assert read_error(await it.raw(wait_for(seqno, milliseconds))) == error


async def test_a_lost_connection_waits_for_nothing() -> None:
    async with small_network() as it:
        waiting = asyncio.create_task(it.raw(wait_for(81, 60_000)))
        await it.connection.ping(5)
        await it.connection.close()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5):
            while it.server.connections:
                await asyncio.sleep(0.001)
        assert it.chain._listeners == []


# The wire.


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("kind", ["random", "for another key"])
async def test_a_wrong_handshake_is_answered_by_closing(kind: str) -> None:
    async with small_network() as it:
        other = LiteServer("other", it.chain)
        packet = bytes(256) if kind == "random" else wire.open_session(other.public_key)[0]
        reader, writer = await asyncio.open_connection(it.server.host, it.server.port)
        writer.write(packet)
        assert await read_to_end(reader) == b""
        writer.close()
        await writer.wait_closed()


async def test_a_handshake_in_pieces_is_a_handshake_and_one_cut_short_gets_silence() -> None:
    async with small_network() as it:
        packet, session = wire.open_session(it.server.public_key)
        reader, writer = await asyncio.open_connection(it.server.host, it.server.port)
        writer.write(packet[:100])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        writer.write(packet[100:])
        async with asyncio.timeout(5):
            assert list(session.feed(await reader.read(1000))) == [b""]
        writer.close()
        await writer.wait_closed()


async def test_garbage_after_the_handshake_closes_the_connection() -> None:
    async with small_network() as it:
        packet, _ = wire.open_session(it.server.public_key)
        reader, writer = await asyncio.open_connection(it.server.host, it.server.port)
        writer.write(packet + bytes(1000))
        assert len(await read_to_end(reader)) in (0, 68)
        writer.close()
        await writer.wait_closed()


async def test_an_empty_adnl_query_gets_no_answer() -> None:
    async with small_network() as it:
        with pytest.raises(Exception, match="no answer within"):
            await it.connection.query(b"", 0.05)
        await it.connection.ping(5)


async def test_nothing_is_left_behind() -> None:
    before = asyncio.all_tasks()
    async with small_network() as it:
        await it.server.set_fault(Fault.SLOW, 60)
        slow = asyncio.create_task(it.raw(tl.encode_query("getTime", {})))
        await it.connection.ping(5)
        await it.server.close()
        await asyncio.gather(slow, return_exceptions=True)
        assert it.server.connections == set()
    assert asyncio.all_tasks() == before
