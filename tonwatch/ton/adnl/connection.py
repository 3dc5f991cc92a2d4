"""An ADNL-TCP connection to a liteserver: event-driven, every wait with a deadline.

The transport is an `asyncio.Protocol`: answers are matched to queries inside
the event loop's read callback, without a reader task or polling, so that
latency is the endpoint's and not tonwatch's.
"""

import asyncio
import errno
import secrets
import socket
from typing import Final, NamedTuple, Self

from aiohappyeyeballs import start_connection

from tonwatch.ton.adnl import wire
from tonwatch.ton.errors import (
    ConnectError,
    ConnectionLost,
    ProtocolError,
    QueryTimeout,
    Reason,
    TonError,
)
from tonwatch.ton.local_resources import raise_exhausted
from tonwatch.ton.names import AddressInfo, Resolve, addresses_only

_MAX_UNSENT: Final = 1024 * 1024
"""Bytes in the send buffer above which a peer counts as not reading."""


class Phases(NamedTuple):
    """How long each step of opening a connection took, in seconds."""

    resolve: float
    connect: float
    handshake: float


class Reply(NamedTuple):
    """An answer, and the seconds from writing the query to the socket to its arrival.

    For concurrent queries they include the time until all of them are written.
    """

    body: bytes
    elapsed: float


class AdnlConnection(asyncio.Protocol):
    """One encrypted connection; made with `open`, usable until `close` or loss.

    Attributes:
        phases: durations of opening it.
        opened: when it stood, on the event loop's clock.
        server: the server's key id in hex, which the handshake proves.
        dropped: late or unsolicited answers.
    """

    phases: Phases
    opened: float

    def __init__(self, server_key: bytes, max_frame: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._handshake, self._session = wire.open_session(server_key, max_frame)
        # The handshake begins with the id of the server's key.
        self.server = self._handshake[:32].hex()
        self._transport: asyncio.Transport | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._waiting: dict[bytes, asyncio.Future[Reply]] = {}
        self._unsent: list[bytes] = []
        self._written = False
        self._lost: TonError | None = None
        self._received_at = 0.0
        self.dropped = 0

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        server_key: bytes,
        *,
        timeout: float,
        max_frame: int = wire.MAX_FRAME,
        resolve: Resolve = addresses_only,
    ) -> Self:
        """Resolve, connect and shake hands, all within `timeout` seconds.

        Args:
            host: name or address; every address of a name is tried (RFC 8305).
            port: TCP port.
            server_key: the liteserver's ed25519 public key, 32 bytes.
            timeout: seconds for all phases together.
            max_frame: longest frame to accept, bytes.
            resolve: finds the addresses of `host`; without it `host` must be an address.

        Raises:
            ConnectError: its reason names the phase that failed, and how.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        began = loop.time()
        addresses = await _resolve(resolve, host, port, deadline)
        resolved = loop.time()
        sock = await _connect(addresses, deadline)
        connected = loop.time()
        try:
            connection = cls(server_key, max_frame)
            await loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            await connection._shake_hands(deadline, timeout)
        except BaseException:
            await connection.close()
            raise
        connection.opened = loop.time()
        connection.phases = Phases(
            resolved - began, connected - resolved, connection.opened - connected
        )
        return connection

    @property
    def alive(self) -> bool:
        """Whether a query could be sent now."""
        return self._lost is None

    async def query(self, body: bytes, timeout: float) -> Reply:
        """Send one query (the body of an ``adnl.message.query``).

        Queries may be concurrent; answers are matched by id.

        Raises:
            QueryTimeout: no answer within `timeout` seconds. The connection
                stays usable; an answer that comes later is counted and dropped.
            ConnectionLost, ProtocolError: the connection ended meanwhile.
        """
        query_id = secrets.token_bytes(32)
        message = wire.Message(wire.QUERY, query_id, body)
        return await self._exchange(message, timeout, "answer")

    async def ping(self, timeout: float) -> float:
        """Round trip of an ADNL ping in seconds; answered even by a node that is not synced.

        Raises:
            QueryTimeout, ConnectionLost, ProtocolError: as `query`.
        """
        message = wire.Message(wire.PING, secrets.token_bytes(8))
        return (await self._exchange(message, timeout, "pong")).elapsed

    async def close(self) -> None:
        """Close the connection and fail every pending query with `ConnectionLost`."""
        self._end(ConnectionLost("closed by tonwatch"))
        await self._gone.wait()

    async def _exchange(self, message: wire.Message, timeout: float, what: str) -> Reply:
        if self._lost is not None:
            # Without its traceback, which would grow with every query.
            raise self._lost.with_traceback(None)
        transport = self._transport
        assert transport is not None, "open() returns only connected transports"
        if transport.get_write_buffer_size() > _MAX_UNSENT:
            raise QueryTimeout("the peer does not read what it is sent")
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[message.id] = waiter
        sent_at = self._send(transport, message.encode())
        timer = self._loop.call_later(timeout, _expire, waiter, timeout, what)
        try:
            reply = await waiter
        finally:
            timer.cancel()
            self._waiting.pop(message.id, None)
        return Reply(reply.body, reply.elapsed - sent_at)

    def _send(self, transport: asyncio.Transport, payload: bytes) -> float:
        """Write the first message at once, and batch those of the same loop iteration.

        A write to a socket costs more than the rest of a query.

        Returns:
            When it was written, on the loop's clock.
        """
        if self._written:
            self._unsent.append(payload)
            return self._loop.time()
        self._written = True
        self._loop.call_soon(self._flush, transport)
        frame = self._session.seal(payload)
        sent_at = self._loop.time()
        transport.write(frame)
        return sent_at

    def _flush(self, transport: asyncio.Transport) -> None:
        self._written = False
        if self._unsent and self._lost is None:
            transport.write(self._session.seal(*self._unsent))
            self._unsent.clear()

    async def _shake_hands(self, deadline: float, timeout: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._ready
        except TimeoutError:
            raise ConnectError(
                Reason.HANDSHAKE_TIMEOUT, f"connected, but no handshake within {timeout:.3g} s"
            ) from None
        except TonError as error:
            raise ConnectError(
                Reason.HANDSHAKE_FAILED, f"connected, but the handshake failed: {error.detail}"
            ) from error

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        self._received_at = self._loop.time()
        try:
            for payload in self._session.feed(data):
                self._receive(payload)
        except ProtocolError as error:
            self._end(error)

    def eof_received(self) -> None:
        self._end(ConnectionLost("closed by the peer"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(ConnectionLost(str(exc) if exc else "closed by the peer"))
        self._gone.set()

    def _receive(self, payload: bytes) -> None:
        if not self._ready.done():
            # The first frame, empty by the protocol, proves that both ends have the keys.
            self._ready.set_result(None)
            return
        message = wire.parse_message(payload)
        if message is not None and message.constructor in (wire.ANSWER, wire.PONG):
            waiter = self._waiting.get(message.id)
            if waiter is not None and not waiter.done():
                waiter.set_result(Reply(message.body, self._received_at))
                return
        self.dropped += 1

    def _end(self, error: TonError) -> None:
        if self._lost is not None:
            return
        self._lost = error
        _fail(self._ready, error)
        # Mark it as retrieved: `open` may not be waiting for the handshake any more.
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()
        for waiter in self._waiting.values():
            _fail(waiter, error)
        if self._transport is not None:
            self._transport.abort()


def _expire(waiter: asyncio.Future[Reply], timeout: float, what: str) -> None:
    _fail(waiter, QueryTimeout(f"no {what} within {timeout:.3g} s"))


def _fail(waiter: asyncio.Future[Reply] | asyncio.Future[None], error: TonError) -> None:
    if not waiter.done():
        waiter.set_exception(error)


async def _resolve(resolve: Resolve, host: str, port: int, deadline: float) -> list[AddressInfo]:
    try:
        async with asyncio.timeout_at(deadline):
            return await resolve(host, port)
    except TimeoutError:
        raise ConnectError(Reason.RESOLVE_FAILED, "name resolution timed out") from None
    except (OSError, UnicodeError) as error:
        raise_exhausted(error)
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise ConnectError(Reason.RESOLVE_FAILED, f"cannot resolve the host: {text}") from error


async def _connect(addresses: list[AddressInfo], deadline: float) -> socket.socket:
    try:
        async with asyncio.timeout_at(deadline):
            return await start_connection(addresses, happy_eyeballs_delay=0.25)
    except TimeoutError:
        raise ConnectError(Reason.CONNECT_TIMEOUT, "TCP connection timed out") from None
    except ConnectionRefusedError as error:
        raise ConnectError(Reason.CONNECT_REFUSED, "TCP connection refused") from error
    except OSError as error:
        raise_exhausted(error)
        if error.errno == errno.ETIMEDOUT:
            raise ConnectError(Reason.CONNECT_TIMEOUT, "TCP connection timed out") from error
        text = error.strerror or str(error)
        raise ConnectError(Reason.CONNECT_FAILED, f"cannot connect: {text}") from error
