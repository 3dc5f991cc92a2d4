"""Large responses, made once for all concurrent requests, and sent in chunks."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Generic, NoReturn, TypeVar

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from tonwatch.serve.connection import connection_of
from tonwatch.serve.traffic import Refusal

_CHUNK: Final = 64 << 10
"""Bytes that are written at a time."""

_SHARED_FOR: Final = 0.5
"""Seconds after which one is made anew even for the same view: tonwatch's own metrics change."""

_BYTES_KEPT: Final = 32 << 20
_TIMES_KEPT: Final = 4
"""Limit of all bodies that are being sent together: bytes, or times the newest one if that is more.
They only get there while clients read slowly."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A response's content and status, shared by all of its readers."""

    content: bytes
    status: HTTPStatus = HTTPStatus.OK


Run = Callable[[Callable[[], Body]], Awaitable[Body]]

V = TypeVar("V")


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    view: object
    task: asyncio.Task[Body]


@dataclass(slots=True)
class Bodies(Generic[V]):
    """Makes bodies of views.

    Args:
        view: returns the newest view.
    """

    view: Callable[[], V]
    _made: dict[Hashable, _Made] = field(default_factory=dict, init=False)
    _readers: dict[Body, set[asyncio.Transport]] = field(default_factory=dict, init=False)

    async def get(self, kind: Hashable, make: Callable[[V], Body], run: Run) -> Body:
        """What `make` makes of the newest view, shared by all requests for this `kind`.

        Of each kind one is made at a time: a request with a newer view waits.

        Args:
            kind: identifies what is requested.
            make: makes it, which takes long.
            run: runs that outside the event loop.

        Raises:
            Exception: whatever `make` or `run` raises.
        """
        while True:
            view = self.view()
            made = self._made.get(kind)
            if made is None or (made.view is not view and made.task.done()):
                made = _Made(view, asyncio.create_task(self._make(kind, view, make, run)))
                made.task.add_done_callback(_retrieve)
                self._made[kind] = made
            if made.view is view:
                return await asyncio.shield(made.task)
            await asyncio.wait([made.task])

    async def _make(self, kind: Hashable, view: V, make: Callable[[V], Body], run: Run) -> Body:
        me = asyncio.current_task()

        def forget() -> None:
            if kind in self._made and self._made[kind].task is me:
                del self._made[kind]

        try:
            body = await run(lambda: make(view))
        except BaseException:
            forget()
            raise
        asyncio.get_running_loop().call_later(_SHARED_FOR, forget)
        return body

    def payload(self, body: Body) -> Payload:
        """The body as aiohttp sends it."""
        return _Chunks(body, self)

    def begin(self, body: Body, reader: asyncio.Transport) -> None:
        """A client begins to read. The readers of the oldest bodies are cut off where all bodies
        together are over the limit.
        """
        self._readers.setdefault(body, set()).add(reader)
        most = max(_BYTES_KEPT, _TIMES_KEPT * len(body.content))
        total = sum(len(each.content) for each in self._readers)
        for oldest in list(self._readers):
            if total <= most:
                break
            total -= len(oldest.content)
            for slow in self._readers.pop(oldest):
                connection = connection_of(slow)
                if connection is not None:
                    connection.cut(Refusal.RESPONSE_TIMEOUT)

    def end(self, body: Body, reader: asyncio.Transport) -> None:
        """A client has read to the end, or is gone."""
        readers = self._readers.get(body, set())
        readers.discard(reader)
        if not readers:
            self._readers.pop(body, None)


def _retrieve(task: asyncio.Task[Body]) -> None:
    """Retrieve its exception: asyncio logs one that is not, where all clients are gone."""
    if not task.cancelled():
        task.exception()


class _Chunks(Payload):
    """Sends a shared body. aiohttp's payloads copy it for each reader."""

    _value: Body

    def __init__(self, body: Body, bodies: Bodies[V]) -> None:
        super().__init__(body)
        self._size = len(body.content)
        self._bodies = bodies

    async def write(self, writer: AbstractStreamWriter) -> None:
        transport: asyncio.Transport | None = getattr(writer, "transport", None)
        if transport is None:
            raise ConnectionResetError("the client is gone")
        content = memoryview(self._value.content)
        self._bodies.begin(self._value, transport)
        try:
            for start in range(0, len(content), _CHUNK):
                await writer.write(content[start : start + _CHUNK])
                await asyncio.sleep(0)  # a fast reader must not block the loop
        finally:
            self._bodies.end(self._value, transport)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        raise NotImplementedError("a response's body is only written")
