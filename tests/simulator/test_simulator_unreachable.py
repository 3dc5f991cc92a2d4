"""The fault unreachable: the kernel drops packets to the port."""

import asyncio
import contextlib
import socket
import time

import pytest

from tests.simulator.small_network import (
    PATIENCE,
    SILENCE,
    a_query,
    connect,
    get,
    info,
    outcome,
    pick,
    small_network,
)
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.unreachable import UnreachablePort
from tonwatch.ton.errors import Reason

KINDS = ["node", "provider"]


async def opens(port: int, within: float) -> bool:
    """Whether a TCP connection comes about."""
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except TimeoutError:
        return False
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return True


@pytest.mark.parametrize("kind", KINDS)
async def test_connecting_times_out_for_all_until_it_is_cleared(kind: str) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        await target.set_fault(Fault.UNREACHABLE)
        tries = [opens(target.port, within=1.5) for _ in range(10)]  # a repeated SYN comes at 1 s
        assert await asyncio.gather(*tries) == [False] * 10
        await target.clear_faults()
        assert await opens(target.port, PATIENCE)


async def test_a_client_that_still_tries_when_it_ends_is_connected() -> None:
    async with small_network() as it:
        await it.node.set_fault(Fault.UNREACHABLE)
        trying = asyncio.create_task(opens(it.node.port, PATIENCE))
        await asyncio.sleep(SILENCE)
        assert not trying.done()
        await it.node.clear_faults()
        assert await trying, "the kernel repeats the SYN"


async def test_open_connections_get_no_answers_and_stay_open() -> None:
    async with small_network() as it:
        idle, asking = await connect(it.node), await connect(it.node)
        await it.node.set_fault(Fault.UNREACHABLE)
        assert await outcome(info(asking, timeout=SILENCE)) == Reason.QUERY_TIMEOUT
        assert await outcome(asking.ping(SILENCE)) == Reason.QUERY_TIMEOUT
        assert asking.alive
        await it.node.clear_faults()
        assert await outcome(info(idle)) == Reason.OK
        assert await outcome(info(asking)) == Reason.CONNECTION_LOST, "its bytes were lost"
        assert await a_query(it.node) == Reason.OK
        await idle.close()
        await asking.close()


async def test_a_providers_open_connections_get_no_answers() -> None:
    async with small_network() as it:
        reader, writer = await asyncio.open_connection(it.provider.host, it.provider.port)
        request = b"GET /api/v2/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(request)
        await reader.readuntil(b'"OK"}')
        await it.provider.set_fault(Fault.UNREACHABLE)
        writer.write(request)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE):
                await reader.read(1)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("then", [Fault.REFUSE, Fault.FLAP, Fault.UNREACHABLE], ids=str)
async def test_another_fault_replaces_it_on_the_same_port(kind: str, then: Fault) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        port = target.port
        await target.set_fault(Fault.UNREACHABLE)
        await target.set_fault(then)
        if then is Fault.UNREACHABLE:
            assert not await opens(port, SILENCE)
        else:
            with pytest.raises(ConnectionRefusedError):
                await opens(port, PATIENCE)
        await target.clear_faults()
        assert target.port == port
        assert await opens(port, PATIENCE)


async def test_a_port_that_is_taken_leaves_no_fault_behind() -> None:
    async with small_network() as it:
        await it.provider.close()
        it.provider.port = it.node.port
        with pytest.raises(OSError, match="in use"):
            await it.provider.set_fault(Fault.UNREACHABLE)
        assert it.provider.faults == ()


def test_an_unreachable_port_closes_all_its_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    for _ in range(3):
        hole = UnreachablePort("127.0.0.1", port)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), timeout=0.2)
        assert time.monotonic() - began >= 0.2
        hole.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_kernel_that_accepts_all_connections_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roomy = socket.create_server(("127.0.0.1", 0), backlog=50)
    monkeypatch.setattr(socket, "create_server", lambda *_, **__: roomy)
    with pytest.raises(OSError, match="does not drop"):
        UnreachablePort("127.0.0.1", roomy.getsockname()[1])
    assert roomy.fileno() == -1, "closed"


async def test_a_provider_that_is_unreachable_from_the_start_of_a_request() -> None:
    async with small_network() as it:
        await it.provider.set_fault(Fault.UNREACHABLE)
        asked = asyncio.create_task(get(it.provider, "getMasterchainInfo"))
        await asyncio.sleep(SILENCE)
        await it.provider.clear_faults()
        assert (await asked)[0] == 200
