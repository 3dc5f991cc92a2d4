"""Puts the stations together: from a configuration to targets, clients, jobs and a board."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiolimiter import AsyncLimiter

from tonwatch import secrets
from tonwatch.config import Config, LiteServer, Provider, decode_key
from tonwatch.probes import liteserver, toncenter
from tonwatch.probes.sample import Probe
from tonwatch.secrets import SecretFile
from tonwatch.ton.link import Link
from tonwatch.ton.toncenter import ToncenterClient, open_session
from tonwatch.watch.board import Board, Target
from tonwatch.watch.scheduler import Job
from tonwatch.watch.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that watches one configuration.

    Attributes:
        jobs: the questions and their beats.
        board: where samples go.
        watcher: what makes views of the board.
        files: secret files to keep fresh.
    """

    jobs: tuple[Job, ...]
    board: Board
    watcher: Watcher
    files: tuple[SecretFile[Any], ...]


@asynccontextmanager
async def assembled(
    config: Config, *, wall: Callable[[], float] = time.time
) -> AsyncIterator[Assembly]:
    """Build it for `config`; on leaving, every connection is closed.

    Args:
        config: with ``global_config`` sources already replaced, as `settings.load` returns it.
        wall: our clock, Unix seconds.
    """
    async with AsyncExitStack() as stack:
        files: list[SecretFile[Any]] = []
        links: dict[str, Link] = {}
        targets: list[Target] = []
        jobs: list[Job] = []
        for server in config.liteservers:
            if not isinstance(server, LiteServer):
                raise TypeError("a global_config is replaced by its liteservers on loading")
            link = links[server.name] = Link(server.host, server.port, _server_key(server, files))
            stack.push_async_callback(link.drop)
            targets.append(Target(server.name, "liteserver", server.role))
            jobs += _liteserver_jobs(server.name, link, config, wall)
        for provider in config.providers:
            client = await _toncenter(provider, files, stack)
            targets.append(Target(provider.name, provider.kind, provider.role))
            ask = partial(
                toncenter.head, provider.name, client, timeout=config.probe.timeout, wall=wall
            )
            jobs.append(Job(provider.name, Probe.HEAD, config.probe.interval, ask))
        for file in files:
            await asyncio.to_thread(file.refresh)
        board = Board(targets, lambda name: links[name].dropped_answers if name in links else 0)
        watcher = Watcher(config, board, wall=wall, monotonic=asyncio.get_running_loop().time)
        yield Assembly(tuple(jobs), board, watcher, tuple(files))


def _liteserver_jobs(name: str, link: Link, config: Config, wall: Callable[[], float]) -> list[Job]:
    timeout = config.probe.timeout
    return [
        Job(
            name,
            Probe.HEAD,
            config.probe.interval,
            partial(liteserver.head, name, link, timeout=timeout, wall=wall),
        ),
        Job(
            name,
            Probe.CONNECT,
            config.probe.connect_interval,
            partial(liteserver.connect, name, link, timeout=timeout, wall=wall),
        ),
    ]


def _server_key(server: LiteServer, files: list[SecretFile[Any]]) -> Callable[[], bytes]:
    if server.key_file is not None:
        file = SecretFile(server.key_file, secrets.server_key)
        files.append(file)
        return file.get
    key = decode_key(server.key or "")
    return lambda: key


async def _toncenter(
    provider: Provider, files: list[SecretFile[Any]], stack: AsyncExitStack
) -> ToncenterClient:
    api_key: Callable[[], str | None] = lambda: None  # noqa: E731 - one of two sources of the key
    if provider.api_key_file is not None:
        file = SecretFile(provider.api_key_file, secrets.api_key)
        files.append(file)
        api_key = file.get
    session = await stack.enter_async_context(open_session())
    # One request per period rather than a bucket that may be emptied at once.
    limiter = AsyncLimiter(1, 1 / provider.requests_per_second)
    return ToncenterClient(str(provider.url), session, limiter, api_key)
