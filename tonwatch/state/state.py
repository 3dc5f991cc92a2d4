"""State as the event loop uses it: one thread, and one transaction for all that waits."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, TypeVar

from tonwatch.samples.account import AccountKey
from tonwatch.samples.incident import Incident, IncidentQuery
from tonwatch.state.directory import StateDirError, locked
from tonwatch.state.sqlite import SqliteStore
from tonwatch.state.store import Changes, DiskHangs, Newer, StateStore, Unreadable, together
from tonwatch.system.executors import Busy, Threads

OPENS_WITHIN: Final = 5.0
"""Seconds that the start waits for the disk."""

DISK_WITHIN: Final = 10.0
"""Seconds after which a disk that does not answer counts as hanging."""

READ_WITHIN: Final = 5.0
"""Likewise for incidents, for which a client waits."""

_LAST_WRITE: Final = 2.0
"""Seconds that the last write has to complete at the end."""

_READING: Final = 8
"""Readings of incidents at a time: they must not delay checkpoints for long."""

T = TypeVar("T")


class _Batch:
    """Changes that go to disk together, and the call that writes them."""

    def __init__(self) -> None:
        self.changes: list[Changes] = []
        self.written: asyncio.Future[None] | None = None


class State:
    """State in a directory that is locked until it is closed, or in memory.

    Args:
        path: of the directory; None for in memory.
        wall: local clock, Unix seconds.
        reported: called after each attempt to write, with what failed or an empty text.

    Attributes:
        path: of the directory; None for in memory.
    """

    def __init__(
        self,
        path: Path | None,
        wall: Callable[[], float] = time.time,
        reported: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._reported = reported
        self._store: StateStore = SqliteStore(path, wall)
        # Of this directory alone: a disk that hangs delays nothing else.
        self._thread = Threads("state", 1)
        self._lock = nullcontext() if path is None else locked(path)
        self._hanging: asyncio.Future[Any] | None = None
        self._next: _Batch | None = None
        self._taking = threading.Lock()
        self._reading = 0

    @property
    def lost(self) -> int:
        """How often what was stored was lost since the start, in part at least."""
        return self._store.lost

    async def open(self) -> None:
        """Lock it, and open the database.

        A database that cannot be read for now is no error: it is tried again when it is used.

        Raises:
            StateDirError: it cannot be used, its disk does not answer, or it is of a newer
                tonwatch.
        """
        opening = asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        try:
            async with asyncio.timeout(OPENS_WITHIN):
                await opening
        except TimeoutError:
            self._close()
            raise StateDirError(
                f"the disk of state_dir {self.path} does not answer; see whether its volume hangs"
            ) from None
        except StateDirError:
            self._thread.shutdown()
            raise

    async def close(self) -> None:
        """Unlock it, once the last write is complete.

        It stays locked until a write that takes longer has ended.
        """
        await asyncio.wait({self._close()}, timeout=_LAST_WRITE)

    async def checkpoint(self, key: AccountKey) -> bytes | None:
        """An account's checkpoint, encoded; empty where it is damaged, None where there is none.

        Raises:
            Unreadable: unknown whether there is one.
        """
        return await self._in_thread(lambda: self._store.checkpoint(key))

    async def key_block(self, network: bytes) -> bytes | None:
        """The last verified key block, encoded; None where there is none.

        Args:
            network: root hash of the network's zerostate.

        Raises:
            Unreadable: unknown whether there is one.
        """
        return await self._in_thread(lambda: self._store.key_block(network))

    async def incidents(self, query: IncidentQuery) -> list[Incident]:
        """Those of the record, the newest first.

        Raises:
            Unreadable: it cannot be read for now.
            Busy: too many are being read.
        """
        if self._reading >= _READING:
            raise Busy("the record of incidents is being read too often")
        self._reading += 1
        try:
            return await self._in_thread(lambda: self._store.incidents(query), READ_WITHIN)
        finally:
            self._reading -= 1

    async def write(self, changes: Changes) -> str:
        """Write all of it or nothing; returns what failed, or an empty text.

        What waits for the disk at the same time is one transaction. If cancelled, it may or may
        not be written.
        """
        try:
            await self._write(changes)
        except Unreadable as error:
            self._reported(f"{self.path}: {error}")
            return str(error)
        self._reported("")
        return ""

    async def _write(self, changes: Changes) -> None:
        self._ensure_answering()
        with self._taking:
            batch = self._next
            if batch is None:
                batch = self._next = _Batch()
            batch.changes.append(changes)
        if batch.written is None:
            loop = asyncio.get_running_loop()
            batch.written = loop.run_in_executor(self._thread, self._write_next)
        await self._answer(batch.written)

    def _write_next(self) -> None:
        with self._taking:
            batch, self._next = self._next, None
        if batch is not None:
            self._store.write(together(batch.changes))

    async def _in_thread(self, work: Callable[[], T], within: float | None = None) -> T:
        self._ensure_answering()
        call = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await self._answer(call, within)

    def _ensure_answering(self) -> None:
        # While one call hangs no other is started: they would pile up behind it.
        if self._hanging is not None and not self._hanging.done():
            raise DiskHangs("the disk does not answer")

    async def _answer(self, call: asyncio.Future[T], within: float | None = None) -> T:
        # Where nobody waits any more, a failure is no error that was overlooked.
        call.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        done, _ = await asyncio.wait({call}, timeout=within or DISK_WITHIN)
        if not done:
            self._hanging = call
            raise DiskHangs("the disk does not answer")
        return call.result()

    def _open(self) -> None:
        self._lock.__enter__()
        try:
            self._store.open()
        except Newer as error:
            self._lock.__exit__(None, None, None)
            raise StateDirError(str(error)) from None
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    def _close(self) -> asyncio.Future[None]:
        def closed() -> None:
            self._store.close()
            self._lock.__exit__(None, None, None)

        # The thread runs calls in order: before this one, all writes are complete.
        closing = asyncio.get_running_loop().run_in_executor(self._thread, closed)
        self._thread.shutdown(cancel_futures=False)
        return closing
