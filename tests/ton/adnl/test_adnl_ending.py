"""Closing a connection: every pending query fails, nothing is left open."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pytest

from tests.ton.peers import (
    Peer,
    Server,
    echo,
    hang_up,
    query_then,
    stay_silent,
)
from tonwatch.ton.errors import (
    ConnectionLost,
    QueryTimeout,
    TonError,
)

pytestmark = pytest.mark.usefixtures("nothing_left")

LONG: Final = 5.0
"""Seconds to wait for what does come."""


async def test_close_fails_all_waiters() -> None:
    async with Server(query_then(stay_silent)) as server:
        connection = await server.connect()
        waiting = [asyncio.create_task(connection.query(b"question", LONG)) for _ in range(5)]
        waiting.append(asyncio.create_task(connection.ping(LONG)))  # type: ignore[arg-type]  # its result is not looked at
        await asyncio.sleep(0)
        await connection.close()
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, ConnectionLost)
            assert error.detail == "closed by tonwatch"
        assert not connection._waiting


async def test_loss_fails_all_waiters() -> None:
    async with Server(query_then(hang_up)) as server:
        connection = await server.connect()
        errors = await asyncio.gather(
            *(connection.query(b"question", LONG) for _ in range(5)), return_exceptions=True
        )
        assert [type(error) for error in errors] == [ConnectionLost] * 5
        await connection.close()


async def test_asking_after_the_end() -> None:
    async with Server(echo) as server:
        connection = await server.connect()
        await connection.close()
        assert not connection.alive
        with pytest.raises(ConnectionLost, match="closed by tonwatch"):
            await connection.query(b"question", LONG)
        with pytest.raises(ConnectionLost):
            await connection.ping(LONG)


async def test_closing_twice() -> None:
    async with Server(echo) as server:
        connection = await server.connect()
        await asyncio.gather(connection.close(), connection.close())
        await connection.close()


async def test_cancelled_query_leaves_nothing() -> None:
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


async def test_timed_out_queries_leave_nothing() -> None:
    async with Server(query_then(stay_silent)) as server:
        connection = await server.connect()
        for _ in range(3):
            with pytest.raises(QueryTimeout):
                await connection.query(b"question", 0.001)
        assert not connection._waiting
        await connection.close()


async def test_one_error_raised_often_does_not_grow() -> None:
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


async def test_closed_connection_is_freed() -> None:
    async with Server(echo) as server:
        connection = await server.connect()
        await connection.query(b"question", LONG)
        await connection.close()
    freed = weakref.ref(connection)
    del connection
    await asyncio.sleep(0)
    gc.collect()
    assert freed() is None


async def test_peer_that_never_reads() -> None:
    """The send buffer is bounded: past its limit queries fail at once."""

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
