"""Memory taken by clients that request /metrics and do not read it."""

import asyncio
import gc
import socket
import sys
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientSession

from benchmarks.metrics import LargeSetup
from benchmarks.report import Goal, milliseconds, percentile, table
from tonwatch.config.models import Serve
from tonwatch.serve import app
from tonwatch.serve.listener import listening
from tonwatch.serve.traffic import TRAFFIC
from tonwatch.system import executors

_READERS: Final = 400
_ADDRESSES: Final = 8
_OVER: Final = 8.0
"""Seconds over which they connect, so that each half second needs another exposition."""

_INTERVAL: Final = 0.5
"""Seconds between two views, as the watcher makes them."""

_MEBI: Final = 1 << 20


def _resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / _MEBI


async def _attacked(large: LargeSetup) -> tuple[float, float, int, list[float], int]:
    """MiB resident before and at most; most connections; seconds of scrapes; bytes of one."""
    most, connections, scrapes, size = 0.0, 0, [], 0
    serve = Serve(host="127.0.0.1", port=0)
    async with AsyncExitStack() as stack:
        threads = await stack.enter_async_context(executors.running())
        application = app.build(large.watcher, lambda: None, threads, large.watcher.errors)
        url = await stack.enter_async_context(
            listening(application, serve, threads.lookups, large.watcher.errors, targets=1)
        )
        session = await stack.enter_async_context(ClientSession())

        async def scrape() -> int:
            async with session.get(f"{url}/metrics", headers={"Accept-Encoding": "gzip"}) as got:
                return len(await got.read())

        size = await scrape()
        gc.collect()
        before = _resident()
        readers = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.readers", url, stdin=asyncio.subprocess.PIPE
        )
        until = time.monotonic() + _OVER + 2
        part = 0
        while time.monotonic() < until:
            part += 1
            large.read(part % 15, 15)
            began = time.perf_counter()
            await scrape()
            scrapes.append(time.perf_counter() - began)
            for _ in range(10):
                most = max(most, _resident())
                connections = max(connections, application[TRAFFIC].connections)
                await asyncio.sleep(_INTERVAL / 10)
        assert readers.stdin is not None
        readers.stdin.close()
        await readers.wait()
    return before, most, connections, scrapes, size


def read_nothing(url: str) -> None:
    """The readers: they connect one after the other, and stay until stdin ends."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with ExitStack() as stack:
        for number in range(_READERS):
            client = stack.enter_context(
                socket.create_connection(
                    (host or "", port or 0), source_address=(f"127.0.1.{number % _ADDRESSES}", 0)
                )
            )
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(_OVER / _READERS)
        sys.stdin.read()


def measure() -> tuple[str, list[Goal]]:
    """Run them; returns the table and the goals."""
    large = LargeSetup()
    large.read()
    large.count()
    before, most, connections, scrapes, size = asyncio.run(_attacked(large))
    rows = [
        ["", ""],
        ["resident before", f"{before:.1f} MiB"],
        ["resident at most", f"{most:.1f} MiB"],
        ["most connections at a time", str(connections)],
        ["a scrape meanwhile, gzip, p50", milliseconds(percentile(scrapes, 50))],
        ["a scrape meanwhile, gzip, worst", milliseconds(max(scrapes))],
    ]
    text = (
        f"{_READERS} clients request /metrics ({size:,} bytes) within {_OVER:.0f} s and read"
        f" nothing of it:\n{table(rows)}"
    )
    taken = most - before
    return text, [
        Goal("memory that slow readers take", "< 128 MiB", f"{taken:.1f} MiB", taken < 128)
    ]


if __name__ == "__main__":
    read_nothing(sys.argv[1])
