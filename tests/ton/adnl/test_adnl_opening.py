"""Opening a connection: each failure has its reason, and leaves nothing open."""

import asyncio
import errno
import socket
from typing import Any, Final

import pytest

from tests.ton.peers import (
    HOST,
    IDENTITY,
    OTHER_KEY,
    SERVER_KEY,
    Peer,
    Script,
    Server,
    echo,
)
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.errors import (
    ConnectError,
    ProtocolError,
    Reason,
)
from tonwatch.ton.names import Resolve

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason
SHORT: Final = 0.05
"""Seconds to wait for what never comes."""
LONG: Final = 5.0
"""Seconds to wait for what does come."""
MAX_FRAME: Final = 4096


async def hang_up_at_once(peer: Peer) -> None:
    pass


async def hang_up_after_the_handshake_came(peer: Peer) -> None:
    await peer.reader.readexactly(wire.HANDSHAKE_SIZE)


async def reset(peer: Peer) -> None:
    await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
    peer.writer.transport.abort()


async def stay_silent_for_ever(peer: Peer) -> None:
    await peer.until_closed()


async def garbage_instead_of_a_handshake(peer: Peer) -> None:
    await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
    peer.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 2)
    await peer.until_closed()


async def half_a_handshake(peer: Peer) -> None:
    packet = await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
    session = wire.accept_session(packet, IDENTITY)
    peer.writer.write(session.seal(b"")[:30])
    await peer.until_closed()


@pytest.mark.parametrize(
    ("script", "timeout", "reason", "says"),
    [
        (hang_up_at_once, LONG, R.HANDSHAKE_FAILED, "handshake failed"),
        (hang_up_after_the_handshake_came, LONG, R.HANDSHAKE_FAILED, "closed by the peer"),
        (reset, LONG, R.HANDSHAKE_FAILED, "handshake failed"),
        (garbage_instead_of_a_handshake, LONG, R.HANDSHAKE_FAILED, "frame announces"),
        (stay_silent_for_ever, SHORT, R.HANDSHAKE_TIMEOUT, "no handshake within 0.05 s"),
        (half_a_handshake, SHORT, R.HANDSHAKE_TIMEOUT, "no handshake within 0.05 s"),
    ],
)
async def test_opening_fails(script: Script, timeout: float, reason: Reason, says: str) -> None:
    async with Server(script) as server:
        with pytest.raises(ConnectError, match=says) as caught:
            await server.connect(timeout=timeout, max_frame=MAX_FRAME)
    assert caught.value.reason is reason


async def test_connection_refused() -> None:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        with pytest.raises(ConnectError) as caught:
            await AdnlConnection.open(HOST, sock.getsockname()[1], SERVER_KEY, timeout=LONG)
    assert caught.value.reason is R.CONNECT_REFUSED


async def test_a_server_with_another_key() -> None:
    async def as_the_node_does(peer: Peer) -> None:
        packet = await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
        with pytest.raises(ProtocolError):
            wire.accept_session(packet, IDENTITY)

    async with Server(as_the_node_does) as server:
        with pytest.raises(ConnectError) as caught:
            await AdnlConnection.open(HOST, server.port, OTHER_KEY, timeout=LONG)
    assert caught.value.reason is R.HANDSHAKE_FAILED


async def test_an_invalid_key_leaves_no_socket() -> None:
    async with Server(stay_silent_for_ever) as server:
        with pytest.raises(ValueError, match="not an ed25519 public key"):
            await AdnlConnection.open(HOST, server.port, bytes(31), timeout=LONG)
        await server.connected.wait()


def resolver(result: Exception | float) -> Resolve:
    """Finds nothing: fails, or takes `result` seconds."""

    async def resolve(*_: Any) -> list[Any]:
        if isinstance(result, Exception):
            raise result
        await asyncio.sleep(result)
        return []

    return resolve


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "not known"),
        (UnicodeError("label too long"), "label too long"),
        (60.0, "timed out"),
    ],
    ids=["unknown", "impossible", "slow"],
)
async def test_names_that_do_not_resolve(result: Exception | float, says: str) -> None:
    with pytest.raises(ConnectError, match=says) as caught:
        await AdnlConnection.open(
            "node.invalid", 1, SERVER_KEY, timeout=SHORT, resolve=resolver(result)
        )
    assert caught.value.reason is R.RESOLVE_FAILED


async def _wait_forever(*_: Any, **__: Any) -> socket.socket:
    await asyncio.sleep(60)
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, R.CONNECT_TIMEOUT),
        (OSError(errno.ETIMEDOUT, "timed out"), R.CONNECT_TIMEOUT),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), R.CONNECT_REFUSED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), R.CONNECT_FAILED),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), R.CONNECT_FAILED),
        (OSError("Multiple exceptions: ..."), R.CONNECT_FAILED),
    ],
    ids=["silence", "kernel gave up", "refused", "no route", "no network", "several"],
)
async def test_tcp_that_does_not_connect(
    monkeypatch: pytest.MonkeyPatch, error: OSError | None, reason: Reason
) -> None:
    async def fail(*_: Any, **__: Any) -> socket.socket:
        assert error is not None
        raise error

    monkeypatch.setattr(
        "tonwatch.ton.adnl.connection.start_connection", _wait_forever if error is None else fail
    )
    with pytest.raises(ConnectError) as caught:
        await AdnlConnection.open(HOST, 1, SERVER_KEY, timeout=SHORT)
    assert caught.value.reason is reason


async def test_cancelled_while_opening() -> None:
    async with Server(stay_silent_for_ever) as server:
        opening = asyncio.create_task(server.connect())
        await server.connected.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def test_phases_add_up() -> None:
    async with Server(echo) as server:
        loop = asyncio.get_running_loop()
        began = loop.time()
        connection = await server.connect()
        assert 0 < sum(connection.phases) <= loop.time() - began
        assert all(seconds > 0 for seconds in connection.phases)
        await connection.close()
