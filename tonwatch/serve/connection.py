"""One client connection of tonwatch's HTTP server, and its limits.

aiohttp parses the requests and writes the responses. A `Connection` between it and the transport
follows the state of the request, and cuts the client off where it exceeds a limit.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from tonwatch.serve.traffic import Refusal, Traffic

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for 0 s: the kernel drops what was not sent."""

_END_OF_HEADER: Final = b"\r\n\r\n"

_SMALL_REST: Final = 4 << 10
"""Bytes that the kernel may still have to send when a connection stops counting."""

_CHECK_INTERVAL: Final = 0.1
"""Seconds between two checks whether the kernel has sent the rest."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of clients; times in seconds.

    Attributes:
        connections: open at a time.
        per_client: of these, from one address (IPv6: from one /64).
        request: from connecting, or from the first byte of a further request, to its whole header.
        request_bytes: size of one request.
        idle: between a response and the next request.
        stall: time for the client to read the buffered part of a response, up to 128 KiB.
        response: from the whole header of the request to the last byte of the response.
        retry: pause after connections could not be accepted.
        leave: time for open requests to end when the server stops.
    """

    connections: int = 256
    per_client: int = 128
    request: float = 10.0
    request_bytes: int = 32 << 10
    idle: float = 75.0  # longer than a proxy's or Prometheus' own pauses of 60 s
    stall: float = 10.0
    response: float = 30.0
    retry: float = 1.0
    leave: float = 1.0

    @property
    def stuck(self) -> float:
        """Seconds after which a client that does not read may be displaced by a new one."""
        return self.stall / 10


class Connection(asyncio.Protocol):
    """Passes on to aiohttp what a client sends, within limits.

    Pipelined requests are not read: the connection is closed after the current response, as HTTP
    allows. So nothing queues up.

    Args:
        http: aiohttp's protocol.
        client: identifies the client.
        limits: of clients.
        traffic: counts connections that are cut off.
        ended: called once when it no longer counts as open; its socket is closed right after. Until
            then the kernel may still be sending the end of a response.
    """

    def __init__(
        self,
        http: asyncio.Protocol,
        client: str,
        limits: Limits,
        traffic: Traffic,
        ended: Callable[["Connection"], None],
    ) -> None:
        self.client = client
        self.last = False
        self._http = http
        self._limits = limits
        self._traffic = traffic
        self._ended: Callable[[Connection], None] | None = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._left: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._blocked: float | None = None
        self._since = self._loop.time()
        self._answered = False
        self._busy = False
        self._received = 0
        self._tail = b""
        self._whole = False
        self._ignores_input = False

    def precedence(self) -> tuple[int, float] | None:
        """Order in which connections are displaced, the lowest first; None while one is served.

        First those without a whole request, then idle ones, then those that do not read; of each
        the longest first.
        """
        if not self._busy:
            idle = self._answered and not self._received
            return (1 if idle else 0), self._since
        blocked = self._blocked
        if blocked is not None and self._loop.time() - blocked >= self._limits.stuck:
            return 2, blocked
        return None

    def begin(self, *, has_body: bool) -> None:
        """A whole header was received. Its body will not be read."""
        self._busy = True
        self._since = self._loop.time()
        pipelined = not self._received
        self._ignores_input = has_body
        self.last = self.last or has_body or pipelined
        self._arm(self._limits.response, Refusal.RESPONSE_TIMEOUT)

    def end(self) -> None:
        """The response is sent, as far as possible."""
        if self._transport is None:
            return
        self._busy = False
        self._answered = True
        self._since = self._loop.time()
        self._received = 0
        self._tail, self._whole = b"", False
        self._disarm()
        # Where a body was announced, aiohttp waits a moment for it before it closes: closing at
        # once would reset the connection and lose the response.
        if self.last and not self._ignores_input:
            self._transport.close()

    def cut(self, why: Refusal) -> None:
        """Close it at once, and count why."""
        if self._ended is None:
            return
        self._traffic.refused[why] += 1
        self.abort()

    def finish(self) -> None:
        """Close it as soon as no request is under way."""
        self.last = True
        if not self._busy and not self._received and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it and drop what was not sent."""
        if self._left is not None:
            _reset_on_close(self._left)
        self._release()
        if self._transport is not None:
            _reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._ended is None:
            self.abort()
            return
        # Each write waits until the kernel has all of it: so a response has ended when aiohttp
        # reports it, and a client that does not read is noticed at the first byte.
        transport.set_write_buffer_limits(high=0)
        self._arm(self._limits.request, Refusal.REQUEST_TIMEOUT)
        self._http.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        taken = self._transport.get_extra_info("socket")
        self._transport = None
        self._busy = False
        self._received = 0
        self._http.connection_lost(exc)
        if self._ended is None or exc is not None or _unsent(taken) <= _SMALL_REST:
            self._release()
            return
        # A closed socket does not count, but still takes the kernel's memory. This one stays open.
        try:
            self._left = taken.dup()
            self._left.shutdown(socket.SHUT_WR)
        except OSError:  # no descriptor for it, or the peer is gone
            _reset_on_close(taken)
            self._release()
            return
        self._arm(self._limits.stall, Refusal.RESPONSE_TIMEOUT)
        self._loop.call_later(_CHECK_INTERVAL, self._check_sent)

    def data_received(self, data: bytes) -> None:
        if self._ignores_input:
            return
        if self._busy:
            self.last = True
            return
        if self._answered and not self._received:
            self._arm(self._limits.request, Refusal.REQUEST_TIMEOUT)
        self._received += len(data)
        if self._received > self._limits.request_bytes:
            self.cut(Refusal.REQUEST_TOO_LARGE)
            return
        recent = self._tail + data
        self._whole = self._whole or _END_OF_HEADER in recent
        self._tail = recent[-len(_END_OF_HEADER) + 1 :]
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        """The client sends no more. It may be gone or wait for the response: a whole request is
        answered.
        """
        if not self._whole:
            return self._http.eof_received()
        self.last = True
        return True

    def pause_writing(self) -> None:
        self._blocked = self._loop.time()
        self._stalled = self._loop.call_later(
            self._limits.stall, self.cut, Refusal.RESPONSE_TIMEOUT
        )
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._unblock()
        self._http.resume_writing()

    def _check_sent(self) -> None:
        if self._ended is None:
            return
        if self._left is not None and _unsent(self._left) <= _SMALL_REST:
            self._release()
        else:
            self._loop.call_later(_CHECK_INTERVAL, self._check_sent)

    def _release(self) -> None:
        self._disarm()
        self._unblock()
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(self)
        if self._left is not None:
            self._left.close()

    def _unblock(self) -> None:
        self._blocked = None
        if self._stalled is not None:
            self._stalled.cancel()

    def _arm(self, seconds: float, why: Refusal) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, self.cut, why)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _reset_on_close(taken: Any) -> None:
    with suppress(OSError):  # where the peer is gone already
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _unsent(taken: Any) -> int:
    """Bytes that the peer has not acknowledged. Source: tcp(7), SIOCOUTQ."""
    number = fcntl.ioctl(taken.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(number, sys.byteorder)


Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def within_limits(answer: Answer) -> Answer:
    """Answers as `answer` does, and sends the response, within the limits of its connection."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request.transport)
        if connection is None:  # it is gone, or was not accepted by a listener
            return await answer(request)
        connection.begin(has_body=request.can_read_body)
        try:
            try:
                response = await answer(request)
            except web.HTTPException as error:
                await _send(error, request, connection)
                raise
            await _send(response, request, connection)
            return response
        finally:
            connection.end()

    return handle


async def _send(
    response: web.StreamResponse, request: web.BaseRequest, connection: Connection
) -> None:
    if connection.last:
        response.force_close()
    # Where the client is gone, aiohttp finds the response not sent, tries again, and ends.
    with suppress(ConnectionError):
        await response.prepare(request)
        await response.write_eof()


Make = Callable[..., web.BaseRequest]


def without_expect(make: Make) -> Make:
    """Makes requests as `make` does, but without `Expect`.

    No bodies are read. aiohttp would answer `Expect` before any handler runs, also on unknown
    paths, and fails where it cannot repeat what was sent.
    """

    def factory(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        if hdrs.EXPECT in message.headers:
            kept = CIMultiDict(message.headers)
            kept.popall(hdrs.EXPECT)
            message = message._replace(headers=CIMultiDictProxy(kept))
        return make(message, *rest)

    return factory


def connection_of(transport: asyncio.Transport | None) -> Connection | None:
    """The connection of a transport; None where there is none."""
    protocol = transport.get_protocol() if transport is not None else None
    return protocol if isinstance(protocol, Connection) else None
