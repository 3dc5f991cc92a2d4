"""Faults that vary by themselves: flapping, catching up, stepping back, lost answers."""

import asyncio
import contextlib
import gc
import socket

import pytest

from tests.simulator.small_network import (
    PATIENCE,
    SILENCE,
    SmallNetwork,
    a_connection,
    connect,
    get,
    info,
    outcome,
    pick,
    small_network,
    until,
)
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.base import SimulatedServer
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver import tl

KINDS = ["node", "provider"]


async def is_open(target: SimulatedServer) -> bool:
    try:
        _, writer = await asyncio.open_connection(target.host, target.port)
    except ConnectionError:  # refused, or reset while it stops listening
        return False
    writer.close()
    with contextlib.suppress(ConnectionError):  # it may refuse again
        await writer.wait_closed()
    return True


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flapping_server_refuses_first_and_then_takes_turns(kind: str) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await target.set_fault(Fault.FLAP, 0.05)
        seen = [await is_open(target)]
        while len(seen) < 5:
            now = await is_open(target)
            if now != seen[-1]:
                seen.append(now)
            await asyncio.sleep(0.002)
            assert loop.time() < began + PATIENCE
        assert seen == [False, True, False, True, False]
        assert loop.time() - began >= 4 * 0.05
        await target.clear_faults()
        assert await is_open(target)
        assert target._flapping is None


async def test_a_flapping_node_answers_between_and_drops_its_connections_when_it_refuses() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.FLAP, 0.2)
        assert await a_connection(it.node, PATIENCE) == Reason.CONNECT_REFUSED
        await until(lambda: not it.node.refusing)
        connection = await connect(it.node)
        assert await outcome(info(connection)) == Reason.OK
        await until(lambda: it.node.refusing)
        assert await outcome(info(connection)) == Reason.CONNECTION_LOST
        await connection.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_faults_set_in_haste_leave_one_listener(kind: str) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        await asyncio.gather(
            *(target.set_fault(Fault.FLAP, 0.01) for _ in range(5)),
            target.set_fault(Fault.UNREACHABLE),
            *(target.clear_faults() for _ in range(3)),
        )
        assert target._flapping is None
        assert await is_open(target)


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_is_being_accepted_ends_with_the_listener(
    kind: str, turns: int
) -> None:
    loop = asyncio.get_running_loop()
    async with small_network() as it:
        target = pick(it, kind)
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, (target.host, target.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            await target.set_fault(Fault.REFUSE)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(loop.sock_recv(client, 1), PATIENCE) == b""
        # A leaked connection would warn here that it was not closed.
        gc.collect()


# Catching up.


async def seqno_of(it: SmallNetwork, kind: str, connection: AdnlConnection) -> int:
    if kind == "node":
        return int((await info(connection))["last"]["seqno"])
    _, body = await get(it.provider, "getMasterchainInfo")
    assert isinstance(body, dict)
    return int(body["result"]["last"]["seqno"])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_node_that_catches_up(kind: str) -> None:
    async with small_network() as it:  # 80 blocks of 0.4 s
        connection = await connect(it.node)
        await pick(it, kind).set_fault(Fault.CATCH_UP, 24)
        gaps = []
        for _ in range(12):
            gaps.append(it.chain.head.seqno - await seqno_of(it, kind, connection))
            it.clock.now += 0.8
            it.chain.advance()
            it.chain.advance()
        # It gains three seconds each second: six blocks in 0.8 s.
        assert gaps[0] == 60
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[-1] == 0
        assert gaps[5] == pytest.approx(30, abs=2)
        await connection.close()


# Stepping back.


@pytest.mark.parametrize("kind", KINDS)
async def test_every_other_answer_comes_from_a_node_that_is_behind(kind: str) -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await pick(it, kind).set_fault(Fault.STEP_BACK)
        seen = [await seqno_of(it, kind, connection) for _ in range(4)]
        assert seen == [80, 75, 80, 75]
        await pick(it, kind).clear_faults()
        assert [await seqno_of(it, kind, connection) for _ in range(2)] == [80, 80]
        await connection.close()


async def test_the_node_behind_does_not_know_the_newest_block() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.STEP_BACK, 3)
        method = "getBlockHeader?workchain=-1&shard=-9223372036854775808&seqno=80"
        assert [(await get(it.provider, method))[0] for _ in range(4)] == [200, 500, 200, 500]


async def test_no_answer_steps_back_behind_the_oldest_block() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.STEP_BACK, 500)
        assert [await seqno_of(it, "node", connection) for _ in range(2)] == [80, 1]
        await connection.close()


# Lost answers.


async def lost_queries(it: SmallNetwork, count: int) -> list[bool]:
    """Indices of the queries, of `count` at once, that get no answer."""
    connection = await connect(it.node)
    query = tl.encode_query("getTime", {})
    asked = (outcome(connection.query(query, 5 * SILENCE)) for _ in range(count))
    lost = [reason is Reason.QUERY_TIMEOUT for reason in await asyncio.gather(*asked)]
    assert await outcome(connection.ping(PATIENCE)) == Reason.OK, "pings are not lost"
    await connection.close()
    return lost


async def test_a_share_of_queries_gets_no_answer_and_the_same_ones_each_time() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.LOSSY, 0.3)
        first = await lost_queries(it, 200)
        assert 40 <= sum(first) <= 80
        await it.node.set_fault(Fault.LOSSY, 0.3)
        assert await lost_queries(it, 200) == first
        await it.node.clear_faults()
        assert not any(await lost_queries(it, 200))


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.0, 0, 0), (0.5, 5, 25), (1.0, 30, 30)], ids=str
)
async def test_a_provider_closes_connections_in_place_of_answers(
    share: float, least: int, most: int
) -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.LOSSY, share)
        answers = [(await get(it.provider, "getMasterchainInfo"))[0] for _ in range(30)]
        assert set(answers) <= {200, "ServerDisconnectedError"}
        assert least <= answers.count("ServerDisconnectedError") <= most
