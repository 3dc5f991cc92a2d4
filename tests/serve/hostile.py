"""A server with limits, on virtual time, and clients that misbehave."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests import virtual_time
from tonwatch.config.models import Serve
from tonwatch.serve.bodies import Bodies, Body
from tonwatch.serve.connection import Limits
from tonwatch.serve.listener import listening
from tonwatch.serve.traffic import TRAFFIC, Traffic
from tonwatch.system.internal_errors import InternalErrors

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"

SOME_SIZE = 40_000
"""What the kernel of a server takes as a whole."""

BIG_SIZE = 8 << 20
"""More than the kernel takes on both sides."""


@dataclass
class Client:
    """One connection, by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> bytes:
        """The head of one response; its body is read and dropped."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        await self.reader.readexactly(sum(lengths))
        return head

    async def status(self) -> int:
        return int((await self.answer()).split()[1])

    async def rest(self) -> bytes:
        """All bytes until the connection is closed."""
        got = b""
        try:
            while more := await self.reader.read(1 << 16):
                got += more
        except ConnectionError:
            pass
        return got

    async def closed(self) -> None:
        """Wait until the server has closed it, without reading what it sent."""
        taken = self.writer.get_extra_info("socket")
        while True:
            # 8 is TCP_CLOSE_WAIT, 7 TCP_CLOSE. Source: include/net/tcp_states.h
            state = taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            if state in {7, 8}:
                return
            await asyncio.sleep(0.1)

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()


@dataclass
class Site:
    """The server that a test attacks.

    Attributes:
        view: what bodies are rendered from.
        made: how many bodies were rendered.
        waiting: requests of /wait in progress; `go` lets them end.
    """

    loop: virtual_time.VirtualLoop
    traffic: Traffic = field(default_factory=Traffic)
    view: object = field(default_factory=object)
    made: int = 0
    waiting: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    _clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.errors = InternalErrors(wall=self.loop.time, monotonic=self.loop.time)

    def application(self) -> web.Application:
        bodies: Bodies[object] = Bodies(lambda: self.view)

        def make(_: object) -> Body:
            self.made += 1
            return Body(bytes(BIG_SIZE))

        async def big(_: web.Request) -> web.Response:
            return web.Response(
                body=bodies.payload(await bodies.get("big", make, asyncio.to_thread))
            )

        async def some(_: web.Request) -> web.Response:
            return web.Response(body=bytes(SOME_SIZE))

        async def wait(_: web.Request) -> web.Response:
            self.waiting += 1
            try:
                await self.go.wait()
            finally:
                self.waiting -= 1
            return web.Response(text="done")

        async def fail(_: web.Request) -> web.Response:
            raise RuntimeError("hunter2")

        async def root(_: web.Request) -> web.Response:
            return web.Response(text="here")

        app = web.Application()
        app[TRAFFIC] = self.traffic
        app.router.add_get("/", root)
        app.router.add_get("/fail", fail)
        app.router.add_get("/some", some)
        app.router.add_get("/big", big)
        app.router.add_get("/wait", wait)
        return app

    async def connect(self, host: str = "127.0.0.1", window: int | None = None) -> Client:
        """Connect from `host`, one of the many addresses of the loopback interface.

        With `window` the kernel takes only so many bytes, or twice as many, that are not read.
        """
        made = socket.socket()
        if window is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        made.setblocking(False)
        made.bind((host, 0))
        await self.loop.sock_connect(made, ("127.0.0.1", int(self.url.rpartition(":")[2])))
        streams = await asyncio.open_connection(sock=made, limit=1 << 10)
        self._clients.append(Client(*streams))
        return self._clients[-1]

    async def get(self, host: str = "127.0.0.1") -> int:
        """The status of an ordinary request on a connection of its own."""
        client = await self.connect(host)
        await client.send(GET)
        status = await client.status()
        client.writer.close()
        return status

    async def until_busy(self, requests: int) -> None:
        while self.waiting < requests:
            await asyncio.sleep(0)

    def refused(self) -> dict[str, int]:
        """What was refused or cut off, without zeros."""
        return {str(why): count for why, count in self.traffic.refused.items() if count}

    def leave(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()


Attack = Callable[[Site], Coroutine[Any, Any, None]]


@asynccontextmanager
async def serving(site: Site, limits: Limits) -> AsyncIterator[None]:
    serve = Serve(host="127.0.0.1", port=0)
    try:
        with ThreadPoolExecutor(1) as lookups:
            app = site.application()
            errors = site.errors
            async with listening(app, serve, lookups, errors, targets=2, limits=limits) as url:
                site.url = url
                yield
    finally:
        site.leave()


def attacked(attack: Attack, **limits: Any) -> Site:
    """Run `attack` on virtual time; the server must answer normally afterwards."""

    async def main(loop: virtual_time.VirtualLoop) -> Site:
        site = Site(loop)
        async with serving(site, Limits(**limits)):
            await attack(site)
            site.leave()
            while site.traffic.connections:
                await asyncio.sleep(0.1)
            assert await site.get() == 200
        assert site.traffic.connections == 0
        return site

    return virtual_time.run(main)
