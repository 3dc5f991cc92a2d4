"""HTTP to a provider: one session, requests that are paced and timed, bounded answers.

Independent of the API: methods and the format of answers are passed in.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiolimiter import AsyncLimiter

from tonwatch.ton.errors import (
    BadAnswer,
    ConnectError,
    ConnectionLost,
    ProtocolError,
    ProviderError,
    QueryTimeout,
    Reason,
    TonError,
)
from tonwatch.ton.local_resources import raise_exhausted
from tonwatch.ton.names import Resolve, SocketAddress, addresses_only
from tonwatch.ton.parsing import Parsing

MAX_BODY: Final = 256 * 1024
"""Bytes of an answer's body, unless a request says otherwise."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Answer = TypeVar("Answer")

Parse = Callable[[int, bytes, str | None], Answer]
"""Reads an answer: its HTTP status, its body, and the API key that was sent.

Raises `TonError` with the reason in the status or the body, never with the key in its text.
"""


@dataclass(slots=True)
class Timing:
    """Seconds spent on one request; `resolve` and `connect` (TCP and TLS) only where done.

    `waited` is the wait for the request's turn before all of them; `step` is
    the one under way: resolve, connect or query.

    Attributes:
        date: the server's clock when it answered, Unix seconds; None where the answer has none,
            or comes from a cache.
        server: address and port of the server; empty where others may be behind the same one,
            as behind public addresses with TLS.
    """

    waited: float = 0.0
    resolve: float | None = None
    connect: float | None = None
    query: float | None = None
    step: str = "query"
    date: float | None = None
    server: str = ""

    def clock_offset(self, received: float) -> float | None:
        """The server's clock minus the local clock, seconds; exact to a second.

        Args:
            received: when the answer was complete, by the local clock, Unix seconds.
        """
        if self.date is None:
            return None
        # Dates are in whole seconds: on average the clock is half a second ahead.
        return self.date + 0.5 - (received - (self.query or 0.0) / 2)


@dataclass(slots=True)
class _Request:
    """A request under way.

    Attributes:
        timing: of it.
        deadline: ends it.
        fair: seconds that the answer may take once a connection stands, at least.
    """

    timing: Timing
    deadline: asyncio.Timeout
    fair: float

    def connected(self) -> None:
        """A connection was made: how long that took must not leave the answer too little time."""
        end = self.deadline.when()
        if end is not None and not self.deadline.expired():
            fair = asyncio.get_running_loop().time() + self.fair
            self.deadline.reschedule(max(end, fair))


class HttpClient:
    """Requests to one provider. They are paced before they are timed.

    Attributes:
        session: made by `open_session`; may be replaced, for the requests from then on.

    Args:
        base_url: up to and without the method, such as ``https://toncenter.com/api/v2``.
        session: the first one.
        limiter: keeps requests within the provider's rate limit.
        api_key: returns the key to send, or None; called for each request so
            that a rotated key is used at once.
        key_header: name of the header that carries the key.
        key_prefix: prefix of the key in that header.
        patience: seconds that an answer may take once a connection stands; None for half of a
            request's timeout, or what is left of it where that is more.
        parsing: parses answers, which may be large.
    """

    def __init__(
        self,
        base_url: str,
        session: aiohttp.ClientSession,
        limiter: AsyncLimiter,
        api_key: Callable[[], str | None],
        *,
        key_header: str = "X-API-Key",
        key_prefix: str = "",
        patience: float | None = None,
        parsing: Parsing | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self.session = session
        self._patience = patience
        self._parsing = parsing or Parsing()
        self._limiter = limiter
        self._api_key = api_key
        self._key_header = key_header
        self._key_prefix = key_prefix

    async def get(
        self,
        method: str,
        params: Mapping[str, str],
        parse: Parse[Answer],
        timeout: float,
        timing: Timing,
        *,
        max_body: int = MAX_BODY,
    ) -> Answer:
        """Send a GET request.

        Args:
            method: the API's.
            params: of the query.
            parse: reads the answer.
            timeout: seconds for the request, not counting the wait for its turn; up to half of it
                more where it took long to connect.
            timing: filled for each step that the request reaches.
            max_body: bytes of the answer.

        Raises:
            TonError: raised by `parse`, or the request failed.
        """
        arguments = {"params": params}
        return await self._request("GET", method, arguments, parse, timeout, timing, max_body)

    async def post(
        self,
        method: str,
        payload: Mapping[str, object],
        parse: Parse[Answer],
        timeout: float,
        timing: Timing,
    ) -> Answer:
        """Send a POST request, without retries; `payload` is sent as JSON, the rest as `get`."""
        arguments = {"json": payload}
        return await self._request("POST", method, arguments, parse, timeout, timing, MAX_BODY)

    async def _request(
        self,
        verb: str,
        method: str,
        arguments: dict[str, Any],
        parse: Parse[Answer],
        timeout: float,
        timing: Timing,
        max_body: int,
    ) -> Answer:
        api_key = self._api_key()
        headers = {self._key_header: f"{self._key_prefix}{api_key}"} if api_key else {}
        loop = asyncio.get_running_loop()
        queued = loop.time()
        await self._limiter.acquire()
        began = loop.time()
        timing.waited = began - queued
        try:
            async with (
                _http_errors(timing, began),
                asyncio.timeout(timeout) as deadline,
                self.session.request(
                    verb,
                    f"{self._base_url}/{method}",
                    headers=headers,
                    # A redirect would carry the API key to an unknown host.
                    allow_redirects=False,
                    trace_request_ctx=_Request(timing, deadline, self._patience or timeout / 2),
                    **arguments,
                ) as response,
            ):
                timing.date = _date(response.headers)
                timing.server = _server(response)
                body = await _read(response, max_body)
            timing.query = loop.time() - began - (timing.resolve or 0) - (timing.connect or 0)
            if response.status in _REDIRECTS:
                text = "redirects to another address: configure the final URL"
                raise ProviderError(Reason.BAD_ANSWER, response.status, text)
            return await self._parsing.run(len(body), parse, response.status, body, api_key)
        except TonError as error:
            if api_key and api_key in error.detail:
                error.detail = redacted(error.detail, api_key)
                error.args = (f"{error.reason}: {error.detail}",)
                # The chain below may hold the bytes that held the key.
                raise error from None
            raise


def open_session(resolve: Resolve = addresses_only, *, keep: bool = True) -> aiohttp.ClientSession:
    """A session for `HttpClient`: no cookies, no proxy from the environment, timed.

    Args:
        resolve: finds the addresses of hosts; without it they must be addresses.
        keep: keep connections for further requests.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=_Resolver(resolve), force_close=not keep),
        response_class=_Response,
        auto_decompress=False,  # bounds on the body are bounds on memory
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[_timed()],
    )


class _Response(aiohttp.ClientResponse):
    """Knows its server, also after its connection was released.

    Attributes:
        peer: the server's address and port; None where the transport has none.
    """

    peer: SocketAddress | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Read status and headers."""
        if connection.transport is not None:
            self.peer = connection.transport.get_extra_info("peername")
        return await super().start(connection)


def _server(response: aiohttp.ClientResponse) -> str:
    """The address and port of a response's server, where they identify it."""
    peer = response.peer if isinstance(response, _Response) else None
    if peer is None:
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    # A public front with TLS has many customers behind one address.
    if response.url.scheme == "https" and not address.is_private and not address.is_link_local:
        return ""
    host = f"[{peer[0]}]" if address.version == 6 else peer[0]
    return f"{host}:{peer[1]}"


def _date(headers: Mapping[str, str]) -> float | None:
    """The server's clock, Unix seconds, by the answer's headers."""
    age = headers.get("Age", "0").strip()
    if age.strip("0"):
        return None
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return None


class _Resolver(AbstractResolver):
    """Adapts `Resolve` to aiohttp."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self._resolve(host, port)
        except UnicodeError as error:
            raise OSError(socket.EAI_NONAME, str(error)) from error
        return [
            ResolveResult(
                hostname=host,
                host=_numeric(address),
                port=address[1],
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
            if family in {socket.AF_UNSPEC, kind}
        ]

    async def close(self) -> None:
        """Nothing to close."""


def _numeric(address: SocketAddress) -> str:
    """The text of an address; the scope of a link-local one is a part of it."""
    return f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else address[0]


async def _read(response: aiohttp.ClientResponse, max_body: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_body:
            raise BadAnswer(f"a body of more than {max_body} bytes", Reason.ANSWER_TOO_LARGE)
    return bytes(body)


def redacted(text: str, secret: str | None) -> str:
    """`text` without an API key that a server echoes."""
    return text.replace(secret, "[redacted]") if secret else text


@asynccontextmanager
async def _http_errors(timing: Timing, began: float) -> AsyncIterator[None]:
    """Turn aiohttp's exceptions into `TonError`; a timeout's reason depends on the step."""
    try:
        yield
    except aiohttp.ClientConnectorDNSError as error:
        raise_exhausted(error)
        raise ConnectError(Reason.RESOLVE_FAILED, "cannot resolve the host") from error
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise ConnectError(Reason.TLS_FAILED, f"TLS failed: {_tls_message(error)}") from error
    except aiohttp.ClientConnectorError as error:
        raise_exhausted(error)
        if isinstance(error.os_error, ConnectionRefusedError):
            raise ConnectError(Reason.CONNECT_REFUSED, "TCP connection refused") from error
        text = error.os_error.strerror or str(error.os_error)
        raise ConnectError(Reason.CONNECT_FAILED, f"cannot connect: {text}") from error
    except TimeoutError:
        if timing.step == "resolve":
            raise ConnectError(Reason.RESOLVE_FAILED, "name resolution timed out") from None
        if timing.step == "connect":
            raise ConnectError(Reason.CONNECT_TIMEOUT, "TCP or TLS timed out") from None
        asked = began + (timing.resolve or 0) + (timing.connect or 0)
        seconds = asyncio.get_running_loop().time() - asked
        raise QueryTimeout(f"no answer within {seconds:.3g} s") from None
    except aiohttp.ClientResponseError as error:
        raise ProtocolError("the answer is not HTTP") from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientOSError) as error:
        raise ConnectionLost("cut off in the middle of the answer") from error
    except aiohttp.ServerDisconnectedError as error:
        raise ConnectionLost("closed by the peer") from error
    except aiohttp.ClientError as error:
        raise ProtocolError(f"{type(error).__name__}: {error}") from error


def _tls_message(error: Exception) -> str:
    """OpenSSL's message, without the address that aiohttp adds."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "no details")


def _timed() -> aiohttp.TraceConfig:
    """Fill the request's `Timing`: aiohttp reports when names and connections are made."""
    trace = aiohttp.TraceConfig()

    async def resolving(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.timing.step = "resolve"
        context.resolving = asyncio.get_running_loop().time()

    async def resolved(_: object, context: SimpleNamespace, __: object) -> None:
        timing: Timing = context.trace_request_ctx.timing
        timing.step = "connect"
        timing.resolve = asyncio.get_running_loop().time() - context.resolving

    async def connecting(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.timing.step = "connect"
        context.connecting = asyncio.get_running_loop().time()

    async def connected(_: object, context: SimpleNamespace, __: object) -> None:
        request: _Request = context.trace_request_ctx
        timing = request.timing
        timing.step = "query"
        total = asyncio.get_running_loop().time() - context.connecting
        timing.connect = total - (timing.resolve or 0)
        request.connected()

    trace.on_dns_resolvehost_start.append(resolving)
    trace.on_dns_resolvehost_end.append(resolved)
    trace.on_connection_create_start.append(connecting)
    trace.on_connection_create_end.append(connected)
    return trace
