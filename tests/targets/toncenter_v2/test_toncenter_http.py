"""A provider that breaks HTTP or cannot be reached, and the probe on top of it."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.targets.toncenter_v2.providers import (
    CHUNKED,
    HEAD,
    ROOT_HASH,
    TIMEOUT,
    ZEROSTATE,
    client_of,
    failure,
    healthy,
    raw,
    serving,
)
from tests.ton.peers import HOST, Server
from tests.ton.peers import Peer as Connection
from tonwatch.samples.sample import Probe
from tonwatch.targets.toncenter_v2 import probes
from tonwatch.ton.errors import Reason
from tonwatch.ton.http import Timing

pytestmark = pytest.mark.usefixtures("nothing_left")

R = Reason


@pytest.mark.parametrize(
    ("answer", "then", "reason"),
    [
        (b"", "close", R.CONNECTION_LOST),
        (b"", "reset", R.CONNECTION_LOST),
        (b"", "wait", R.QUERY_TIMEOUT),
        (b"HTTP/1.1 200 OK\r\n", "wait", R.QUERY_TIMEOUT),
        (HEAD + b"{", "wait", R.QUERY_TIMEOUT),
        (HEAD + b"{", "close", R.CONNECTION_LOST),
        (HEAD + b"{", "reset", R.CONNECTION_LOST),
        (CHUNKED + b"5\r\n{", "close", R.CONNECTION_LOST),
        (CHUNKED + b"zz\r\n", "close", None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "wait", R.PROTOCOL_ERROR),
        (b"\x00\x01\x02\x03\r\n\r\n", "close", R.PROTOCOL_ERROR),
        (b"HTTP/1.1 abc OK\r\n\r\n", "close", R.PROTOCOL_ERROR),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "close", R.PROTOCOL_ERROR),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "close", R.PROTOCOL_ERROR),
    ],
)
async def test_broken_http(answer: bytes, then: str, reason: Reason | None) -> None:
    timeout = 0.2 if reason is R.QUERY_TIMEOUT else 20.0  # what is waited for in vain, or not
    async with Server(raw(answer, then=then)) as server:
        error = await failure(f"http://{HOST}:{server.port}", timeout=timeout)
    assert error.reason in ({reason} if reason else {R.CONNECTION_LOST, R.PROTOCOL_ERROR}), error


class TestConnecting:
    async def test_refused(self) -> None:
        with socket.socket() as sock:
            sock.bind((HOST, 0))
            error = await failure(f"http://{HOST}:{sock.getsockname()[1]}")
        assert error.reason is R.CONNECT_REFUSED

    async def test_no_tls(self) -> None:
        async def script(peer: Connection) -> None:
            await peer.reader.read(1)
            peer.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await peer.until_closed()

        async with Server(script) as server:
            error = await failure(f"https://{HOST}:{server.port}")
        assert error.reason is R.TLS_FAILED

    @pytest.mark.parametrize("how", ["unknown", "slow", "impossible"])
    async def test_names_that_do_not_resolve(self, how: str) -> None:
        async def resolve(*_: Any) -> list[Any]:
            if how == "slow":
                await asyncio.sleep(60)
            if how == "impossible":
                raise UnicodeError("label too long")
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        error = await failure("http://node.invalid", timeout=0.05, resolve=resolve)
        assert error.reason is R.RESOLVE_FAILED

    async def test_names_are_resolved_by_the_given_resolver(self) -> None:
        async def resolve(host: str, port: int) -> list[Any]:
            assert host == "provider.example"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port))]

        async with (
            serving(healthy) as url,
            client_of(url.replace(HOST, "provider.example"), resolve=resolve) as client,
        ):
            timing = Timing()
            await client.masterchain_info(TIMEOUT, timing)
        assert timing.resolve is not None

    async def test_silence_while_connecting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def never(*_: Any, **__: Any) -> socket.socket:
            await asyncio.sleep(60)
            raise AssertionError

        monkeypatch.setattr("aiohappyeyeballs.start_connection", never)
        error = await failure(f"http://{HOST}:1", timeout=0.05)
        assert error.reason is R.CONNECT_TIMEOUT


class HeldLimiter:
    """A limiter that waits for `open`."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def acquire(self) -> None:
        await self.open.wait()


class TestProbe:
    async def test_ok(self) -> None:
        async with serving(healthy) as url, client_of(url) as client:
            sample = await probes.head("provider", client, timeout=TIMEOUT, wall=lambda: 7.0)
        assert sample.ok, sample.detail
        assert (sample.target, sample.probe, sample.started) == ("provider", Probe.HEAD, 7.0)
        assert sample.head is not None
        assert sample.head.seqno == 100
        assert sample.head.root_hash == ROOT_HASH
        assert sample.head.zerostate == ZEROSTATE
        assert sample.head.gen_utime == 1_700_000_000
        assert {"connect", "query"} <= set(sample.phases)

    async def test_waiting_for_the_pace_is_not_timed(self) -> None:
        limiter = HeldLimiter()
        async with serving(healthy) as url, client_of(url, limiter=limiter) as client:
            loop = asyncio.get_running_loop()
            began = loop.time()
            loop.call_later(0.3, limiter.open.set)
            # The wait is longer than the timeout: that is for the request alone.
            sample = await probes.head("provider", client, timeout=0.25, wall=lambda: 0.0)
            whole = loop.time() - began
        assert sample.ok, sample.detail
        assert whole >= 0.3
        assert sample.duration == pytest.approx(whole - 0.3, abs=0.02)
        assert sum(sample.phases.values()) <= sample.duration + 0.001

    async def test_values_before_the_failure_are_kept(self) -> None:
        async def handler(request: web.BaseRequest) -> web.Response:
            if request.path.endswith("getBlockHeader"):
                return web.Response(status=429)
            return await healthy(request)

        async with serving(handler) as url, client_of(url) as client:
            sample = await probes.head("provider", client, timeout=TIMEOUT, wall=lambda: 0.0)
        assert sample.reason is R.RATE_LIMITED
        assert sample.head is not None
        assert (sample.head.seqno, sample.head.gen_utime) == (100, None)

    @settings(max_examples=40)
    @given(
        answer=st.one_of(
            st.binary(max_size=300),
            st.binary(max_size=200).map(lambda body: HEAD[:15] + b"\r\n\r\n" + body),
            st.binary(max_size=200).map(lambda body: CHUNKED + body),
        )
    )
    async def test_any_bytes_end_in_a_reason_within_the_deadline(self, answer: bytes) -> None:
        timeout = 0.2
        async with Server(raw(answer)) as server:
            before = asyncio.all_tasks()
            async with client_of(f"http://{HOST}:{server.port}") as client:
                sample = await probes.head("provider", client, timeout=timeout, wall=lambda: 0.0)
        assert sample.reason not in {R.OK, R.PROBE_FAILED}, sample.detail
        assert sample.duration < 2 * timeout + 0.3
        assert asyncio.all_tasks() <= before
