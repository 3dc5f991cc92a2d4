"""What simulated providers share that speak HTTP: API keys, rate limits, damaged responses."""

import asyncio
import secrets
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, ClassVar, Final
from weakref import WeakSet

from aiohttp import web

from tonwatch.simulator.chain import noise as noises
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.chain.noise import Noise
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.base import BASE_FAULTS, SimulatedServer

HTTP_FAULTS: Final = BASE_FAULTS | {
    Fault.HANG,
    Fault.SLOW,
    Fault.GARBAGE,
    Fault.THROTTLE,
    Fault.UNAUTHORIZED,
    Fault.BAD_JSON,
    Fault.DROP_MID_FRAME,
    Fault.LOSSY,
    Fault.SLOW_DRIP,
    Fault.GIANT_ANSWER,
    Fault.CLOCK_SKEW,
    Fault.SLOW_CONNECT,
}
"""Faults that every kind of provider has from `HttpProvider`."""

_CLOSING: Final = 1.0
"""Seconds that running requests have to end when the server closes."""

_GIANT: Final = 1024 * 1024 * 1024
"""Bytes after which an endless body ends, for a client that reads all of it."""

_CHUNK: Final = 64 * 1024

_CONFIGURED_RATE: Final = 10
"""Requests a second that tonwatch is configured to send."""


class HttpProvider(SimulatedServer):
    """A provider over HTTP; a kind of it names its `prefix` and writes the answers.

    Args:
        api_key: the API key that requests must carry; None accepts all.
        requests_per_second: how many it answers within any second; None for no limit.

    The other arguments are those of `SimulatedServer`.
    """

    section: ClassVar = "providers"
    load_balanced: ClassVar = True
    prefix: ClassVar[str]

    def __init__(
        self,
        name: str,
        chain: Chain,
        *,
        foreign: Chain | None = None,
        fork: Fork | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        noise: Noise = noises.NONE,
        api_key: str | None = None,
        requests_per_second: int | None = None,
    ) -> None:
        super().__init__(name, chain, foreign=foreign, fork=fork, host=host, port=port, noise=noise)
        self.api_key = api_key
        self._limit = requests_per_second
        self._answered: deque[float] = deque()
        self._http: web.Server | None = None
        # Set, and replaced, when the faults change: ends what a request waits for.
        self._changed = asyncio.Event()
        self._used: WeakSet[asyncio.BaseTransport] = WeakSet()

    @property
    def url(self) -> str:
        """What a client is configured with, up to and without the method."""
        return f"http://{self.host}:{self.port}{self.prefix.rstrip('/')}"

    def config(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "url": self.url,
            "requests_per_second": _CONFIGURED_RATE,
        }

    # For the kinds.

    @abstractmethod
    def answer(self, request: web.BaseRequest, body: bytes) -> tuple[int, str]:
        """Status and JSON of the response to a request; called once for each."""

    def key_is_valid(self, key: str | None) -> bool:
        """Whether a request with this API key is answered."""
        wrong = self.api_key is not None and key != self.api_key
        return not wrong and not self.has_fault(Fault.UNAUTHORIZED)

    def over_limit(self) -> bool:
        """Whether a request is over the rate limit; called once for each."""
        return not self._within_limit() or self.has_fault(Fault.THROTTLE)

    def _within_limit(self) -> bool:
        if self._limit is None:
            return True
        now = asyncio.get_running_loop().time()
        while self._answered and self._answered[0] <= now - 1:
            self._answered.popleft()
        if len(self._answered) >= self._limit:
            return False
        self._answered.append(now)
        return True

    # Connections.

    async def _listen(self, port: int) -> asyncio.Server:
        if self._http is None:
            self._http = web.Server(self._handle, handler_cancellation=True, access_log=None)
        return await asyncio.get_running_loop().create_server(self._http, self.host, port)

    def _faults_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        if self.refusing:
            self._abort_connections()

    async def _close_connections(self) -> None:
        if self._http is None:
            return
        self._abort_connections()
        await self._http.shutdown(_CLOSING)
        self._http = None

    def _abort_connections(self) -> None:
        for transport in self._open_connections():
            transport.abort()

    def _open_connections(self) -> list[asyncio.Transport]:
        connections = self._http.connections if self._http is not None else []
        return [each.transport for each in connections if each.transport is not None]

    # One request.

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._delay(request)
        if self.loses_answer():
            return self._cut(request, b"")
        if self.has_fault(Fault.GARBAGE):
            return self._cut(request, secrets.token_bytes(512))
        if self.has_fault(Fault.GIANT_ANSWER):
            return await self._flood(request)
        status, body = self.answer(request, await request.read())
        data = body.encode()
        if self.has_fault(Fault.BAD_JSON):
            data = data[: len(data) // 2]
        if self.has_fault(Fault.DROP_MID_FRAME):
            head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(data)}\r\n\r\n"
            return self._cut(request, head.encode() + data[: len(data) // 2])
        if self.has_fault(Fault.SLOW_DRIP):
            return await self._drip(request, status, data)
        return web.Response(
            status=status, body=data, content_type="application/json", headers=self._headers()
        )

    def _headers(self) -> dict[str, str]:
        # aiohttp keeps a date that is there; its own is always that of this machine.
        return {"Date": formatdate(self.now, usegmt=True)}

    async def _delay(self, request: web.BaseRequest) -> None:
        """Be slow or hang; ends early when the faults change."""
        delay = self.delay() + (self.fault_value(Fault.SLOW) or 0.0)
        if request.transport is not None and request.transport not in self._used:
            self._used.add(request.transport)
            delay += self.fault_value(Fault.SLOW_CONNECT) or 0.0
        if delay:
            await self._pause(delay)
        while self.silent:
            await self._changed.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait that long, or until the faults change."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass  # the faults have not changed

    async def _drip(self, request: web.BaseRequest, status: int, data: bytes) -> web.StreamResponse:
        """Send the body byte by byte, the first after one pause, while the fault lasts."""
        response = web.StreamResponse(status=status, headers=self._headers())
        response.content_type = "application/json"
        response.content_length = len(data)
        try:
            await response.prepare(request)
            for index in range(len(data)):
                pause = self.fault_value(Fault.SLOW_DRIP)
                if pause is None:
                    await response.write(data[index:])
                    break
                await self._pause(pause)
                await response.write(data[index : index + 1])
        except ConnectionError:
            pass  # the client has closed the connection
        return response

    async def _flood(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send an endless body while the client reads it and the fault lasts."""
        response = web.StreamResponse(headers=self._headers())
        response.content_type = "application/json"
        try:
            await response.prepare(request)
            await response.write(b'{"ok": true, "result": "')
            sent = 0
            while sent < _GIANT and self.has_fault(Fault.GIANT_ANSWER):
                await response.write(_CHUNK * b"x")
                sent += _CHUNK
                # Writes to a client that reads fast do not yield to the event loop by themselves.
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # the client has closed the connection
        else:
            self._cut(request, b"")
        return response

    def _cut(self, request: web.BaseRequest, data: bytes) -> web.Response:
        """Send raw bytes and close the connection."""
        if request.transport is not None:
            request.transport.write(data)
            request.transport.close()
        # aiohttp needs a response; its connection is closed.
        return web.Response()
