"""A kept connection is not trusted: what new connections are shown counts."""

import asyncio
import hashlib
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests import virtual_time
from tests.ton.peers import (
    HOST,
    SERVER_KEY,
    Peer,
    Server,
    lite_error,
    lite_query,
    recorded,
)
from tests.virtual_time import VirtualLoop
from tonwatch.config.secret_files import SecretFiles
from tonwatch.samples.sample import Sample
from tonwatch.system.executors import Threads
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.targets.kind import Services
from tonwatch.targets.liteserver import probes
from tonwatch.targets.liteserver.config import LiteServer
from tonwatch.targets.liteserver.target import OpenLiteServer
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.wire import Message
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver.proofs import KnownBlocks

T: Final = 3.0
"""The timeout of probes, seconds."""

EXT: Final = recorded()["getMasterchainInfoExt mode 0"]
INFO: Final = recorded()["getMasterchainInfo"]


def at_block(answer: bytes, place: int, seqno: int) -> bytes:
    """A recorded answer about the last block with another seqno."""
    return answer[:place] + seqno.to_bytes(4, "little") + answer[place + 4 :]


def answer(question: bytes, seqno: int) -> bytes:
    """What a node answers whose last block is `seqno`; of accounts and headers, nothing."""
    if question == EXT.query:
        return at_block(EXT.answer, 32, seqno)
    if question == INFO.query:
        return at_block(INFO.answer, 16, seqno)
    return lite_error(651, "not in db")


class Node:
    """A liteserver with a block a second.

    Attributes:
        stands: connections that were opened before the loop's time was so late stay at the block
            of that time.
        fails: such connections get an error instead.
        delay: seconds before an answer.
        handshake: seconds before a handshake is answered.
    """

    def __init__(self) -> None:
        self.stands = 0.0
        self.fails = False
        self.delay = 0.0
        self.handshake = 0.0

    async def __call__(self, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        opened = loop.time()
        await asyncio.sleep(self.handshake)
        await peer.accept()
        async with asyncio.TaskGroup() as answering:
            while True:
                query = await peer.query()
                until = self.stands if opened < self.stands else loop.time()
                body = answer(lite_query(query), 1000 + int(until))
                if self.fails and opened < self.stands:
                    body = lite_error(651, "not in db")
                answering.create_task(self.answered(peer, query, body))

    async def answered(self, peer: Peer, query: Message, body: bytes) -> None:
        await asyncio.sleep(self.delay)
        peer.answer(query, body)


@dataclass(frozen=True)
class Played:
    """A node on a virtual clock, and what asks it."""

    loop: VirtualLoop
    server: Server
    node: Node
    target: OpenLiteServer


Scene = Callable[[Played], Coroutine[Any, Any, None]]


def play(scene: Scene, resolve: Any = None) -> None:
    async def main(loop: VirtualLoop) -> None:
        node, threads = Node(), Threads("test", 1)
        files = SecretFiles(threads, InternalErrors(wall=loop.wall, monotonic=loop.time))
        async with Server(node) as server:
            names = resolve(server) if resolve is not None else None

            async def find(host: str, port: int) -> list[Any]:
                address = names(host) if names is not None else (HOST, port)
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

            section = LiteServer(
                name="node", host="node.example", port=server.port, key=SERVER_KEY.hex()
            )
            services = Services(find, files, lambda: T, loop.wall)
            target = OpenLiteServer(section, services, KnownBlocks())
            try:
                await scene(Played(loop, server, node, target))
            finally:
                await target.close()
                threads.shutdown()

    virtual_time.run(main)


def seqno(sample: Sample) -> int:
    assert sample.head is not None, sample.detail
    return sample.head.seqno


@pytest.mark.parametrize("fails", [False, True], ids=["old blocks", "errors"])
def test_a_connection_that_brings_no_new_blocks_is_replaced(fails: bool) -> None:
    async def scene(it: Played) -> None:
        await it.target.head()
        it.node.stands, it.node.fails = it.loop.time() + 1.0, fails
        await asyncio.sleep(5.0)
        stale = await it.target.head()
        assert fails is not stale.ok
        assert fails or seqno(stale) < 1000 + it.loop.time() - 3
        for _ in range(3):
            await asyncio.sleep(5.0)
            await it.target.head()
        assert seqno(await it.target.head()) == 1000 + int(it.loop.time())

    play(scene)


def test_a_new_connection_that_sees_more_replaces_the_kept_one() -> None:
    async def scene(it: Played) -> None:
        await it.target.head()
        it.node.stands = it.loop.time() + 1.0
        await asyncio.sleep(8.0)
        assert seqno(await it.target.connect()) == 1000 + int(it.loop.time())
        await it.target.head()  # shows that it is behind
        fresh = await it.target.head()
        assert seqno(fresh) == 1000 + int(it.loop.time())

    play(scene)


def test_a_name_that_leads_elsewhere_now_is_followed() -> None:
    async def scene(it: Played) -> None:
        async with Server(Node()) as other:
            await it.target.head()
            led["to"] = (HOST, other.port)
            # What is at the old address has no new blocks any more.
            it.node.stands = it.loop.time() + 1.0
            old = it.server.connections
            for _ in range(4):
                await asyncio.sleep(5.0)
                await it.target.head()
            assert seqno(await it.target.head()) == 1000 + int(it.loop.time())
            assert (it.server.connections, other.connections) == (old, 1)

    led: dict[str, tuple[str, int]] = {}

    def names(server: Server) -> Callable[[str], tuple[str, int]]:
        led["to"] = (HOST, server.port)
        return lambda _: led["to"]

    play(scene, names)


def test_good_connections_are_kept_for_five_minutes_or_so() -> None:
    async def scene(it: Played) -> None:
        for _ in range(720):
            assert seqno(await it.target.head()) == 1000 + int(it.loop.time())
            await asyncio.sleep(5.0)
        assert 10 <= it.server.connections <= 15

    play(scene)


class TestFairTime:
    """How long connecting took says nothing about the answer."""

    @pytest.mark.parametrize("handshake", [0.0, 1.5, 2.9])
    def test_a_slow_handshake(self, handshake: float) -> None:
        async def scene(it: Played) -> None:
            it.node.handshake = handshake
            sample = await it.target.head()
            assert sample.ok, sample.detail
            assert sample.phases["handshake"] == pytest.approx(handshake, abs=0.05)
            assert sample.phases["query"] < 0.1

        play(scene)

    @pytest.mark.parametrize(
        ("handshake", "delay", "reason"),
        [
            pytest.param(0.0, 2.2, Reason.OK, id="most of the timeout where connecting is quick"),
            pytest.param(2.9, 1.4, Reason.OK, id="half of it where connecting was slow"),
            pytest.param(2.9, 1.8, Reason.NOT_SYNCED, id="no more than that"),
            pytest.param(3.1, 0.0, Reason.HANDSHAKE_TIMEOUT, id="connecting has the timeout"),
        ],
    )
    def test_time_for_the_answer(self, handshake: float, delay: float, reason: Reason) -> None:
        async def scene(it: Played) -> None:
            it.node.handshake, it.node.delay = handshake, delay
            sample = await it.target.head()
            assert sample.reason is reason, sample.detail
            assert sample.duration <= 1.5 * T + 0.1

        play(scene)

    def test_the_fork_probe(self) -> None:
        async def scene(it: Played) -> None:
            it.node.handshake, it.node.delay = 2.9, 1.4
            assert (await it.target.block_at(5)).reason is Reason.NOT_FOUND  # an answer

        play(scene)


class TestPatience:
    """On a new connection a slow answer is measured."""

    @pytest.mark.parametrize(
        ("handshake", "delay", "head", "connect"),
        [
            pytest.param(0.0, 0.0, Reason.OK, Reason.OK, id="quick"),
            pytest.param(0.0, 4.0, Reason.NOT_SYNCED, Reason.OK, id="slow"),
            pytest.param(2.9, 9.0, Reason.NOT_SYNCED, Reason.OK, id="slow in everything"),
            pytest.param(0.0, 11.0, Reason.NOT_SYNCED, Reason.NOT_SYNCED, id="too slow"),
        ],
    )
    def test_when(self, handshake: float, delay: float, head: Reason, connect: Reason) -> None:
        async def scene(it: Played) -> None:
            it.node.handshake, it.node.delay = handshake, delay
            assert (await it.target.head()).reason is head
            sample = await it.target.connect()
            assert sample.reason is connect, sample.detail
            if sample.ok:
                assert sample.phases["query"] == pytest.approx(delay, abs=0.05)
                assert sample.head is not None

        play(scene)

    def test_its_measure(self) -> None:
        timeout = 3.0
        services = Services(None, None, lambda: timeout, lambda: 0.0)  # type: ignore[arg-type]
        assert services.patience() == 10.0
        timeout = 5.0
        assert services.patience() == 15.0


def test_samples_name_the_server_by_its_key() -> None:
    async def scene(it: Played) -> None:
        samples = [await it.target.head(), await it.target.connect(), await it.target.block_at(1)]
        assert {sample.server for sample in samples} == {
            hashlib.sha256(bytes.fromhex("c6b41348") + SERVER_KEY).hexdigest()
        }

    play(scene)


def test_a_dead_node_is_not_one_that_is_not_synced() -> None:
    """It answers nothing after the first ping."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.pong(await peer.message())
        while True:
            message: Message = await peer.message()
            assert message.constructor in {wire.PING, wire.QUERY}

    async def main(loop: VirtualLoop) -> None:
        async with Server(script) as server:
            link = server.link()
            sample = await probes.head("node", link, timeout=T, wall=loop.wall)
            assert sample.reason is Reason.QUERY_TIMEOUT, sample.detail
            assert sample.duration < T
            await link.drop()

    virtual_time.run(main)
