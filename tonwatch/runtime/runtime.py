"""Puts the stations together: from a configuration to targets, clients, jobs and a board."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiolimiter import AsyncLimiter

from tonwatch.config import secret_files as secrets
from tonwatch.config.hosts import is_loopback
from tonwatch.config.models import Config, LiteServer, Provider, decode_key
from tonwatch.config.secret_files import FreshFiles, SecretFile
from tonwatch.payouts.checkpoints import Books
from tonwatch.probes.source import LiteSource, Source, ToncenterSource
from tonwatch.runtime.jobs import accounts as wallet_jobs
from tonwatch.runtime.jobs.payouts import Counting
from tonwatch.runtime.scheduler import Job, last_resort
from tonwatch.runtime.state_dir import StateDirError, held
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.sample import Probe, Sample
from tonwatch.system import executors
from tonwatch.system.executors import Executors
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.targets.liteserver import probes as liteserver
from tonwatch.targets.toncenter_v2 import probes as toncenter
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.ton.http import HttpClient, open_session
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks
from tonwatch.watch.store import Board, Target
from tonwatch.watch.verdicts import common_seqno, comparable

STATE_DIR_WITHIN: Final = 5.0
"""Seconds that the start waits for the disk of `state_dir`."""

_QUESTIONS: Final = 4
"""Questions that a look at one target takes at most, one after another."""

_LAST_WRITE: Final = 2.0
"""Seconds that a checkpoint which is being written has to become complete at the end."""

ForkProbe = Callable[[int], Awaitable[Sample]]
"""Asks one target which masterchain block it has at a seqno."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything that watches one configuration.

    Attributes:
        jobs: the questions and their beats.
        board: where samples go.
        watcher: what makes views of the board.
        files: secret files to keep fresh.
        executors: the threads that block in its place.
        errors: what went wrong in us.
    """

    jobs: tuple[Job, ...]
    board: Board
    watcher: Watcher
    files: FreshFiles
    executors: Executors
    errors: InternalErrors


@asynccontextmanager
async def assembled(
    config: Config, *, counting: bool = True, wall: Callable[[], float] = time.time
) -> AsyncIterator[Assembly]:
    """Build it for `config`; on leaving, every connection is closed and every thread let go.

    Args:
        config: with ``global_config`` sources already replaced, as `settings.load` returns it.
        counting: count payouts, where the configuration asks for it, and keep books of them.
        wall: our clock, Unix seconds.

    Raises:
        StateDirError: books cannot be kept.
    """
    monotonic = asyncio.get_running_loop().time
    errors = InternalErrors(wall=wall, monotonic=monotonic)
    async with executors.running() as threads, AsyncExitStack() as stack:
        files: list[SecretFile[Any]] = []
        links: dict[str, Link] = {}
        targets: list[Target] = []
        jobs: list[Job] = []
        fork_probes: dict[str, ForkProbe] = {}
        sources: dict[str, Source] = {}
        known = KnownBlocks()
        about_wallets = wallet_jobs.about_wallets(config)
        limit = last_resort(config, _QUESTIONS)
        timed: dict[str, Any] = {"timeout": config.probe.timeout, "wall": wall}
        for server in config.liteservers:
            if not isinstance(server, LiteServer):
                raise TypeError("a global_config is replaced by its liteservers on loading")
            name = server.name
            key = _server_key(server, files)
            link = links[name] = Link(server.host, server.port, key, threads.names.resolve)
            stack.push_async_callback(link.drop)
            local = _is_local(server, server.host)
            targets.append(Target(name, "liteserver", server.role, local, about_wallets))
            head = partial(liteserver.head, name, link, **timed)
            connect = partial(liteserver.connect, name, link, **timed)
            jobs.append(_job(name, Probe.HEAD, config.probe.interval, head, limit))
            jobs.append(_job(name, Probe.CONNECT, config.probe.connect_interval, connect, limit))
            fork_probes[name] = partial(liteserver.fork, name, link, **timed)
            accounts = Link(server.host, server.port, key, threads.names.resolve)
            stack.push_async_callback(accounts.drop)
            sources[name] = LiteSource(name, accounts, known, config.probe.timeout)
        for provider in config.providers:
            name = provider.name
            client = await _toncenter(provider, files, stack, threads)
            local = _is_local(provider, provider.url.host or "")
            targets.append(Target(name, provider.kind, provider.role, local, about_wallets))
            head = partial(toncenter.head, name, client, **timed)
            jobs.append(_job(name, Probe.HEAD, config.probe.interval, head, limit))
            fork_probes[name] = partial(toncenter.fork, name, client, **timed)
            sources[name] = ToncenterSource(name, client, config.probe.timeout)
        fresh = FreshFiles(files, threads.secrets, errors)
        stack.callback(fresh.close)
        await fresh.refresh(secrets.FIRST_WITHIN)
        board = Board(
            targets,
            (watched.key for watched in wallet_jobs.watched(config)),
            lambda name: links[name].dropped_answers if name in links else 0,
        )
        watcher = Watcher(config, board, wall=wall, monotonic=monotonic, errors=errors)
        jobs.append(_fork_round(fork_probes, watcher, config))
        jobs += wallet_jobs.jobs(config, sources, watcher, wall=wall)
        if counting and config.state_dir is not None and any(w.payouts for w in config.wallets):
            await _hold(config.state_dir, stack, threads)
            books = Books(config.state_dir, config.zerostate, wall, threads.checkpoints)
            counted = Counting(config, sources, watcher, books, wall, errors)
            jobs.append(wallet_jobs.counting(config, counted))
        yield Assembly(tuple(jobs), board, watcher, fresh, threads, errors)


async def _hold(state_dir: Path, stack: AsyncExitStack, threads: Executors) -> None:
    """Keep `state_dir` for ourselves until the end.

    Raises:
        StateDirError: it cannot be used, or its disk does not answer.
    """
    holding = held(state_dir)
    taken = asyncio.get_running_loop().run_in_executor(threads.checkpoints, holding.__enter__)
    try:
        async with asyncio.timeout(STATE_DIR_WITHIN):
            await taken
    except TimeoutError:
        raise StateDirError(
            f"the disk of state_dir {state_dir} does not answer; see whether its volume hangs"
        ) from None

    async def release() -> None:
        # The one thread takes calls in turn: with this one, what was being saved is complete.
        released = asyncio.get_running_loop().run_in_executor(
            threads.checkpoints, holding.__exit__, None, None, None
        )
        await asyncio.wait({released}, timeout=_LAST_WRITE)

    stack.push_async_callback(release)


def _job(
    name: str,
    probe: Probe,
    interval: float,
    ask: Callable[[], Awaitable[Sample]],
    deadline: float,
) -> Job:
    async def once() -> tuple[Sample]:
        return (await ask(),)

    return Job((name,), probe, interval, once, deadline=deadline)


def _fork_round(probes: dict[str, ForkProbe], watcher: Watcher, config: Config) -> Job:
    """Asks all targets at once for the block at a seqno that all of them have."""

    async def once() -> Sequence[Sample]:
        judgement = watcher.view.judgement
        seqno = common_seqno(judgement)
        if seqno is None:
            return ()
        asked = [probes[verdict.target.name](seqno) for verdict in comparable(judgement)]
        return await asyncio.gather(*asked)

    # The first round comes when every target has been asked where it is.
    return Job(
        tuple(probes),
        Probe.FORK,
        config.probe.fork_interval,
        once,
        delay=config.probe.interval,
        deadline=last_resort(config, _QUESTIONS),
    )


def _is_local(target: LiteServer | Provider, host: str) -> bool:
    """Whether reaching a target takes no network: as configured, or because it is loopback."""
    if target.local is not None:
        return target.local
    return is_loopback(host)


def _server_key(server: LiteServer, files: list[SecretFile[Any]]) -> Callable[[], bytes]:
    if server.key_file is not None:
        file = SecretFile(server.key_file, secrets.server_key)
        files.append(file)
        return file.get
    key = decode_key(server.key or "")
    return lambda: key


async def _toncenter(
    provider: Provider, files: list[SecretFile[Any]], stack: AsyncExitStack, threads: Executors
) -> ToncenterClient:
    api_key: Callable[[], str | None] = lambda: None  # noqa: E731 - one of two sources of the key
    if provider.api_key_file is not None:
        file = SecretFile(provider.api_key_file, secrets.api_key)
        files.append(file)
        api_key = file.get
    session = await stack.enter_async_context(open_session(threads.names.resolve))
    # One request per period rather than a bucket that may be emptied at once.
    limiter = AsyncLimiter(1, 1 / provider.requests_per_second)
    return ToncenterClient(HttpClient(str(provider.url), session, limiter, api_key))
