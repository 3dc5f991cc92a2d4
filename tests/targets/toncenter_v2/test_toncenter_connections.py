"""New connections to a provider, and kept ones: what new ones are shown counts."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Final

import pytest
from aiohttp import web

from tests import virtual_time
from tests.targets.toncenter_v2.providers import (
    ROOT_HASH,
    ZEROSTATE,
    always,
    client_of,
    failure,
    header,
    healthy,
    info,
    ok,
    serving,
)
from tests.ton.peers import HOST
from tests.virtual_time import EPOCH, VirtualLoop
from tonwatch.config.secret_files import SecretFiles
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.system.executors import Threads
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.targets.kind import Services
from tonwatch.targets.toncenter_v2 import probes
from tonwatch.targets.toncenter_v2.kind import ToncenterV2
from tonwatch.targets.toncenter_v2.target import OpenToncenter
from tonwatch.ton.errors import Reason
from tonwatch.ton.http import Timing

R = Reason
T: Final = 3.0
"""The timeout of probes, seconds."""


class Provider:
    """A provider with a block a second.

    Attributes:
        stands: connections that were opened before the loop's time was so late stay at the block
            of that time.
        fails: such connections get an error instead.
        delay: seconds before an answer.
        opened: when each connection was opened.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.stands = 0.0
        self.fails = False
        self.delay = 0.0
        self.opened: dict[Any, float] = {}

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        now = self._loop.time()
        opened = self.opened.setdefault(request.transport, now)
        await asyncio.sleep(self.delay)
        if self.fails and opened < self.stands:
            return web.Response(status=502)
        seqno = 1000 + int(self.stands if opened < self.stands else now)
        asked = request.query.get("seqno")
        result = header(seqno=int(asked)) if asked else info(seqno=seqno)
        date = formatdate(self._loop.wall() + 7.0, usegmt=True)
        return web.Response(body=ok(result), headers={"Date": date})


@dataclass
class Played:
    """A provider on a virtual clock, and what asks it.

    Attributes:
        host: where its name leads.
        resolving: seconds that its name takes.
    """

    loop: VirtualLoop
    provider: Provider
    target: OpenToncenter = field(init=False)
    host: tuple[str, int] = (HOST, 0)
    resolving: float = 0.0

    async def resolve(self, host: str, port: int) -> list[Any]:
        assert (host, port) == ("provider.test", 80)
        await asyncio.sleep(self.resolving)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", self.host)]

    @property
    def block(self) -> int:
        """The last one."""
        return 1000 + int(self.loop.time())


def play(scene: Callable[[Played], Coroutine[Any, Any, None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        it, threads = Played(loop, Provider(loop)), Threads("test", 1)
        files = SecretFiles(threads, InternalErrors(wall=loop.wall, monotonic=loop.time))
        async with serving(it.provider) as url:
            it.host = (HOST, int(url.split(":")[2].partition("/")[0]))
            section = ToncenterV2(
                name="it",
                kind="toncenter-v2",
                url="http://provider.test/api/v2",
                requests_per_second=1000,
            )
            it.target = OpenToncenter(section, Services(it.resolve, files, lambda: T, loop.wall))
            try:
                await scene(it)
            finally:
                await it.target.close()
                threads.shutdown()

    virtual_time.run(main)


def seqno(sample: Sample) -> int:
    assert sample.head is not None, sample.detail
    return sample.head.seqno


class TestKept:
    @pytest.mark.parametrize("fails", [False, True], ids=["old blocks", "errors"])
    def test_one_that_brings_no_new_blocks_is_replaced(self, fails: bool) -> None:
        async def scene(it: Played) -> None:
            await it.target.head()
            it.provider.fails = fails
            it.provider.stands = it.loop.time() + 1.0
            for _ in range(4):
                await asyncio.sleep(5.0)
                await it.target.head()
            assert seqno(await it.target.head()) == it.block
            assert len(it.provider.opened) == 2

        play(scene)

    def test_one_that_shows_less_than_a_new_one_is_replaced(self) -> None:
        async def scene(it: Played) -> None:
            await it.target.head()
            it.provider.stands = it.loop.time() + 1.0
            await asyncio.sleep(8.0)
            assert seqno(await it.target.connect()) == it.block
            await it.target.head()  # shows that it is behind
            assert seqno(await it.target.head()) == it.block

        play(scene)

    def test_a_name_that_leads_elsewhere_now_is_followed(self) -> None:
        async def scene(it: Played) -> None:
            other = Provider(it.loop)
            async with serving(other) as url:
                await it.target.head()
                it.host = (HOST, int(url.split(":")[2].partition("/")[0]))
                it.provider.stands = it.loop.time() + 1.0
                for _ in range(4):
                    await asyncio.sleep(5.0)
                    await it.target.head()
                last = await it.target.head()
                assert seqno(last) == it.block
                assert len(other.opened) == 1

        play(scene)

    def test_good_ones_are_kept_for_five_minutes_or_so(self) -> None:
        async def scene(it: Played) -> None:
            for _ in range(720):
                assert seqno(await it.target.head()) == it.block
                await asyncio.sleep(5.0)
            assert 10 <= len(it.provider.opened) <= 15

        play(scene)


class TestConnectProbe:
    def test_each_has_a_new_connection(self) -> None:
        async def scene(it: Played) -> None:
            await it.target.head()
            for _ in range(3):
                sample = await it.target.connect()
                assert sample.ok, sample.detail
                assert sample.probe is Probe.CONNECT
                assert set(sample.phases) == {"resolve", "connect", "query"}
                offset = sample.head.clock_offset if sample.head is not None else None
                assert offset == pytest.approx(7.0, abs=1.0)
                assert sample.head == Head(
                    seqno=it.block, root_hash=ROOT_HASH, zerostate=ZEROSTATE, clock_offset=offset
                )
            assert len(it.provider.opened) == 4

        play(scene)

    def test_it_fails_where_only_kept_connections_work(self) -> None:
        async def scene(it: Played) -> None:
            await it.target.head()
            with socket.socket() as closed:
                closed.bind((HOST, 0))
                it.host = (HOST, closed.getsockname()[1])
                await asyncio.sleep(1.0)
                assert (await it.target.head()).ok
                assert (await it.target.connect()).reason is R.CONNECT_REFUSED

        play(scene)

    @pytest.mark.parametrize(
        ("resolving", "delay", "head", "connect"),
        [
            pytest.param(0.0, 0.0, R.OK, R.OK, id="quick"),
            pytest.param(0.0, 4.0, R.QUERY_TIMEOUT, R.OK, id="slow"),
            pytest.param(2.9, 9.0, R.QUERY_TIMEOUT, R.OK, id="slow in everything"),
            pytest.param(0.0, 11.0, R.QUERY_TIMEOUT, R.QUERY_TIMEOUT, id="too slow"),
        ],
    )
    def test_slow_answers_are_measured(
        self, resolving: float, delay: float, head: Reason, connect: Reason
    ) -> None:
        async def scene(it: Played) -> None:
            it.resolving, it.provider.delay = resolving, delay
            assert (await it.target.head()).reason is head
            sample = await it.target.connect()
            assert sample.reason is connect, sample.detail
            if sample.ok:
                assert sample.phases["query"] == pytest.approx(delay, abs=0.05)

        play(scene)


@pytest.mark.parametrize(
    ("resolving", "delay", "reason", "detail"),
    [
        pytest.param(0.0, 2.8, R.OK, "", id="the whole timeout where connecting is quick"),
        pytest.param(2.9, 0.0, R.OK, "", id="slow name, quick answer"),
        pytest.param(2.9, 1.4, R.OK, "", id="half of it where connecting was slow"),
        pytest.param(2.9, 1.6, R.QUERY_TIMEOUT, "no answer within 1.5 s", id="no more than that"),
        pytest.param(3.1, 0.0, R.RESOLVE_FAILED, "name resolution timed out", id="slow name"),
    ],
)
def test_fair_time(resolving: float, delay: float, reason: Reason, detail: str) -> None:
    """How long connecting took says nothing about the answer."""

    async def scene(it: Played) -> None:
        it.resolving, it.provider.delay = resolving, delay
        sample = await it.target.head()
        assert (sample.reason, sample.detail) == (reason, detail)

    play(scene)


@pytest.mark.parametrize(
    ("headers", "offset"),
    [
        pytest.param({"Date": formatdate(EPOCH)}, 0.5, id="right"),
        pytest.param({"Date": formatdate(EPOCH - 60)}, -59.5, id="behind"),
        pytest.param({"Date": formatdate(EPOCH), "Age": "0"}, 0.5, id="fresh of a cache"),
        pytest.param({"Date": formatdate(EPOCH), "Age": "17"}, None, id="of a cache"),
        pytest.param({"Date": formatdate(EPOCH), "Age": "x"}, None, id="of a strange cache"),
        pytest.param({"Date": "yesterday"}, None, id="no date"),
        pytest.param({"Date": ""}, None, id="empty"),
        pytest.param({"Date": "Mon, 99 Jan 99999 99:99:99 GMT"}, None, id="impossible"),
    ],
)
async def test_clock(headers: dict[str, str], offset: float | None) -> None:
    async def dated(request: web.BaseRequest) -> web.StreamResponse:
        answer = await healthy(request)
        answer.headers.update(headers)
        return answer

    async with serving(dated) as url, client_of(url) as client:
        sample = await probes.head("it", client, timeout=T, wall=lambda: EPOCH)
    assert sample.head is not None, sample.detail
    expected = None if offset is None else pytest.approx(offset, abs=0.2)
    assert sample.head.clock_offset == expected


async def test_server_is_named_by_its_own_address() -> None:
    async with serving(healthy) as url, client_of(url) as client:
        timing = Timing()
        await client.masterchain_info(T, timing)
    assert timing.server == url.removeprefix("http://").partition("/")[0]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_say_what_to_do(status: int) -> None:
    async with serving(always(status, b"moved", Location="https://elsewhere.test/")) as url:
        error = await failure(url)
    assert error.reason is R.BAD_ANSWER
    assert error.detail == f"HTTP {status}: redirects to another address: configure the final URL"


@pytest.mark.parametrize(("key", "reason"), [(None, R.FORBIDDEN), ("abc", R.UNAUTHORIZED)])
async def test_payment_required(key: str | None, reason: Reason) -> None:
    async with serving(always(402, b"quota used up")) as url:
        error = await failure(url, api_key=key)
    assert error.reason is reason
    assert error.detail.startswith("HTTP 402: asks for payment: the plan has ended")
