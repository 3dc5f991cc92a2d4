"""Queries to a peer that misbehaves: what is returned, what is raised."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from tests.ton.peers import (
    Peer,
    Server,
    echo,
    hang_up,
    query_then,
    stay_silent,
)
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.wire import Message
from tonwatch.ton.errors import (
    ConnectionLost,
    ProtocolError,
    QueryTimeout,
    Reason,
    TonError,
)

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason
SHORT: Final = 0.05
"""Seconds to wait for what never comes."""
LONG: Final = 5.0
"""Seconds to wait for what does come."""
MAX_FRAME: Final = 4096


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
            frames = [peer.seal(Message(wire.ANSWER, query.id, body)) for body in (b"one", b"two")]
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

    async def test_those_asked_in_one_turn_of_the_loop_share_a_write(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Server(echo) as server:
            connection = await server.connect()
            transport: Any = connection._transport
            written: list[int] = []

            class Counting:
                def __getattr__(self, name: str) -> Any:
                    return getattr(transport, name)

                def write(self, data: bytes) -> None:
                    written.append(len(data))
                    transport.write(data)

            monkeypatch.setattr(connection, "_transport", Counting())
            asking = [asyncio.create_task(connection.query(b"question", LONG)) for _ in range(50)]
            await asyncio.sleep(0)
            assert len(written) == 1, "the first does not wait for the others"
            await asyncio.gather(*asking)
            assert len(written) == 2
            assert written[1] == 49 * written[0]
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
