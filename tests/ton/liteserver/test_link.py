"""The kept connection to a liteserver."""

import asyncio
from typing import Final

import pytest

from tests import virtual_time
from tests.ton.peers import HOST, SERVER_KEY, Peer, Server
from tests.virtual_time import VirtualLoop
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.wire import Message
from tonwatch.ton.contracts.accounts import MAX_STATE_BYTES
from tonwatch.ton.errors import ConnectError, ConnectionLost, Reason
from tonwatch.ton.liteserver.link import Link

pytestmark = pytest.mark.usefixtures("nothing_left")

TIMEOUT: Final = 5.0


async def answering_twice(peer: Peer) -> None:
    await peer.accept()
    while True:
        query = await peer.query()
        peer.answer(query, query.body)
        peer.answer(query, query.body)


async def answering_once(peer: Peer) -> None:
    await peer.accept()
    query = await peer.query()
    peer.answer(query, query.body)


async def test_is_kept() -> None:
    async with Server(answering_twice) as server:
        link = server.link()
        first, second = await link.client(TIMEOUT), await link.client(TIMEOUT)
        assert first.connection is second.connection
        await link.drop()
        assert server.connections == 1


async def test_is_replaced_when_lost() -> None:
    async with Server(answering_once) as server:
        link = server.link()
        for _ in range(2):
            client = await link.client(TIMEOUT)
            assert (await client.connection.query(b"question", TIMEOUT)).body == b"question"
            with pytest.raises(ConnectionLost):
                await client.connection.query(b"question", TIMEOUT)
        await link.drop()
        assert server.connections == 2


async def test_is_replaced_after_a_drop() -> None:
    async with Server(answering_twice) as server:
        link = server.link()
        first = await link.client(TIMEOUT)
        await link.drop()
        await link.drop()
        second = await link.client(TIMEOUT)
        assert not first.connection.alive
        assert second.connection.alive
        await link.drop()


async def test_a_connection_apart_is_another() -> None:
    async with Server(answering_twice) as server:
        link = server.link()
        kept = (await link.client(TIMEOUT)).connection
        apart = await link.open(TIMEOUT)
        await apart.close()
        assert kept.alive
        await link.drop()


async def test_dropped_answers_are_counted_over_all_connections() -> None:
    async with Server(answering_twice) as server:
        link = server.link()
        for _ in range(2):
            connection = (await link.client(TIMEOUT)).connection
            await connection.query(b"first", TIMEOUT)
            # Its answer comes after the second one to the first query.
            await connection.query(b"second", TIMEOUT)
            await connection.ping(TIMEOUT)
            await link.drop()
        assert link.dropped_answers == 4


async def test_no_key_yet() -> None:
    def no_key() -> bytes:
        raise ConnectError(Reason.KEY_UNAVAILABLE, "the file does not exist")

    with pytest.raises(ConnectError) as caught:
        await Link(HOST, 1, no_key).client(TIMEOUT)
    assert caught.value.reason is Reason.KEY_UNAVAILABLE


async def test_key_is_asked_at_each_connect() -> None:
    keys: list[bytes] = []

    def key() -> bytes:
        keys.append(SERVER_KEY)
        return SERVER_KEY

    async with Server(answering_twice) as server:
        link = Link(HOST, server.port, key)
        for _ in range(2):
            await link.client(TIMEOUT)
            await link.drop()
    assert len(keys) == 2


async def long_answer(peer: Peer) -> None:
    await peer.accept()
    query = await peer.query()
    peer.send(Message(wire.ANSWER, query.id, bytes(1024 * 1024)))
    await peer.until_closed()


async def test_answers_are_bounded() -> None:
    async with Server(long_answer) as server:
        link = server.link()
        client = await link.client(TIMEOUT)
        with pytest.raises(Exception, match="answer_too_large"):
            await client.connection.query(b"question", TIMEOUT)
        await link.drop()


async def test_answers_about_accounts_may_be_longer() -> None:
    """The bound is the largest account's, which a real one may need."""
    async with Server(long_answer) as server:
        link = Link(HOST, server.port, lambda: SERVER_KEY, max_frame=MAX_STATE_BYTES)
        client = await link.client(TIMEOUT)
        answer, _ = await client.connection.query(b"question", TIMEOUT)
        assert len(answer) == 1024 * 1024
        await link.drop()


class TestReplacement:
    """A kept connection that still works is replaced: by its age, or because it is stale."""

    @staticmethod
    async def slowly(peer: Peer) -> None:
        """Answer after two seconds."""
        await peer.accept()
        while True:
            query = await peer.query()
            await asyncio.sleep(2.0)
            peer.answer(query, query.body)

    def test_what_it_is_asked_is_still_answered(self) -> None:
        async def main(_: VirtualLoop) -> None:
            async with Server(self.slowly) as server:
                link = server.link()
                old = await link.client(TIMEOUT)
                await asyncio.sleep(link.kept.greatest_age)
                asked = asyncio.create_task(old.connection.query(b"question", TIMEOUT))
                await asyncio.sleep(1.0)
                new = await link.client(TIMEOUT)
                assert (link.fresh, new.connection is old.connection) == (True, False)
                assert (await asked).body == b"question"
                alive = [old.connection.alive]
                await asyncio.sleep(60.0)
                assert (await link.client(TIMEOUT)).connection is new.connection
                alive.append(old.connection.alive)
                await link.drop()
                assert server.connections == 2
                assert alive == [True, False], "it is closed once nobody can use it"

        virtual_time.run(main)

    def test_a_stale_one_is_replaced_at_its_next_use(self) -> None:
        async def main(_: VirtualLoop) -> None:
            async with Server(answering_twice) as server:
                link = server.link()
                first = await link.client(TIMEOUT)
                link.saw(100)
                assert (await link.client(TIMEOUT)).connection is first.connection
                await asyncio.sleep(10.0)
                link.saw(100)
                second = await link.client(TIMEOUT)
                assert second.connection is not first.connection
                link.saw(101)
                assert (await link.client(TIMEOUT)).connection is second.connection
                await link.drop()
                assert not first.connection.alive
                assert not second.connection.alive

        virtual_time.run(main)
