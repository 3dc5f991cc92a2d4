"""Every fault of every kind of server, as a peer sees it; and what is left when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from pytoniq_core.crypto.ciphers import create_aes_ctr_cipher

from tonwatch.simulator.chain import Chain
from tonwatch.simulator.faults import Fault
from tonwatch.simulator.liteserver import LiteServer
from tonwatch.simulator.target import Target
from tonwatch.simulator.toncenter import Toncenter
from tonwatch.ton import tl
from tonwatch.ton.adnl import AdnlConnection
from tonwatch.ton.errors import Reason, TonError

# Both read files at their first use, which must not be inside an event loop.
tl.lite_api()
create_aes_ctr_cipher(bytes(32), bytes(16))

NOW = 1_800_000_000.0
PATIENCE = 5.0
"""Seconds given to what must come."""
SILENCE = 0.1
"""Seconds after which what has not come counts as not coming."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Lab:
    def __init__(self) -> None:
        self.clock = Clock()
        self.chain = Chain("here", clock=self.clock, backfill=80)
        self.foreign = Chain("elsewhere", clock=self.clock, backfill=7)
        self.node = LiteServer("node", self.chain, foreign=self.foreign)
        self.provider = Toncenter("provider", self.chain, foreign=self.foreign)


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    made = Lab()
    await made.node.start()
    await made.provider.start()
    try:
        yield made
    finally:
        await made.node.close()
        await made.provider.close()


# A liteserver.


async def connect(node: LiteServer, timeout: float = PATIENCE) -> AdnlConnection:
    return await AdnlConnection.open(node.host, node.port, node.public_key, timeout=timeout)


async def info(connection: AdnlConnection, mode: int = 0, timeout: float = PATIENCE) -> tl.Fields:
    query = tl.encode_query("getMasterchainInfoExt", {"mode": mode})
    reply = await connection.query(query, timeout)
    return tl.decode(reply.body, "liteServer.masterchainInfoExt")


async def outcome(asked: Awaitable[object]) -> Reason:
    """How a question ended."""
    try:
        await asked
    except TonError as error:
        return error.reason
    return Reason.OK


def time_for(expected: Reason) -> float:
    """Seconds to wait for an outcome: not long where none is to come."""
    silent = (Reason.QUERY_TIMEOUT, Reason.HANDSHAKE_TIMEOUT)
    return SILENCE if expected in silent else PATIENCE


async def a_query(node: LiteServer, timeout: float = PATIENCE) -> Reason:
    connection = await connect(node)
    try:
        return await outcome(info(connection, timeout=timeout))
    finally:
        await connection.close()


async def a_ping(node: LiteServer) -> Reason:
    connection = await connect(node)
    try:
        return await outcome(connection.ping(PATIENCE))
    finally:
        await connection.close()


async def a_connection(node: LiteServer, timeout: float) -> Reason:
    try:
        connection = await connect(node, timeout)
    except TonError as error:
        return error.reason
    await connection.close()
    return Reason.OK


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


REFUSED, SILENT, CLOSED = (
    Reason.CONNECT_REFUSED,
    Reason.HANDSHAKE_TIMEOUT,
    Reason.HANDSHAKE_FAILED,
)


@pytest.mark.parametrize(
    ("fault", "connecting", "ping", "query"),
    [
        (Fault.REFUSE, REFUSED, None, None),
        (Fault.HANG, SILENT, None, None),
        (Fault.WRONG_KEY, CLOSED, None, None),
        (Fault.NOT_SYNCED, Reason.OK, Reason.OK, Reason.QUERY_TIMEOUT),
        (Fault.SLOW, Reason.OK, Reason.OK, Reason.QUERY_TIMEOUT),
        (Fault.GARBAGE, Reason.OK, Reason.PROTOCOL_ERROR, Reason.PROTOCOL_ERROR),
        (Fault.DROP_MID_FRAME, Reason.OK, Reason.CONNECTION_LOST, Reason.CONNECTION_LOST),
        (Fault.LAG, Reason.OK, Reason.OK, Reason.OK),
        (Fault.SHARD_LAG, Reason.OK, Reason.OK, Reason.OK),
        (Fault.STALL, Reason.OK, Reason.OK, Reason.OK),
        (Fault.WRONG_NETWORK, Reason.OK, Reason.OK, Reason.OK),
        (Fault.CLOCK_SKEW, Reason.OK, Reason.OK, Reason.OK),
    ],
    ids=str,
)
async def test_a_new_connection_to_a_liteserver(
    fault: Fault, connecting: Reason, ping: Reason | None, query: Reason | None
) -> None:
    async with lab() as it:
        await it.node.set_fault(fault)
        assert await a_connection(it.node, time_for(connecting)) == connecting
        if query is not None:
            assert await a_ping(it.node) == ping
            assert await a_query(it.node, time_for(query)) == query
        await it.node.clear_fault()
        assert await a_query(it.node) == Reason.OK


@pytest.mark.parametrize(
    ("fault", "query"),
    [
        (Fault.REFUSE, Reason.CONNECTION_LOST),
        (Fault.WRONG_KEY, Reason.CONNECTION_LOST),
        (Fault.HANG, Reason.QUERY_TIMEOUT),
        (Fault.NOT_SYNCED, Reason.QUERY_TIMEOUT),
        (Fault.SLOW, Reason.QUERY_TIMEOUT),
        (Fault.GARBAGE, Reason.PROTOCOL_ERROR),
        (Fault.DROP_MID_FRAME, Reason.CONNECTION_LOST),
    ],
    ids=str,
)
async def test_an_open_connection_feels_a_fault_at_once(fault: Fault, query: Reason) -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await info(connection)
        await it.node.set_fault(fault)
        assert await outcome(info(connection, timeout=time_for(query))) == query
        await connection.close()


async def test_a_hanging_node_answers_no_ping_and_drops_whom_it_ignored_when_it_is_back() -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.HANG)
        assert await outcome(connection.ping(SILENCE)) == Reason.QUERY_TIMEOUT
        waiting = asyncio.create_task(outcome(info(connection)))
        await asyncio.sleep(0)
        await it.node.clear_fault()
        assert await waiting == Reason.CONNECTION_LOST
        await connection.close()


async def test_a_slow_answer_comes_after_its_delay_and_is_fresh() -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SLOW, 0.1)
        asked = asyncio.create_task(connection.query(tl.encode_query("getTime", {}), PATIENCE))
        await connection.ping(PATIENCE)
        it.clock.now += 7
        reply = await asked
        assert reply.elapsed >= 0.1
        assert tl.decode(reply.body, "liteServer.currentTime")["now"] == NOW + 7
        await connection.close()


async def test_a_lagging_node_follows_late() -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.LAG, 20)
        assert (await info(connection))["last"]["seqno"] == 30
        assert (await info(connection, mode=1))["last"]["seqno"] == 30
        it.clock.now += 2
        it.chain.advance()
        behind = await info(connection)
        assert behind["last"]["seqno"] == 35
        assert behind["now"] - behind["last_utime"] == 20
        await connection.close()


async def test_a_lagging_node_does_not_know_newer_blocks() -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.LAG, 20)
        head = {"workchain": -1, "shard": -(1 << 63), "seqno": 80}
        query = tl.encode_query("lookupBlock", {"mode": 1, "id": head})
        error = tl.decode((await connection.query(query, PATIENCE)).body, "liteServer.error")
        assert error["code"] == 651
        assert error["message"].endswith("(last known masterchain block: 30)")
        await connection.close()


async def test_a_shard_client_that_lags_far_is_passed_over() -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SHARD_LAG)
        assert (await info(connection, mode=0))["last"]["seqno"] == 80
        assert (await info(connection, mode=1))["last"]["seqno"] == 20
        await connection.close()


async def test_a_stalled_node_stays_where_it_was_even_when_the_chain_forgets_the_block() -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.STALL)
        it.chain._blocks = type(it.chain._blocks)(it.chain._blocks, maxlen=5)
        it.chain.advance(20)
        stalled = await info(connection)
        assert stalled["last"]["seqno"] == 80
        query = tl.encode_query("getBlockHeader", {"id": stalled["last"], "mode": 0})
        tl.decode((await connection.query(query, PATIENCE)).body, "liteServer.blockHeader")
        await it.node.clear_fault()
        assert (await info(connection))["last"]["seqno"] == 100
        await connection.close()


async def test_a_node_of_another_network() -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.WRONG_NETWORK)
        foreign = await info(connection)
        assert foreign["init"]["root_hash"] == it.foreign.zerostate.root_hash.hex()
        assert foreign["last"]["seqno"] == 7
        await connection.close()


@pytest.mark.parametrize("skew", [30.0, -30.0])
async def test_a_wrong_clock(skew: float) -> None:
    async with lab() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.CLOCK_SKEW, skew)
        answer = await info(connection)
        assert answer["now"] == NOW + skew
        assert answer["last_utime"] == NOW, "the chain's time is right"
        await connection.close()


# A provider.

Answer = tuple[int | str, object]


async def get(provider: Toncenter, method: str, timeout: float = PATIENCE) -> Answer:
    """Status and body of one request, or the name of aiohttp's exception."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.get(f"{provider.url}/{method}") as response,
        ):
            text = await response.text()
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, text
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__, None


@pytest.mark.parametrize(
    ("fault", "sees"),
    [
        (Fault.REFUSE, "ClientConnectorError"),
        (Fault.HANG, "TimeoutError"),
        (Fault.SLOW, "TimeoutError"),
        (Fault.GARBAGE, "ClientResponseError"),
        (Fault.DROP_MID_FRAME, "ClientPayloadError"),
        (Fault.THROTTLE, 429),
        (Fault.UNAUTHORIZED, 401),
        (Fault.BAD_JSON, 200),
        (Fault.LAG, 200),
        (Fault.STALL, 200),
        (Fault.WRONG_NETWORK, 200),
    ],
    ids=str,
)
async def test_a_provider_with_a_fault(fault: Fault, sees: int | str) -> None:
    async with lab() as it:
        await it.provider.set_fault(fault)
        timeout = SILENCE if sees == "TimeoutError" else PATIENCE
        status, body = await get(it.provider, "getMasterchainInfo", timeout)
        assert status == sees
        assert isinstance(body, str) == (fault is Fault.BAD_JSON), "the only one that is not JSON"
        await it.provider.clear_fault()
        assert (await get(it.provider, "getMasterchainInfo"))[0] == 200


async def test_a_throttled_provider_says_so_in_the_documented_words() -> None:
    async with lab() as it:
        await it.provider.set_fault(Fault.THROTTLE)
        answer = await get(it.provider, "getMasterchainInfo")
        assert answer == (429, {"ok": False, "result": "Ratelimit exceed", "code": 429})


@pytest.mark.parametrize(
    ("fault", "value", "seqno"),
    [(Fault.LAG, 20, 35), (Fault.STALL, None, 80), (Fault.WRONG_NETWORK, None, 7)],
    ids=str,
)
async def test_where_a_provider_stands(fault: Fault, value: float | None, seqno: int) -> None:
    async with lab() as it:
        await it.provider.set_fault(fault, value)
        it.clock.now += 2
        it.chain.advance()
        _, body = await get(it.provider, "getMasterchainInfo")
        assert isinstance(body, dict)
        assert body["result"]["last"]["seqno"] == seqno


async def test_a_hanging_provider_answers_when_it_is_back() -> None:
    async with lab() as it:
        await it.provider.set_fault(Fault.HANG)
        asked = asyncio.create_task(get(it.provider, "getMasterchainInfo"))
        await until(lambda: it.provider._http is not None and it.provider._http.connections)
        await it.provider.clear_fault()
        assert (await asked)[0] == 200


async def test_refusing_ends_the_providers_open_connections() -> None:
    async with lab() as it:
        reader, writer = await asyncio.open_connection(it.provider.host, it.provider.port)
        writer.write(b"GET /api/v2/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await it.provider.set_fault(Fault.REFUSE)
        async with asyncio.timeout(PATIENCE):
            await reader.read()  # the rest of the answer, and the end
        writer.close()
        await writer.wait_closed()


# All kinds.


def pick(it: Lab, kind: str) -> Target:
    return it.node if kind == "node" else it.provider


@pytest.mark.parametrize(
    ("kind", "fault", "value", "message"),
    [
        ("node", Fault.THROTTLE, None, r"node \(liteserver\) cannot throttle; it supports: refuse"),
        ("provider", Fault.NOT_SYNCED, None, r"provider \(toncenter-v2\) cannot not_synced"),
        ("provider", Fault.CLOCK_SKEW, None, "cannot clock_skew"),
        ("node", Fault.LAG, -1.0, "a number of seconds from 0, not -1"),
        ("node", Fault.LAG, float("nan"), "not nan"),
        ("node", Fault.HANG, 3.0, "hang takes no number"),
    ],
)
async def test_what_cannot_be_set(
    kind: str, fault: Fault, value: float | None, message: str
) -> None:
    async with lab() as it:
        target = pick(it, kind)
        with pytest.raises(ValueError, match=message):
            await target.set_fault(fault, value)
        assert target.fault is None


async def test_without_another_network_no_server_can_belong_to_it() -> None:
    server = LiteServer("alone", Chain())
    assert Fault.WRONG_NETWORK not in server.supported
    with pytest.raises(ValueError, match="cannot wrong_network"):
        await server.set_fault(Fault.WRONG_NETWORK)


def test_every_fault_is_supported_somewhere() -> None:
    assert LiteServer.can | Toncenter.can == set(Fault)


@pytest.mark.parametrize("kind", ["node", "provider"])
async def test_the_port_stays_the_same_through_refusing(kind: str) -> None:
    async with lab() as it:
        target = pick(it, kind)
        port = target.port
        await target.set_fault(Fault.REFUSE)
        await target.set_fault(Fault.SLOW, 0)
        assert target.port == port
        _, writer = await asyncio.open_connection(target.host, port)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("fault", [None, *Fault], ids=str)
async def test_closing_leaves_nothing_behind(fault: Fault | None) -> None:
    before = asyncio.all_tasks()
    async with lab() as it:
        connection = await connect(it.node)
        for target in (it.node, it.provider):
            if fault in target.supported:
                await target.set_fault(fault)
        asked = [
            asyncio.create_task(outcome(info(connection))),
            asyncio.create_task(get(it.provider, "getMasterchainInfo")),
        ]
        await until(
            lambda: asked[1].done() or (it.provider._http and it.provider._http.connections)
        )
        await it.node.close()
        await it.provider.close()
        await asyncio.gather(*asked)
        await connection.close()
        assert it.node.peers == set()
        ports = [it.node.port, it.provider.port]
    assert asyncio.all_tasks() == before
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
