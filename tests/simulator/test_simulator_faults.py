"""Every fault of every kind of server, as a client sees it, and its end."""

import asyncio

import pytest

from tests.simulator.chains import empty_chain
from tests.simulator.small_network import (
    NOW,
    PATIENCE,
    SILENCE,
    a_connection,
    a_ping,
    a_query,
    connect,
    get,
    info,
    outcome,
    pick,
    small_network,
    time_for,
    until,
)
from tonwatch.simulator.contracts.upgradable import UpgradableContract
from tonwatch.simulator.contracts.wallets.wallet import Wallet
from tonwatch.simulator.faults.breakable_chain import BreakableChain
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.simulator.servers.registry import SERVERS
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver import tl

# A liteserver.

REFUSED, LOST, SILENT, CLOSED = (
    Reason.CONNECT_REFUSED,
    Reason.CONNECT_TIMEOUT,
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
        (Fault.FORK, Reason.OK, Reason.OK, Reason.OK),
        (Fault.UNREACHABLE, LOST, None, None),
        (Fault.STEP_BACK, Reason.OK, Reason.OK, Reason.OK),
        (Fault.FLAP, REFUSED, None, None),
        (Fault.CATCH_UP, Reason.OK, Reason.OK, Reason.OK),
        (Fault.SLOW_DRIP, Reason.OK, Reason.QUERY_TIMEOUT, Reason.QUERY_TIMEOUT),
        (Fault.GIANT_ANSWER, Reason.OK, Reason.ANSWER_TOO_LARGE, Reason.ANSWER_TOO_LARGE),
        (Fault.BAD_PROOF, Reason.OK, Reason.OK, Reason.OK),
        (Fault.ACCOUNTS_FAIL, Reason.OK, Reason.OK, Reason.OK),
        (Fault.REFUSE_NEW, REFUSED, None, None),
        (Fault.KEPT_STALE, Reason.OK, Reason.OK, Reason.OK),
        (Fault.FALSE_TIME, Reason.OK, Reason.OK, Reason.OK),
        (Fault.SLOW_CONNECT, SILENT, None, None),
    ],
    ids=str,
)
async def test_a_new_connection_to_a_liteserver(
    fault: Fault, connecting: Reason, ping: Reason | None, query: Reason | None
) -> None:
    async with small_network() as it:
        await it.node.set_fault(fault)
        assert await a_connection(it.node, time_for(connecting)) == connecting
        if query is not None and ping is not None:
            assert await a_ping(it.node, time_for(ping)) == ping
            assert await a_query(it.node, time_for(query)) == query
        await it.node.clear_faults()
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
        (Fault.UNREACHABLE, Reason.QUERY_TIMEOUT),
        (Fault.FLAP, Reason.CONNECTION_LOST),
        (Fault.SLOW_DRIP, Reason.QUERY_TIMEOUT),
        (Fault.GIANT_ANSWER, Reason.ANSWER_TOO_LARGE),
        (Fault.REFUSE_NEW, Reason.OK),
        (Fault.SLOW_CONNECT, Reason.OK),
    ],
    ids=str,
)
async def test_a_fault_applies_to_an_open_connection_at_once(fault: Fault, query: Reason) -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await info(connection)
        await it.node.set_fault(fault)
        assert await outcome(info(connection, timeout=time_for(query))) == query
        await connection.close()


async def test_a_hanging_node_answers_no_ping_and_drops_ignored_connections_afterwards() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.HANG)
        assert await outcome(connection.ping(SILENCE)) == Reason.QUERY_TIMEOUT
        waiting = asyncio.create_task(outcome(info(connection)))
        await asyncio.sleep(0)
        await it.node.clear_faults()
        assert await waiting == Reason.CONNECTION_LOST
        await connection.close()


async def test_a_slow_answer_comes_after_its_delay_and_is_fresh() -> None:
    async with small_network() as it:
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
    async with small_network() as it:
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
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.LAG, 20)
        head = {"workchain": -1, "shard": -(1 << 63), "seqno": 80}
        query = tl.encode_query("lookupBlock", {"mode": 1, "id": head})
        error = tl.decode((await connection.query(query, PATIENCE)).body, "liteServer.error")
        assert error["code"] == 651
        assert error["message"].endswith("(last known masterchain block: 30)")
        await connection.close()


async def test_a_shard_client_that_lags_far_is_not_used() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SHARD_LAG)
        assert (await info(connection, mode=0))["last"]["seqno"] == 80
        assert (await info(connection, mode=1))["last"]["seqno"] == 20
        await connection.close()


async def test_a_stalled_node_keeps_its_block_longer_than_the_chain() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.STALL)
        it.chain._blocks = type(it.chain._blocks)(it.chain._blocks, maxlen=5)
        it.chain.advance(20)
        stalled = await info(connection)
        assert stalled["last"]["seqno"] == 80
        query = tl.encode_query("getBlockHeader", {"id": stalled["last"], "mode": 0})
        tl.decode((await connection.query(query, PATIENCE)).body, "liteServer.blockHeader")
        await it.node.clear_faults()
        assert (await info(connection))["last"]["seqno"] == 100
        await connection.close()


async def test_a_node_of_another_network() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.WRONG_NETWORK)
        foreign = await info(connection)
        assert foreign["init"]["root_hash"] == it.foreign.zerostate.root_hash.hex()
        assert foreign["last"]["seqno"] == 7
        await connection.close()


@pytest.mark.parametrize("skew", [30.0, -30.0])
async def test_a_wrong_clock(skew: float) -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.CLOCK_SKEW, skew)
        answer = await info(connection)
        assert answer["now"] == NOW + skew
        assert answer["last_utime"] == NOW, "the chain's time is right"
        await connection.close()


# A provider.


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
        (Fault.FORK, 200),
        (Fault.UNREACHABLE, "TimeoutError"),
        (Fault.STEP_BACK, 200),
        (Fault.FLAP, "ClientConnectorError"),
        (Fault.CATCH_UP, 200),
        (Fault.SLOW_DRIP, "TimeoutError"),
        (Fault.REFUSE_NEW, "ClientConnectorError"),
        (Fault.SLOW_CONNECT, "TimeoutError"),
    ],
    ids=str,
)
async def test_a_provider_with_a_fault(fault: Fault, sees: int | str) -> None:
    async with small_network() as it:
        await it.provider.set_fault(fault)
        timeout = SILENCE if sees == "TimeoutError" else PATIENCE
        status, body = await get(it.provider, "getMasterchainInfo", timeout)
        assert status == sees
        assert isinstance(body, str) == (fault is Fault.BAD_JSON), "the only one that is not JSON"
        await it.provider.clear_faults()
        assert (await get(it.provider, "getMasterchainInfo"))[0] == 200


async def test_a_throttled_provider_answers_the_documented_error() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.THROTTLE)
        answer = await get(it.provider, "getMasterchainInfo")
        assert answer == (429, {"ok": False, "result": "Ratelimit exceed", "code": 429})


@pytest.mark.parametrize(
    ("fault", "value", "seqno"),
    [(Fault.LAG, 20, 35), (Fault.STALL, None, 80), (Fault.WRONG_NETWORK, None, 7)],
    ids=str,
)
async def test_the_head_of_a_provider_with_a_fault(
    fault: Fault, value: float | None, seqno: int
) -> None:
    async with small_network() as it:
        await it.provider.set_fault(fault, value)
        it.clock.now += 2
        it.chain.advance()
        _, body = await get(it.provider, "getMasterchainInfo")
        assert isinstance(body, dict)
        assert body["result"]["last"]["seqno"] == seqno


async def test_a_hanging_provider_answers_when_it_is_back() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.HANG)
        asked = asyncio.create_task(get(it.provider, "getMasterchainInfo"))
        await until(lambda: it.provider._http is not None and it.provider._http.connections)
        await it.provider.clear_faults()
        assert (await asked)[0] == 200


async def test_refusing_ends_the_providers_open_connections() -> None:
    async with small_network() as it:
        reader, writer = await asyncio.open_connection(it.provider.host, it.provider.port)
        writer.write(b"GET /api/v2/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await it.provider.set_fault(Fault.REFUSE)
        async with asyncio.timeout(PATIENCE):
            await reader.read()  # the rest of the answer, and the end
        writer.close()
        await writer.wait_closed()


# All kinds.


@pytest.mark.parametrize(
    ("kind", "fault", "value", "message"),
    [
        ("node", Fault.BAD_JSON, None, r"node \(liteserver\) cannot bad_json; it supports: refuse"),
        ("provider", Fault.NOT_SYNCED, None, r"provider \(toncenter-v2\) cannot not_synced"),
        ("provider", Fault.OUT_QUEUE, None, "cannot out_queue"),
        ("node", Fault.ACCOUNTS_FAIL, 404.0, "one of the numbers -400, 500, 651, 652, not 404"),
        ("node", Fault.REWIND, None, "cannot rewind"),
        ("node", Fault.LAG, -1.0, "a number of seconds from 0, not -1"),
        ("node", Fault.LAG, float("nan"), "not nan"),
        ("node", Fault.HANG, 3.0, "hang takes no number"),
        ("node", Fault.LOSSY, 1.5, "a number of lost answers per query from 0 to 1, not 1.5"),
        ("node", Fault.FLAP, 0.0, "a number of seconds from 0.01, not 0"),
        ("node", Fault.CLOCK_SKEW, float("inf"), "a number of seconds, not inf"),
        ("provider", Fault.BAD_PROOF, None, "cannot bad_proof"),
    ],
)
async def test_what_cannot_be_set(
    kind: str, fault: Fault, value: float | None, message: str
) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        with pytest.raises(ValueError, match=message):
            await target.set_fault(fault, value)
        assert target.faults == ()


@pytest.mark.parametrize("fault", [Fault.WRONG_NETWORK, Fault.FORK], ids=str)
async def test_without_another_chain_no_server_can_follow_it(fault: Fault) -> None:
    server = LiteServer("alone", empty_chain())
    assert fault not in server.supported
    with pytest.raises(ValueError, match=f"cannot {fault}"):
        await server.set_fault(fault)


def test_every_fault_is_supported_somewhere() -> None:
    servers = frozenset[Fault]().union(*(server.supported_faults for server in SERVERS.values()))
    others = (Wallet, UpgradableContract, BreakableChain)
    assert servers.union(*(kind.supported_faults for kind in others)) == set(Fault)


@pytest.mark.parametrize("kind", ["node", "provider"])
async def test_the_port_stays_the_same_through_refusing(kind: str) -> None:
    async with small_network() as it:
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
    async with small_network() as it:
        connection = await connect(it.node)
        for target in (it.node, it.provider):
            if fault in target.supported:
                await target.set_fault(fault)
        asked = [
            asyncio.create_task(outcome(info(connection))),
            asyncio.create_task(get(it.provider, "getMasterchainInfo")),
        ]
        await until(
            lambda: (
                asked[1].done()
                or fault is Fault.UNREACHABLE
                or (it.provider._http and it.provider._http.connections)
            )
        )
        await it.node.close()
        await it.provider.close()
        await asyncio.gather(*asked)
        await connection.close()
        assert it.node.connections == set()
        ports = [it.node.port, it.provider.port]
    assert asyncio.all_tasks() == before
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
