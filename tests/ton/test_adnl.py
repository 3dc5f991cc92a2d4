"""An ADNL connection against peers that misbehave: each failure has its reason, nothing leaks."""

import asyncio
import errno
import gc
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import pytest

from tests.ton.peers import HOST, OTHER_KEY, SERVER_KEY, Peer, Script, Server
from tonwatch.ton import wire
from tonwatch.ton.adnl import AdnlConnection
from tonwatch.ton.errors import (
    ConnectError,
    ConnectionLost,
    ProtocolError,
    QueryTimeout,
    Reason,
    TonError,
)
from tonwatch.ton.wire import Message

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason
SHORT: Final = 0.05
"""Seconds to wait for what never comes."""
LONG: Final = 5.0
"""Seconds to wait for what does come."""
MAX_FRAME: Final = 4096


async def echo(peer: Peer) -> None:
    """A good server: answers each query with its own body."""
    await peer.accept()
    while True:
        query = await peer.query()
        peer.answer(query, query.body)


# Opening.


async def hang_up_at_once(peer: Peer) -> None:
    pass


async def hang_up_after_the_handshake_came(peer: Peer) -> None:
    await peer.reader.readexactly(wire.HANDSHAKE_SIZE)


async def reset(peer: Peer) -> None:
    await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
    peer.writer.transport.abort()


async def never_a_word(peer: Peer) -> None:
    await peer.until_closed()


async def garbage_instead_of_a_handshake(peer: Peer) -> None:
    await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
    peer.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 2)
    await peer.until_closed()


async def half_a_handshake(peer: Peer) -> None:
    packet = await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
    session = wire.accept_session(packet, peer_identity())
    peer.writer.write(session.seal(b"")[:30])
    await peer.until_closed()


def peer_identity() -> Any:
    from tests.ton.peers import IDENTITY

    return IDENTITY


@pytest.mark.parametrize(
    ("script", "timeout", "reason", "says"),
    [
        (hang_up_at_once, LONG, R.HANDSHAKE_FAILED, "closed by the peer"),
        (hang_up_after_the_handshake_came, LONG, R.HANDSHAKE_FAILED, "closed by the peer"),
        (reset, LONG, R.HANDSHAKE_FAILED, "handshake failed"),
        (garbage_instead_of_a_handshake, LONG, R.HANDSHAKE_FAILED, "frame announces"),
        (never_a_word, SHORT, R.HANDSHAKE_TIMEOUT, "no handshake within 0.05 s"),
        (half_a_handshake, SHORT, R.HANDSHAKE_TIMEOUT, "no handshake within 0.05 s"),
    ],
)
async def test_opening_fails(script: Script, timeout: float, reason: Reason, says: str) -> None:
    async with Server(script) as server:
        with pytest.raises(ConnectError, match=says) as caught:
            await server.connect(timeout=timeout, max_frame=MAX_FRAME)
    assert caught.value.reason is reason


async def test_nothing_listens() -> None:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        with pytest.raises(ConnectError) as caught:
            await AdnlConnection.open(HOST, sock.getsockname()[1], SERVER_KEY, timeout=LONG)
    assert caught.value.reason is R.CONNECT_REFUSED


async def test_a_server_with_another_key() -> None:
    async def as_the_node_does(peer: Peer) -> None:
        packet = await peer.reader.readexactly(wire.HANDSHAKE_SIZE)
        with pytest.raises(ProtocolError):
            wire.accept_session(packet, peer_identity())

    async with Server(as_the_node_does) as server:
        with pytest.raises(ConnectError) as caught:
            await AdnlConnection.open(HOST, server.port, OTHER_KEY, timeout=LONG)
    assert caught.value.reason is R.HANDSHAKE_FAILED


async def test_a_key_that_is_none_leaves_no_socket() -> None:
    async with Server(never_a_word) as server:
        with pytest.raises(ValueError, match="not an ed25519 public key"):
            await AdnlConnection.open(HOST, server.port, bytes(31), timeout=LONG)


def resolver(result: Exception | float) -> Callable[..., Awaitable[list[Any]]]:
    """A stand-in for the loop's getaddrinfo that fails, or takes `result` seconds."""

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        if isinstance(result, Exception):
            raise result
        await asyncio.sleep(result)
        return []

    return getaddrinfo


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "not known"),
        (UnicodeError("label too long"), "label too long"),
        (60.0, "timed out"),
    ],
    ids=["unknown", "impossible", "slow"],
)
async def test_names_that_do_not_resolve(
    monkeypatch: pytest.MonkeyPatch, result: Exception | float, says: str
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver(result))
    with pytest.raises(ConnectError, match=says) as caught:
        await AdnlConnection.open("node.invalid", 1, SERVER_KEY, timeout=SHORT)
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
        "tonwatch.ton.adnl.start_connection", _wait_forever if error is None else fail
    )
    with pytest.raises(ConnectError) as caught:
        await AdnlConnection.open(HOST, 1, SERVER_KEY, timeout=SHORT)
    assert caught.value.reason is reason


async def test_cancelled_while_opening() -> None:
    async with Server(never_a_word) as server:
        opening = asyncio.create_task(server.connect())
        while not server.connections:
            await asyncio.sleep(0)
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


# Asking.


def query_then(act: Callable[[Peer, Message], Awaitable[None]]) -> Script:
    """A server that does `act` with the first query and then waits for the client to close."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        await act(peer, await peer.query())
        await peer.until_closed()

    return script


async def stay_silent(_: Peer, __: Message) -> None:
    pass


async def hang_up(peer: Peer, _: Message) -> None:
    peer.writer.close()


async def send_garbage(peer: Peer, _: Message) -> None:
    peer.writer.write(bytes(range(256)))


async def announce_too_much(peer: Peer, query: Message) -> None:
    peer.answer(query, bytes(MAX_FRAME))


async def announce_too_little(peer: Peer, _: Message) -> None:
    peer.writer.write(peer.session._outgoing.encrypt((63).to_bytes(4, "little")))


async def damage(peer: Peer, query: Message) -> None:
    frame = bytearray(peer.seal(Message(wire.ANSWER, query.id, b"answer")))
    frame[80] ^= 1
    peer.writer.write(frame)


async def cut(peer: Peer, query: Message) -> None:
    frame = peer.seal(Message(wire.ANSWER, query.id, b"answer"))
    peer.writer.write(frame[: len(frame) // 2])
    peer.writer.close()


async def stop_in_the_middle(peer: Peer, query: Message) -> None:
    peer.writer.write(peer.seal(Message(wire.ANSWER, query.id, b"answer"))[:-1])


async def answer_another(peer: Peer, _: Message) -> None:
    peer.send(Message(wire.ANSWER, bytes(32), b"answer"))


async def answer_by_a_query(peer: Peer, query: Message) -> None:
    peer.send(query)


async def send_no_message(peer: Peer, _: Message) -> None:
    for payload in (b"", b"\x00" * 12, wire.ANSWER, wire.ANSWER + bytes(32) + b"\xfe"):
        peer.writer.write(peer.session.seal(payload))


@pytest.mark.parametrize(
    ("act", "timeout", "error", "reason", "dropped"),
    [
        (stay_silent, SHORT, QueryTimeout, R.QUERY_TIMEOUT, 0),
        (stop_in_the_middle, SHORT, QueryTimeout, R.QUERY_TIMEOUT, 0),
        (answer_another, SHORT, QueryTimeout, R.QUERY_TIMEOUT, 1),
        (answer_by_a_query, SHORT, QueryTimeout, R.QUERY_TIMEOUT, 1),
        (send_no_message, SHORT, QueryTimeout, R.QUERY_TIMEOUT, 4),
        (hang_up, LONG, ConnectionLost, R.CONNECTION_LOST, 0),
        (cut, LONG, ConnectionLost, R.CONNECTION_LOST, 0),
        (send_garbage, LONG, ProtocolError, None, 0),
        (announce_too_little, LONG, ProtocolError, R.PROTOCOL_ERROR, 0),
        (announce_too_much, LONG, ProtocolError, R.ANSWER_TOO_LARGE, 0),
        (damage, LONG, ProtocolError, R.PROTOCOL_ERROR, 0),
    ],
)
async def test_asking_fails(
    act: Callable[[Peer, Message], Awaitable[None]],
    timeout: float,
    error: type[TonError],
    reason: Reason | None,
    dropped: int,
) -> None:
    async with Server(query_then(act)) as server:
        connection = await server.connect(max_frame=MAX_FRAME)
        with pytest.raises(error) as caught:
            await connection.query(b"question", timeout)
        # Garbage decrypts to one impossible length or the other.
        expected = {reason} if reason else {R.PROTOCOL_ERROR, R.ANSWER_TOO_LARGE}
        assert caught.value.reason in expected
        assert connection.dropped == dropped
        # Only a question that was not answered leaves the connection usable.
        assert connection.alive is (error is QueryTimeout)
        await connection.close()


class TestAnswers:
    async def test_elapsed_is_the_servers_time(self) -> None:
        async def slow(peer: Peer) -> None:
            await peer.accept()
            query = await peer.query()
            await asyncio.sleep(0.1)
            peer.answer(query, b"answer")
            await peer.until_closed()

        async with Server(slow) as server:
            connection = await server.connect()
            reply = await connection.query(b"question", LONG)
            await connection.close()
        assert reply.body == b"answer"
        assert 0.095 < reply.elapsed < 0.5

    async def test_late_answer_is_dropped_and_counted(self) -> None:
        late = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.accept()
            first = await peer.query()
            await late.wait()
            second = await peer.query()
            peer.answer(first, b"late")
            peer.answer(second, b"in time")
            await peer.until_closed()

        async with Server(script) as server:
            connection = await server.connect()
            with pytest.raises(QueryTimeout, match=r"no answer within 0.05 s"):
                await connection.query(b"first", SHORT)
            assert connection.alive
            late.set()
            assert (await connection.query(b"second", LONG)).body == b"in time"
            assert connection.dropped == 1
            await connection.close()

    async def test_second_answer_to_one_question_is_dropped(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.accept()
            query = await peer.query()
            frames = [
                peer.seal(Message(wire.ANSWER, query.id, body)) for body in (b"one", b"two")
            ]
            peer.writer.write(b"".join(frames))
            await peer.until_closed()

        async with Server(script) as server:
            connection = await server.connect()
            assert (await connection.query(b"question", LONG)).body == b"one"
            assert connection.dropped == 1
            await connection.close()

    async def test_byte_by_byte(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.accept()
            query = await peer.query()
            for byte in peer.seal(Message(wire.ANSWER, query.id, b"answer")):
                peer.writer.write(bytes([byte]))
                await peer.writer.drain()
                await asyncio.sleep(0)
            await peer.until_closed()

        async with Server(script) as server:
            connection = await server.connect()
            assert (await connection.query(b"question", LONG)).body == b"answer"
            await connection.close()

    async def test_two_in_one_segment_and_out_of_order(self) -> None:
        async def script(peer: Peer) -> None:
            await peer.accept()
            queries = [await peer.query(), await peer.query()]
            peer.writer.write(
                b"".join(
                    peer.seal(Message(wire.ANSWER, query.id, query.body))
                    for query in reversed(queries)
                )
            )
            await peer.until_closed()

        async with Server(script) as server:
            connection = await server.connect()
            replies = await asyncio.gather(
                connection.query(b"first", LONG), connection.query(b"second", LONG)
            )
            assert [reply.body for reply in replies] == [b"first", b"second"]
            await connection.close()

    async def test_200_pipelined(self) -> None:
        async with Server(echo) as server:
            connection = await server.connect()
            bodies = [b"%d" % number for number in range(200)]
            replies = await asyncio.gather(*(connection.query(body, LONG) for body in bodies))
            assert [reply.body for reply in replies] == bodies
            assert connection.dropped == 0
            await connection.close()

    async def test_a_query_while_pinging(self) -> None:
        async with Server(echo) as server:
            connection = await server.connect()
            elapsed, reply = await asyncio.gather(
                connection.ping(LONG), connection.query(b"question", LONG)
            )
            assert 0 < elapsed < LONG
            assert reply.body == b"question"
            await connection.close()


class TestPing:
    async def test_timeout(self) -> None:
        async def deaf(peer: Peer) -> None:
            await peer.accept()
            await peer.until_closed()

        async with Server(deaf) as server:
            connection = await server.connect()
            with pytest.raises(QueryTimeout, match=r"no pong within 0.05 s"):
                await connection.ping(SHORT)
            await connection.close()

    async def test_not_synced_node_answers_pings_only(self) -> None:
        async def not_synced(peer: Peer) -> None:
            await peer.accept()
            while True:
                message = await peer.message()
                if message.constructor == wire.PING:
                    peer.pong(message)

        async with Server(not_synced) as server:
            connection = await server.connect()
            with pytest.raises(QueryTimeout):
                await connection.query(b"question", SHORT)
            assert 0 < await connection.ping(LONG) < LONG
            await connection.close()

    async def test_echoed_ping_is_no_pong(self) -> None:
        async def mirror(peer: Peer) -> None:
            await peer.accept()
            peer.send(await peer.message())
            await peer.until_closed()

        async with Server(mirror) as server:
            connection = await server.connect()
            with pytest.raises(QueryTimeout):
                await connection.ping(SHORT)
            assert connection.dropped == 1
            await connection.close()


class TestEnding:
    async def test_close_fails_all_waiters(self) -> None:
        async with Server(query_then(stay_silent)) as server:
            connection = await server.connect()
            waiting = [
                asyncio.create_task(connection.query(b"question", LONG)) for _ in range(5)
            ]
            waiting.append(asyncio.create_task(connection.ping(LONG)))  # type: ignore[arg-type]  # its result is not looked at
            await asyncio.sleep(0)
            await connection.close()
            for error in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(error, ConnectionLost)
                assert error.detail == "closed by tonwatch"
            assert not connection._waiting

    async def test_loss_fails_all_waiters(self) -> None:
        async with Server(query_then(hang_up)) as server:
            connection = await server.connect()
            errors = await asyncio.gather(
                *(connection.query(b"question", LONG) for _ in range(5)), return_exceptions=True
            )
            assert [type(error) for error in errors] == [ConnectionLost] * 5
            await connection.close()

    async def test_asking_after_the_end(self) -> None:
        async with Server(echo) as server:
            connection = await server.connect()
            await connection.close()
            assert not connection.alive
            with pytest.raises(ConnectionLost, match="closed by tonwatch"):
                await connection.query(b"question", LONG)
            with pytest.raises(ConnectionLost):
                await connection.ping(LONG)

    async def test_closing_twice(self) -> None:
        async with Server(echo) as server:
            connection = await server.connect()
            await asyncio.gather(connection.close(), connection.close())
            await connection.close()

    async def test_cancelled_query_leaves_nothing(self) -> None:
        async with Server(query_then(stay_silent)) as server:
            connection = await server.connect()
            asking = asyncio.create_task(connection.query(b"question", LONG))
            await asyncio.sleep(0)
            assert len(connection._waiting) == 1
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert not connection._waiting
            await connection.close()

    async def test_timed_out_queries_leave_nothing(self) -> None:
        async with Server(query_then(stay_silent)) as server:
            connection = await server.connect()
            for _ in range(3):
                with pytest.raises(QueryTimeout):
                    await connection.query(b"question", 0.001)
            assert not connection._waiting
            await connection.close()

    async def test_one_error_raised_often_does_not_grow(self) -> None:
        """Python adds to an exception's traceback whenever it is raised."""
        async with Server(echo) as server:
            connection = await server.connect()
            await connection.close()
            lengths = []
            for _ in range(3):
                try:
                    await connection.query(b"question", LONG)
                except ConnectionLost as error:
                    lengths.append(len(list(_frames(error))))
            assert len(set(lengths)) == 1

    async def test_closed_connection_is_freed(self) -> None:
        async with Server(echo) as server:
            connection = await server.connect()
            await connection.query(b"question", LONG)
            await connection.close()
        del connection
        await asyncio.sleep(0)
        gc.collect()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, AdnlConnection)]

    async def test_peer_that_never_reads(self) -> None:
        """Our send buffer is bounded: past its limit questions fail at once."""

        async def script(peer: Peer) -> None:
            await peer.accept()
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # streams type it too narrowly
            await asyncio.sleep(60)

        async with Server(script) as server:
            connection = await server.connect()
            question, asked, refused = bytes(256 * 1024), 0, 0
            for _ in range(100):
                try:
                    await connection.query(question, 0.001)
                except QueryTimeout as error:
                    asked += 1
                    refused += "does not read" in error.detail
            assert refused
            transport = connection._transport
            assert transport is not None
            assert transport.get_write_buffer_size() < 2 * 1024 * 1024
            with suppress(TonError):
                await connection.close()


def _frames(error: BaseException) -> Iterator[object]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next
