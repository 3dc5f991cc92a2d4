"""Whatever a liteserver sends, a probe ends in time, with a reason and nothing left open."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ton.peers import Peer, Script, Server, lite_error, lite_query, recorded_answers
from tonwatch.samples.sample import Sample
from tonwatch.targets.liteserver import probes
from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.wire import Message
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver.link import Link

TIMEOUT: Final = 0.1
SLACK: Final = 0.4
"""Seconds that a slow machine may need beyond a probe's timeout."""

Reply = Callable[[Peer, Message], None]
Ask = Callable[..., Awaitable[Sample]]

ANSWERS: Final = recorded_answers()

CONNECT: Final = partial(probes.connect, patience=TIMEOUT)


def raw(data: bytes) -> Reply:
    return lambda peer, _: peer.writer.write(data)


def frame(payload: bytes) -> Reply:
    return lambda peer, _: peer.writer.write(peer.session.seal(payload))


def announcing(length: int) -> Reply:
    header = length.to_bytes(4, "little")
    return lambda peer, _: peer.writer.write(peer.session._outgoing.encrypt(header))


def answer(body: bytes) -> Reply:
    return lambda peer, question: peer.answer(question, body)


def honest(peer: Peer, question: Message) -> None:
    peer.answer(question, ANSWERS.get(lite_query(question), lite_error(651, "not in db")))


def changed(changes: list[tuple[int, int]]) -> Reply:
    """The recorded answer with some bytes replaced, and cut short or continued at its end."""

    def reply(peer: Peer, question: Message) -> None:
        body = bytearray(ANSWERS.get(lite_query(question), lite_error(651, "not in db")))
        for position, value in changes:
            if position < len(body):
                body[position] = value
            elif position % 2:
                body.append(value)
            else:
                del body[-value:]
        peer.answer(question, bytes(body))

    return reply


def hang_up(peer: Peer, _: Message) -> None:
    peer.writer.close()


def silence(_: Peer, __: Message) -> None:
    pass


REPLIES: Final = st.one_of(
    st.binary(max_size=300).map(raw),
    st.binary(max_size=300).map(frame),
    st.integers(0, 2**32 - 1).map(announcing),
    st.binary(max_size=300).map(answer),
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.text(max_size=50)).map(
        lambda error: answer(lite_error(*error))
    ),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=5).map(changed),
    st.sampled_from([honest, honest, honest, hang_up, silence]),
)


def hostile(replies: list[Reply], *, pongs: bool) -> Script:
    """Replies to the first queries with `replies`, then honestly; to pings only with `pongs`."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        remaining = list(replies)
        while True:
            message = await peer.message()
            if message.constructor == wire.PING:
                if pongs:
                    peer.pong(message)
                else:
                    remaining.pop(0)(peer, message) if remaining else None
            elif remaining:
                remaining.pop(0)(peer, message)
            else:
                honest(peer, message)

    return script


async def checked(server: Server, ask: Ask) -> Sample:
    link: Link = server.link()
    before = asyncio.all_tasks()
    sample = await ask("node", link, timeout=TIMEOUT, wall=lambda: 1_795_432_851.0)
    await link.drop()
    left = asyncio.all_tasks() - before - server.tasks
    assert not left, left
    assert sample.duration <= TIMEOUT + SLACK
    assert sample.reason is not Reason.PROBE_FAILED, sample.detail
    assert sample.ok or sample.detail
    return sample


@pytest.mark.parametrize("ask", [probes.head, CONNECT], ids=["head", "connect"])
@settings(max_examples=60)
@given(replies=st.lists(REPLIES, min_size=1, max_size=4))
async def test_any_replies(ask: Ask, replies: list[Reply]) -> None:
    async with Server(hostile(replies, pongs=True)) as server:
        await checked(server, ask)


@settings(max_examples=20)
@given(replies=st.lists(st.binary(max_size=300).map(frame), max_size=3))
async def test_without_pongs(replies: list[Reply]) -> None:
    async with Server(hostile(replies, pongs=False)) as server:
        sample = await checked(server, probes.head)
        assert not sample.ok


@pytest.mark.parametrize("ask", [probes.head, CONNECT], ids=["head", "connect"])
@settings(max_examples=30)
@given(data=st.binary(max_size=500))
async def test_any_bytes_instead_of_a_handshake(ask: Ask, data: bytes) -> None:
    async def script(peer: Peer) -> None:
        peer.writer.write(data)
        await peer.until_closed()

    async with Server(script) as server:
        sample = await checked(server, ask)
    assert sample.reason in {Reason.HANDSHAKE_FAILED, Reason.HANDSHAKE_TIMEOUT}


@pytest.mark.parametrize("ask", [probes.head, CONNECT], ids=["head", "connect"])
async def test_unsolicited_messages_are_not_kept(ask: Ask) -> None:
    """Unsolicited messages in place of an answer, as fast as possible."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.query()
        while True:
            frames = b"".join(
                peer.seal(Message(wire.ANSWER, bytes(32), bytes(4096))) for _ in range(20)
            )
            peer.writer.write(frames)
            await peer.writer.drain()

    async with Server(script) as server:
        sample = await checked(server, ask)
    assert sample.reason is Reason.QUERY_TIMEOUT


async def test_consecutive_queries_share_one_deadline() -> None:
    timeout, delay = 0.4, 0.25

    async def script(peer: Peer) -> None:
        await peer.accept()
        while True:
            question = await peer.query()
            await asyncio.sleep(delay)
            # The client then asks in another way, and has no time left for it.
            peer.answer(question, lite_error(0, "Unknown constructor found 0x70a671df"))

    async with Server(script) as server:
        link = server.link()
        sample = await probes.head("node", link, timeout=timeout, wall=lambda: 0.0)
        await link.drop()
    assert not sample.ok
    assert delay < sample.duration < 2 * delay
