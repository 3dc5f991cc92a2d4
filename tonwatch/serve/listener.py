"""Where tonwatch's HTTP server listens: which connections are accepted, and which refused.

Whatever clients do, the descriptors that probes need stay free: connections are limited. At the
limit a new client displaces one that is idle or stuck.
"""

import asyncio
import errno
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from tonwatch.config.hosts import SocketName, listened_on, local_url
from tonwatch.config.models import Serve
from tonwatch.serve.connection import Connection, Limits, within_limits, without_expect
from tonwatch.serve.traffic import TRAFFIC, Refusal, Traffic
from tonwatch.system import descriptors
from tonwatch.system.internal_errors import Component, InternalErrors

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 16
"""Connections that are accepted before the event loop does something else."""

_FEWEST: Final = 16
"""Connections that are allowed even where descriptors are short: tonwatch must stay reachable."""

_SEND_BUFFER: Final = 64 << 10
_RECEIVE_BUFFER: Final = 16 << 10
"""Bytes, of which the kernel takes twice as many for each connection. By default they grow to
megabytes, which a container's memory limit counts."""

_LINGER: Final = 1.0
"""Seconds in which a client may go on sending a body that is not read, before it reads why."""

_LOG_INTERVAL: Final = 60.0
"""Seconds between two log lines of too many connections."""

_BACKLOG: Final = 128

_RESOLVE_WITHIN: Final = 5.0
"""Seconds that resolving `serve.host` may take."""

_OF_ONE_CLIENT: Final = frozenset(
    {
        *(errno.ECONNABORTED, errno.ECONNRESET, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        *(errno.EOPNOTSUPP, errno.ETIMEDOUT),
    }
)
"""What accept() reports of the one connection that it takes out of the queue. Source: accept(2)."""

_FULL_RESPONSE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n"
    b"Connection: close\r\nCache-Control: no-store\r\nServer: tonwatch\r\n\r\n"
    b"too many connections\n"
)


class CannotListen(Exception):
    """The address to serve on is taken or not of this machine; the text says what to do."""


@asynccontextmanager
async def listening(
    app: web.Application,
    serve: Serve,
    lookups: Executor,
    errors: InternalErrors,
    *,
    targets: int,
    limits: Limits | None = None,
) -> AsyncIterator[str]:
    """Serve `app` and yield its base URL; on leaving, every connection is closed.

    Args:
        app: as `app.build` returns it.
        serve: host and port.
        lookups: threads in which its host's name is resolved.
        errors: counts what fails outside of the application's own code.
        targets: how many are watched; their probes need descriptors.
        limits: of clients.

    Raises:
        CannotListen: the port is taken.
    """
    limits = _fitting(limits or Limits(), targets)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,  # bodies are not read
        handler_cancellation=True,  # a client that is gone is not answered
        keepalive_timeout=limits.idle,
        lingering_time=min(_LINGER, limits.leave),
        logger=_log_of_aiohttp(errors),
        shutdown_timeout=limits.leave,
    )
    await runner.setup()
    try:
        sockets = await _listen(serve, limits, lookups)
        assert runner.server is not None
        listener = Listener(runner.server, sockets, limits, app[TRAFFIC])
        try:
            yield local_url(sockets[0].getsockname())
        finally:
            await listener.close()
    finally:
        await runner.cleanup()


def _fitting(limits: Limits, targets: int) -> Limits:
    """The limits, with no more connections than leave descriptors for the probes."""
    allowed = descriptors.raise_limit()
    left = descriptors.left_for_clients(allowed, targets)
    if left < _FEWEST:
        log.warning("too few descriptors for so many targets", limit=allowed, targets=targets)
    connections = min(limits.connections, max(left, _FEWEST))
    per_client = min(limits.per_client, max(connections // 2, 1))
    return replace(limits, connections=connections, per_client=per_client)


async def _listen(serve: Serve, limits: Limits, lookups: Executor) -> list[socket.socket]:
    """Sockets that listen, one at each address of the host."""
    sockets: list[socket.socket] = []
    try:
        for family, address in await _addresses(serve, lookups):
            # `Listener` accepts: asyncio's own server logs a traceback for each connection that it
            # cannot accept, and tries more each time.
            made = socket.create_server(address, family=family, backlog=_BACKLOG)
            sockets.append(made)
            made.setblocking(False)
            # Accepted connections inherit these.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            # Also for what the kernel still has to send after closing.
            timeout = max(int(limits.stall * 1000), 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)
    except OSError as error:
        for each in sockets:
            each.close()
        raise CannotListen(
            f"cannot listen on {serve.host or 'any address'} port {serve.port}:"
            f" {error.strerror}; choose another with serve.host and serve.port"
        ) from error
    return sockets


async def _addresses(
    serve: Serve, lookups: Executor
) -> list[tuple[socket.AddressFamily, SocketName]]:
    """The addresses to listen on. asyncio would resolve the name in its default executor.

    Raises:
        OSError: the name does not resolve.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_WITHIN):
            return await loop.run_in_executor(lookups, listened_on, serve.host, serve.port)
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, "the name does not resolve in time") from None


class Listener:
    """Accepts connections for an aiohttp server.

    Args:
        server: whose requests are answered within `limits` from now on.
        sockets: listening ones; they are closed at the end.
        limits: of clients.
        traffic: counts open and refused connections.
    """

    def __init__(
        self, server: web.Server, sockets: Sequence[socket.socket], limits: Limits, traffic: Traffic
    ) -> None:
        server.request_factory = without_expect(server.request_factory)
        server.request_handler = within_limits(server.request_handler)
        self._server = server
        self._sockets: Sequence[socket.socket] = sockets
        self._limits = limits
        self._traffic = traffic
        self._loop = asyncio.get_running_loop()
        self._clients: dict[str, dict[Connection, None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._pause: asyncio.TimerHandle | None = None
        self._failures = 0
        self._logged_full = -_LOG_INTERVAL
        self._start()

    async def close(self) -> None:
        """Stop accepting; requests under way have `limits.leave` seconds to end."""
        if self._pause is None:
            self._stop()
        else:
            self._pause.cancel()
        for each in self._sockets:
            each.close()
        self._sockets = ()
        self._empty.clear()
        for connection in self._connections():
            connection.finish()
        if self._clients:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), self._limits.leave)
        for connection in self._connections():
            connection.abort()
        await asyncio.gather(*self._tasks)

    def _connections(self) -> list[Connection]:
        return [each for connections in self._clients.values() for each in connections]

    def _start(self) -> None:
        self._pause = None
        for each in self._sockets:
            self._loop.add_reader(each, self._accept, each)

    def _stop(self) -> None:
        for each in self._sockets:
            self._loop.remove_reader(each)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                self._could_accept()
                return
            except OSError as error:
                if error.errno in _OF_ONE_CLIENT:
                    continue
                self._could_not_accept(error)
                return
            self._could_accept()
            self._admit(accepted, _client(address))

    def _admit(self, accepted: socket.socket, client: str) -> None:
        accepted.setblocking(False)
        if not self._has_room(client):
            self._traffic.refused[Refusal.FULL] += 1
            self._log_full()
            with accepted, suppress(OSError):
                # Unread data would turn closing into a reset, and the response be lost.
                with suppress(BlockingIOError):
                    accepted.recv(_RECEIVE_BUFFER)
                accepted.send(_FULL_RESPONSE)
            return
        connection = Connection(self._server(), client, self._limits, self._traffic, self._ended)
        self._clients.setdefault(client, {})[connection] = None
        self._traffic.connections += 1
        task = self._loop.create_task(self._connect(accepted, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket, connection: Connection) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError as error:  # the kernel has no memory to poll it
            accepted.close()
            self._ended(connection)
            if self._pause is None:
                self._could_not_accept(error)

    def _ended(self, connection: Connection) -> None:
        connections = self._clients.get(connection.client, {})
        if connection in connections:
            del connections[connection]
            self._traffic.connections -= 1
            if not connections:
                del self._clients[connection.client]
        if not self._clients:
            self._empty.set()

    def _has_room(self, client: str) -> bool:
        """Whether one more connection of this client is allowed, if need be instead of another.

        A client at its own limit displaces one of its own. At the limit of all connections one of
        the client with the most is displaced, as long as these are more than the new client's.
        """
        own = self._clients.get(client, {})
        if len(own) >= self._limits.per_client:
            candidates = [own]
        elif self._traffic.connections < self._limits.connections:
            return True
        else:
            more = (each for each in self._clients.values() if len(each) > len(own))
            candidates = [*sorted(more, key=len, reverse=True), own]
        for connections in candidates:
            ranked = [
                (precedence, number, each)
                for number, each in enumerate(connections)
                if (precedence := each.precedence()) is not None
            ]
            if ranked:
                self._log_full()
                min(ranked)[-1].cut(Refusal.DISPLACED)
                return True
        return False

    def _log_full(self) -> None:
        now = self._loop.time()
        if now - self._logged_full >= _LOG_INTERVAL:
            self._logged_full = now
            log.warning(
                "too many connections: clients are refused, or displaced by others",
                connections=self._traffic.connections,
                limit=self._limits.connections,
                per_client=self._limits.per_client,
            )

    def _could_not_accept(self, error: OSError) -> None:
        """Pause: the kernel would report the same error again at once."""
        self._traffic.refused[Refusal.NOT_ACCEPTED] += 1
        self._failures += 1
        self._stop()
        self._pause = self._loop.call_later(self._limits.retry, self._start)
        if self._failures == 1:
            reason = os.strerror(error.errno or 0)
            log.warning("cannot accept connections", error=reason, retry_seconds=self._limits.retry)

    def _could_accept(self) -> None:
        if self._failures:
            log.info("accepts connections again", failures=self._failures)
            self._failures = 0


def _client(address: Any) -> str:
    """The client of an address: of IPv6 its /64, all of which one client may have."""
    host = str(address[0])
    if ":" not in host:
        return host
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))


class _ToInternalErrors(logging.Handler):
    """Counts what aiohttp logs as an error, unless a client sent no valid HTTP or is gone."""

    def __init__(self, errors: InternalErrors) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | ConnectionError):
            self._errors.failed(Component.HTTP, "aiohttp", error or record.getMessage())


def _log_of_aiohttp(errors: InternalErrors) -> logging.Logger:
    """A logger outside of the hierarchy, without propagation."""
    # `getLogger` would return the same one for each server, with the handlers of all of them.
    made = logging.Logger("tonwatch.serve.http")  # noqa: LOG001
    made.addHandler(_ToInternalErrors(errors))
    return made
