"""No client can exhaust what probes need: connections, time, memory and log lines are limited."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests import virtual_time
from tests.serve.hostile import BIG, BIG_SIZE, GET, WAIT, Client, Site, attacked, serving
from tonwatch.serve import listener
from tonwatch.serve.connection import Limits
from tonwatch.serve.traffic import TRAFFIC
from tonwatch.system.internal_errors import Component

PART = b"GET / HTTP/1.1\r\nHost: x\r\n"
TLS_HELLO = bytes.fromhex("16030100c5010000c10303") + bytes(range(32)) + bytes(170)


def problems(logged: list[Any], caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is logged as a warning or worse."""
    warnings = [line["event"] for line in logged if line["log_level"] in {"warning", "error"}]
    return warnings + [
        record.getMessage() for record in caplog.records if record.levelname != "DEBUG"
    ]


async def drip(client: Client, data: bytes) -> None:
    """One byte a second until the server closes the connection."""
    for byte in data:
        if client.writer.is_closing() or client.reader.at_eof():
            return
        client.writer.write(bytes([byte]))
        await asyncio.sleep(1)


async def flood(client: Client, data: bytes) -> int:
    """Send `data` again and again until the connection is reset; returns how often."""
    sent = 0
    with suppress(ConnectionError):
        while True:
            await client.send(data)
            sent += 1
            await asyncio.sleep(0.01)
    return sent


@contextmanager
def descriptors_used_up() -> Iterator[None]:
    """No descriptor can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def read_slowly(client: Client) -> int:
    """Read some every three seconds; returns the number of bytes."""
    got = 0
    try:
        while more := await client.reader.read(1 << 17):
            got += len(more)
            await asyncio.sleep(3)
    except ConnectionError:
        pass
    return got


class TestIncompleteRequest:
    @pytest.mark.parametrize(
        "start",
        [
            pytest.param(b"", id="silence"),
            pytest.param(b"G", id="a byte"),
            pytest.param(PART, id="half a header"),
        ],
    )
    def test_first(self, start: bytes) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            began = site.loop.time()
            await client.send(start)
            assert b" 200 " not in await client.rest()
            assert site.loop.time() - began == pytest.approx(10, abs=0.1)

        attacked(attack)

    def test_one_byte_at_a_time(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            began = site.loop.time()
            dripping = asyncio.create_task(drip(client, PART))
            await client.rest()
            assert site.loop.time() - began == pytest.approx(10, abs=0.1)
            await dripping

        assert attacked(attack).refused() == {"request_timeout": 1}

    def test_a_further_request(self) -> None:
        """It has the same time, but from its first byte."""

        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(GET)
            assert await client.status() == 200
            await asyncio.sleep(60)
            began = site.loop.time()
            dripping = asyncio.create_task(drip(client, PART))
            await client.rest()
            assert site.loop.time() - began == pytest.approx(10, abs=0.1)
            await dripping

        assert attacked(attack).refused() == {"request_timeout": 1}

    def test_a_connection_is_kept_for_75_seconds(self) -> None:
        """Prometheus asks every 60 s, proxies keep connections for as long."""

        async def attack(site: Site) -> None:
            client = await site.connect()
            for _ in range(3):
                await asyncio.sleep(0 if site.loop.time() < 1 else 70)
                await client.send(GET)
                assert await client.status() == 200
            began = site.loop.time()
            assert await client.rest() == b""
            assert site.loop.time() - began == pytest.approx(75, abs=0.1)

        assert attacked(attack).refused() == {}


class TestBodies:
    @pytest.mark.parametrize(
        "header",
        [
            pytest.param(b"Content-Length: 5\r\n", id="announced"),
            pytest.param(b"Content-Length: 99999999999\r\n", id="huge"),
            pytest.param(b"Transfer-Encoding: chunked\r\n", id="chunked"),
            pytest.param(b"Content-Length: 5\r\nExpect: 100-continue\r\n", id="asked for"),
            pytest.param(b"Content-Length: 5\r\nContent-Encoding: gzip\r\n", id="gzip"),
        ],
    )
    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    def test_a_body_that_never_comes(self, method: bytes, header: bytes) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(method + b" / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n")
            got = await client.rest()
            assert b"Connection: close" in got
            assert site.loop.time() < 2

        attacked(attack)

    def test_a_rendering_that_never_ends(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            await flood(client, b"10\r\n0123456789abcdef\r\n" * 100)
            assert site.loop.time() < 2

        attacked(attack)


class TestTooLargeRequest:
    def test_a_header_without_end(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(b"GET / HTTP/1.1\r\n")
            sent = await flood(client, b"X: " + b"x" * 4000 + b"\r\n")
            assert sent < 20

        assert attacked(attack).refused() == {"request_too_large": 1}

    def test_pipelined_requests_are_not_kept(self) -> None:
        """Two requests that came together are answered, then the connection is closed."""

        async def attack(site: Site) -> None:
            site.go.set()
            client = await site.connect()
            await client.send(WAIT * 500)
            got = await client.rest()
            assert 1 <= got.count(b" 200 OK") <= 2

        attacked(attack)

    def test_bytes_sent_during_a_response_are_not_kept(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(WAIT)
            await site.until_busy(1)
            for _ in range(100):
                await client.send(WAIT * 500)
                await asyncio.sleep(0.001)
            site.go.set()
            await client.rest()
            assert site.waiting == 0

        attacked(attack)


class TestResponseNotRead:
    def test_not_at_all(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(BIG)
            await client.closed()
            assert site.loop.time() == pytest.approx(10, abs=0.5)

        assert attacked(attack).refused() == {"response_timeout": 1}

    def test_a_few_bytes_at_a_time(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect(window=1 << 16)
            await client.send(BIG)
            reading = asyncio.create_task(read_slowly(client))
            while site.traffic.connections:
                await asyncio.sleep(0.1)
            assert 11 < site.loop.time() < 31
            assert await reading < BIG_SIZE

        assert attacked(attack).refused() == {"response_timeout": 1}

    @pytest.mark.parametrize("last", [False, True], ids=["kept", "closed"])
    def test_unsent_bytes_in_the_kernel_count_as_a_connection(self, *, last: bool) -> None:
        """The whole response is in the kernel's buffer, and the client does not read it."""

        async def attack(site: Site) -> None:
            client = await site.connect(window=4096)
            more = b"Connection: close\r\n" if last else b""
            await client.send(b"GET /some HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
            await asyncio.sleep(5)
            assert site.traffic.connections == 1
            await asyncio.sleep(6)
            assert site.traffic.connections == (0 if last else 1)

        attacked(attack)

    def test_after_connection_close(self) -> None:
        """It may still read, with the same time limit as any other client."""

        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(BIG)
            await client.reader.readuntil(b"\r\n\r\n")  # rendered in a thread
            began = site.loop.time()
            client.writer.write_eof()
            await client.closed()
            assert site.traffic.connections == 0
            assert site.loop.time() - began == pytest.approx(10, abs=0.5)

        assert attacked(attack).refused() == {"response_timeout": 1}

    def test_a_response_that_takes_too_long_to_render(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(WAIT)
            await client.rest()
            assert site.loop.time() == pytest.approx(30, abs=0.1)
            await asyncio.sleep(0)
            assert site.waiting == 0

        assert attacked(attack).refused() == {"response_timeout": 1}

    def test_a_slow_reader_gets_all_of_it(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            for _ in range(2):
                await client.send(BIG)
                head = await client.answer()
                assert f"Content-Length: {BIG_SIZE}".encode() in head
            await client.send(BIG.replace(b"GET", b"HEAD"))
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert f"Content-Length: {BIG_SIZE}".encode() in head
            await client.send(GET)
            assert await client.status() == 200

        assert attacked(attack).refused() == {}

    def test_concurrent_readers_share_one_body(self) -> None:
        async def attack(site: Site) -> None:
            clients = [await site.connect() for _ in range(20)]
            for client in clients:
                await client.send(BIG)
            await asyncio.sleep(0.1)
            assert site.made == 1

        attacked(attack)

    def test_slow_readers_do_not_keep_all_old_bodies(self) -> None:
        """The oldest are dropped: 32 MiB are kept, four of these."""

        async def attack(site: Site) -> None:
            for number in range(10):
                site.view = object()
                await (await site.connect()).send(BIG)
                while site.made <= number:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert site.traffic.connections == 4

        assert attacked(attack).refused() == {"response_timeout": 6}


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(TLS_HELLO, id="TLS"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="SSH"),
        pytest.param(bytes(range(256)) * 8, id="every byte"),
        pytest.param(b"\r\n\r\n\r\n\r\n", id="empty lines"),
        pytest.param(b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", id="a long URL"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", id="a long field"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 2000 + b"\r\n", id="many fields"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="another version"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", id="bare line feeds"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", id="no colon"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", id="a NUL"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", id="two lengths"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            id="invalid chunk",
        ),
        pytest.param(b"GET http://[ HTTP/1.1\r\nHost: [\r\n\r\n", id="invalid address"),
        pytest.param(b"GET /%ff%zz?%ff=%zz HTTP/1.1\r\nHost: x\r\n\r\n", id="bad escapes"),
        pytest.param(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + GET, id="CONNECT"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", id="unknown Expect"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            + b"x" * 5000,
            id="an upgrade",
        ),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param("GÉT / HTTP/1.1\r\nHøst: ü\r\n\r\n".encode(), id="not ASCII"),
    ],
)
def test_invalid_requests_are_not_logged(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def attack(site: Site) -> None:
        for before in (b"", GET):
            client = await site.connect()
            await client.send(before)
            if before:
                assert await client.status() == 200
            await client.send(sent)
            await client.rest()
        assert site.loop.time() < 200

    with capture_logs() as logged:
        attacked(attack)
    assert problems(logged, caplog) == []


@pytest.mark.parametrize("request_", [b"", PART, WAIT, BIG, BIG * 3], ids=repr)
def test_resets_are_not_logged(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def attack(site: Site) -> None:
        for pause in (0, 0, 0.001, 0.1):
            client = await site.connect()
            await client.send(request_)
            await asyncio.sleep(pause)
            client.reset()
        while site.traffic.connections:
            await asyncio.sleep(0.1)
        assert site.waiting == 0

    with capture_logs() as logged:
        attacked(attack)
    assert problems(logged, caplog) == []


class TestConnectionLimit:
    @pytest.mark.parametrize(
        "held",
        [
            pytest.param(b"", id="silent"),
            pytest.param(PART, id="with half a header"),
            pytest.param(GET, id="idle between requests"),
            pytest.param(BIG, id="reading nothing"),
        ],
    )
    def test_the_kubelet_displaces_an_idle_connection(self, held: bytes) -> None:
        """Also where no client has many more than one; the client with the fewest keeps them."""

        async def attack(site: Site) -> None:
            prometheus = await site.connect("127.0.0.9")
            await prometheus.send(GET)
            assert await prometheus.status() == 200
            for number in range(24):
                client = await site.connect(f"127.0.1.{number % 12}")
                await client.send(held)
            await asyncio.sleep(2)
            assert site.traffic.connections == 16
            for _ in range(3):
                assert await site.get("127.0.0.1") == 200
            await prometheus.send(GET)
            assert await prometheus.status() == 200

        site = attacked(attack, connections=16, per_client=8)
        assert set(site.refused()) <= {"displaced", "full", "response_timeout"}

    def test_many_clients_with_one_connection_each(self) -> None:
        async def attack(site: Site) -> None:
            for number in range(40):
                await site.connect(f"127.0.1.{number}")
            assert await site.get("127.0.0.1") == 200
            assert site.traffic.connections <= 16

        attacked(attack, connections=16, per_client=8)

    def test_one_client_cannot_have_all_connections(self) -> None:
        """Its own connection that has been silent for longest is closed."""

        async def attack(site: Site) -> None:
            clients = [await site.connect() for _ in range(9)]
            assert await clients[0].rest() == b""
            assert site.traffic.connections == 8
            await clients[1].send(GET)
            assert await clients[1].status() == 200
            assert await site.get("127.0.0.2") == 200

        assert attacked(attack, connections=16, per_client=8).refused() == {"displaced": 1}

    def test_a_request_in_progress_is_not_displaced(self) -> None:
        async def attack(site: Site) -> None:
            clients = [await site.connect() for _ in range(4)]
            for client in clients:
                await client.send(WAIT)
            await site.until_busy(4)
            assert await site.get() == 503
            assert await site.get("127.0.0.2") == 200
            site.go.set()
            assert [await client.status() for client in clients] == [200] * 4

        assert attacked(attack, connections=16, per_client=4).refused() == {"full": 1}

    def test_it_is_logged_once_a_minute(self) -> None:
        async def attack(site: Site) -> None:
            for _ in range(2):
                for _ in range(50):
                    await site.connect()
                await asyncio.sleep(61)

        with capture_logs() as logged:
            attacked(attack, connections=16, per_client=8)
        assert [line["log_level"] for line in logged].count("warning") == 2

    @pytest.mark.parametrize(
        ("address", "client"),
        [
            (("192.0.2.7", 1), "192.0.2.7"),
            (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
            (("2001:db8:1:2::1", 1, 0, 0), "2001:db8:1:2::/64"),
            (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
            (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        ],
    )
    def test_which_addresses_are_one_client(self, address: tuple[Any, ...], client: str) -> None:
        assert listener._client(address) == client

    @pytest.mark.parametrize(
        ("descriptors", "targets", "connections"),
        [
            pytest.param(65_536, 10, 256, id="plenty"),
            pytest.param(1024, 100, 160, id="many targets"),
            pytest.param(256, 2, 176, id="few descriptors"),
            pytest.param(128, 50, 16, id="too few"),
        ],
    )
    def test_probes_keep_their_descriptors(
        self, monkeypatch: pytest.MonkeyPatch, descriptors: int, targets: int, connections: int
    ) -> None:
        monkeypatch.setattr("tonwatch.system.descriptors.raise_limit", lambda: descriptors)
        limits = listener._fitting(Limits(), targets)
        assert (limits.connections, limits.per_client) == (
            connections,
            min(128, connections // 2),
        )


@dataclass
class Scripted:
    """A listening socket whose accept() raises the given errors in turn."""

    socket: socket.socket
    failures: list[int] = field(default_factory=list)
    accepts: int = 0

    def accept(self) -> Any:
        self.accepts += 1
        if self.failures:
            number = self.failures.pop(0)
            raise OSError(number, os.strerror(number))
        return self.socket.accept()

    def fileno(self) -> int:
        return self.socket.fileno()

    def getsockname(self) -> Any:
        return self.socket.getsockname()

    def close(self) -> None:
        self.socket.close()


class TestAccepting:
    @pytest.mark.parametrize(
        "number",
        [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EINVAL],
        ids=errno.errorcode.get,
    )
    def test_accepting_pauses_without_descriptors_or_memory(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
    ) -> None:
        """A retry each second, one log line when it begins and one when it ends."""
        logged, site, scripted = self._with_failures(monkeypatch, [number] * 30)
        assert site.refused() == {"not_accepted": 30}
        assert 29 <= site.loop.time() <= 31
        assert scripted.accepts < 40
        lines = [line for line in logged if "accept" in line["event"]]
        assert [line["log_level"] for line in lines] == ["warning", "info"]
        assert lines[0]["error"] == os.strerror(number)
        assert lines[1]["failures"] == 30
        assert caplog.records == []

    def test_a_connection_closed_before_accept_is_skipped(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        logged, site, _ = self._with_failures(monkeypatch, [errno.ECONNABORTED] * 30)
        assert site.refused() == {}
        assert site.loop.time() < 1
        assert problems(logged, caplog) == []

    def test_accepting_resumes_when_there_are_descriptors_again(self) -> None:
        """The kernel has accepted the clients, but there is no descriptor for them."""

        async def attack(site: Site) -> None:
            address = ("127.0.0.1", int(site.url.rpartition(":")[2]))
            clients = [socket.create_connection(address) for _ in range(3)]
            with descriptors_used_up():
                await asyncio.sleep(5.5)
            for client in clients:
                streams = await asyncio.open_connection(sock=client)
                by_hand = Client(*streams)
                await by_hand.send(GET)
                assert await by_hand.status() == 200
                by_hand.writer.close()

        with capture_logs() as logged:
            refused = attacked(attack).refused()
        assert refused == {"not_accepted": 6}
        assert [line["event"] for line in logged if "accept" in line["event"]] == [
            "cannot accept connections",
            "accepts connections again",
        ]

    def _with_failures(
        self, monkeypatch: pytest.MonkeyPatch, failures: list[int]
    ) -> tuple[list[Any], Site, Scripted]:
        """Let accept() fail, then serve one request."""
        scripted: list[Scripted] = []
        original = listener._listen

        async def listen(*arguments: Any) -> list[Any]:
            scripted.extend(Scripted(each) for each in await original(*arguments))
            return list(scripted)

        monkeypatch.setattr(listener, "_listen", listen)

        async def main(loop: virtual_time.VirtualLoop) -> Site:
            site = Site(loop)
            async with serving(site, Limits()):
                scripted[0].failures += failures
                assert await site.get() == 200
            return site

        with capture_logs() as logged:
            site = virtual_time.run(main)
        return logged, site, scripted[0]


def test_shutdown_does_not_wait_for_clients() -> None:
    """A response in progress has one second; nothing else delays it."""

    async def main(loop: virtual_time.VirtualLoop) -> float:
        site = Site(loop)
        async with serving(site, Limits()):
            answered = await site.connect()
            await answered.send(WAIT)
            for request in (b"", PART, GET, BIG, WAIT):
                await (await site.connect()).send(request)
            await site.until_busy(2)
            began = loop.time()
            loop.call_later(0.5, site.go.set)
            status = asyncio.create_task(answered.status())
        assert await status == 200
        assert site.traffic.connections == 0
        return loop.time() - began

    assert virtual_time.run(main) < 2


def test_an_application_counts_its_own_connections() -> None:
    async def main(loop: virtual_time.VirtualLoop) -> None:
        assert Site(loop).application()[TRAFFIC].connections == 0

    virtual_time.run(main)


class TestHalfClosed:
    """A client that has sent everything may wait for the answer: `nc -N`, TCP proxies."""

    @pytest.mark.parametrize("path", ["/", "/big", "/nowhere"])
    @pytest.mark.parametrize("pieces", [1, 2], ids=["at once", "in pieces"])
    def test_a_whole_request_is_answered(self, path: str, pieces: int) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            if pieces == 2:
                await client.send(request[:-2])
                await asyncio.sleep(1)
                request = request[-2:]
            client.writer.write(request)
            client.writer.write_eof()
            got = await client.rest()
            assert got.startswith(b"HTTP/1.1 404" if path == "/nowhere" else b"HTTP/1.1 200")
            assert len(got) > (BIG_SIZE if path == "/big" else 0)
            assert site.traffic.connections == 0

        assert attacked(attack).refused() == {}

    def test_while_the_response_is_rendered(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(WAIT)
            await site.until_busy(1)
            client.writer.write_eof()
            await asyncio.sleep(5)
            site.go.set()
            assert (await client.rest()).endswith(b"done")

        assert attacked(attack).refused() == {}

    def test_after_a_response(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(GET)
            assert await client.status() == 200
            client.writer.write_eof()
            assert await client.rest() == b""
            assert site.loop.time() < 1

        assert attacked(attack).refused() == {}

    @pytest.mark.parametrize("start", [b"", PART, TLS_HELLO], ids=["silence", "half", "no HTTP"])
    def test_an_incomplete_request_is_closed(self, start: bytes) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            client.writer.write(start)
            client.writer.write_eof()
            assert b" 200 " not in await client.rest()
            assert site.loop.time() < 1

        assert attacked(attack).refused() == {}

    def test_a_client_that_has_gone_costs_one_response(self) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(WAIT)
            await site.until_busy(1)
            client.writer.close()
            while site.traffic.connections:
                await asyncio.sleep(0.1)
            assert site.loop.time() == pytest.approx(30, abs=0.5)
            assert site.waiting == 0

        assert attacked(attack).refused() == {"response_timeout": 1}


class TestExpect:
    """No body is read, so `Expect` is ignored."""

    @pytest.mark.parametrize(
        "expect", [b"100-continue", b"\xff", b"a miracle", b"\xff\r\nX: \xfe\r\nExpect: \xff"]
    )
    @pytest.mark.parametrize(
        ("line", "status"),
        [
            (b"GET /", 200),
            (b"HEAD /", 200),
            (b"POST /", 405),
            (b"GET /nowhere", 404),
            (b"OPTIONS *", 404),
        ],
    )
    def test_it_is_ignored(
        self, line: bytes, status: int, expect: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def attack(site: Site) -> None:
            client = await site.connect()
            await client.send(line + b" HTTP/1.1\r\nHost: x\r\nExpect: " + expect + b"\r\n\r\n")
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert int(head.split()[1]) == status
            assert not site.errors.seen()

        with capture_logs() as logged:
            attacked(attack)
        assert problems(logged, caplog) == []


def test_errors_that_only_aiohttp_catches_are_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def attack(site: Site) -> None:
        for _ in range(3):
            client = await site.connect()
            await client.send(GET.replace(b"/", b"/fail", 1))
            got = await client.rest()
            assert got.startswith(b"HTTP/1.1 500")
            assert b"hunter2" not in got
        assert site.errors.counts()[Component.HTTP] == 3

    with capture_logs() as logged:
        attacked(attack)
    assert problems(logged, caplog) == ["bug in tonwatch"]
