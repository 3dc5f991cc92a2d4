"""Scripted liteservers for tests: real sockets, recorded answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pytoniq_core.crypto.ciphers import Client

from tonwatch.ton.adnl import wire
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.adnl.wire import Message
from tonwatch.ton.liteserver.link import Link

HOST: Final = "127.0.0.1"
IDENTITY: Final = Client(bytes(range(32)))
"""Every test server's key pair."""

SERVER_KEY: Final[bytes] = IDENTITY.ed25519_public.encode()
OTHER_KEY: Final[bytes] = Client(bytes(range(1, 33))).ed25519_public.encode()

LITE_QUERY: Final = bytes.fromhex("df068c79")
LITE_ERROR: Final = bytes.fromhex("48e1a9bb")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its answer as a real node gave it; see fixtures/README.md."""

    label: str
    query: bytes
    answer: bytes
    type: str | None
    error: str | None


OLDER: Final = "liteserver-v2025.10.jsonl"
NEWER_ERRORS: Final = "liteserver-v2026.06-errors.jsonl"


@cache
def recorded(file: str = OLDER) -> dict[str, Pair]:
    """The recorded pairs by label."""
    pairs = {}
    path = Path(__file__).parent / "fixtures" / file
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        pairs[entry["label"]] = Pair(
            label=entry["label"],
            query=bytes.fromhex(entry["query"]),
            answer=bytes.fromhex(entry["answer"]),
            type=entry.get("type"),
            error=entry.get("error"),
        )
    return pairs


def lite_error(code: int, text: str) -> bytes:
    """A ``liteServer.error``."""
    return LITE_ERROR + code.to_bytes(4, "little", signed=True) + wire.tl_bytes(text.encode())


def lite_query(message: Message) -> bytes:
    """The question inside a ``liteServer.query``."""
    assert message.constructor == wire.QUERY
    assert message.body[:4] == LITE_QUERY
    question, end = wire.read_tl_bytes(message.body, 4)
    assert end == len(message.body)
    return question


class Peer:
    """One accepted connection, driven by a test's script."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._session: wire.Session | None = None
        self._payloads: list[bytes] = []

    @property
    def session(self) -> wire.Session:
        assert self._session is not None, "accept() comes first"
        return self._session

    async def accept(self) -> Self:
        """Shake hands as a liteserver does."""
        packet = await self.reader.readexactly(wire.HANDSHAKE_SIZE)
        self._session = wire.accept_session(packet, IDENTITY)
        self.writer.write(self._session.seal(b""))
        return self

    async def message(self) -> Message:
        """The next message from the client.

        Raises:
            EOFError: the client closed the connection.
        """
        while not self._payloads:
            data = await self.reader.read(65536)
            if not data:
                raise EOFError
            self._payloads += self.session.feed(data)
        message = wire.parse_message(self._payloads.pop(0))
        assert message is not None
        return message

    async def query(self) -> Message:
        """The next query; pings before it are answered."""
        while (message := await self.message()).constructor == wire.PING:
            self.pong(message)
        return message

    def seal(self, message: Message) -> bytes:
        return self.session.seal(message.encode())

    def send(self, message: Message) -> None:
        self.writer.write(self.seal(message))

    def pong(self, ping: Message) -> None:
        self.send(Message(wire.PONG, ping.id))

    def answer(self, query: Message, body: bytes) -> None:
        self.send(Message(wire.ANSWER, query.id, body))

    async def until_closed(self) -> None:
        """Read and forget until the client closes."""
        while await self.reader.read(65536):
            pass


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Listens on 127.0.0.1 and runs a script for each connection.

    A script ends when it returns (the connection is closed) or when the client
    has gone. Any other exception in a script fails the test at the end of the
    ``async with`` block.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.connections = 0
        self.connected = asyncio.Event()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def link(self, key: bytes = SERVER_KEY) -> Link:
        return Link(HOST, self.port, lambda: key)

    async def connect(self, timeout: float = 5.0, **options: Any) -> AdnlConnection:
        return await AdnlConnection.open(HOST, self.port, SERVER_KEY, timeout=timeout, **options)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self.tasks:
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):  # the client went first
                await writer.wait_closed()
        failures = [result for result in results if isinstance(result, Exception)]
        if failures and error is None:
            raise ExceptionGroup("a server's script failed", failures)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.connected.set()
        self._writers.append(writer)
        self.tasks.add(asyncio.create_task(self._run(Peer(reader, writer))))

    async def _run(self, peer: Peer) -> None:
        try:
            await self._script(peer)
        except* (EOFError, ConnectionError):
            pass  # the client has gone
        peer.writer.close()


def replay(answers: Mapping[bytes, bytes]) -> Script:
    """A liteserver that answers pings, and questions as `answers` says."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        while True:
            query = await peer.query()
            peer.answer(query, answers[lite_query(query)])

    return script


def recorded_answers() -> dict[bytes, bytes]:
    """All recorded answers by query; the first one where a query was repeated."""
    answers: dict[bytes, bytes] = {}
    for pair in recorded().values():
        answers.setdefault(pair.query, pair.answer)
    return answers


async def echo(peer: Peer) -> None:
    """A good server: answers each query with its own body."""
    await peer.accept()
    while True:
        query = await peer.query()
        peer.answer(query, query.body)


def query_then(act: Callable[[Peer, Message], Awaitable[None]]) -> Script:
    """A server that does `act` with the first query and then waits for the client to close."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        await act(peer, await peer.query())
        await peer.until_closed()

    return script


async def stay_silent(_: Peer, __: Message) -> None:
    pass


async def hang_up(peer: Peer, _: Message) -> None:
    peer.writer.close()
