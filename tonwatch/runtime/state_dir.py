"""The persistent state directory: writable and locked."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tonwatch.system.executors import Threads

OPENS_WITHIN: Final = 5.0
"""Seconds that the start waits for the disk."""

_LOCK: Final = "lock"

_LAST_WRITE: Final = 2.0
"""Seconds that the last write has to complete at the end."""


class StateDirError(Exception):
    """`state_dir` cannot be used; the text says why."""


class StateDir:
    """A directory that is locked until it is closed.

    Attributes:
        path: of the directory.
        thread: reads and writes in it, one file after another. Of this directory alone: a disk
            that hangs delays no other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread = Threads("checkpoints", 1)
        self._lock = locked(path)

    async def open(self) -> None:
        """Lock it.

        Raises:
            StateDirError: it cannot be used, or its disk does not answer.
        """
        locking = asyncio.get_running_loop().run_in_executor(self.thread, self._lock.__enter__)
        try:
            async with asyncio.timeout(OPENS_WITHIN):
                await locking
        except TimeoutError:
            self._unlock()
            raise StateDirError(
                f"the disk of state_dir {self.path} does not answer; see whether its volume hangs"
            ) from None
        except StateDirError:
            self.thread.shutdown()
            raise

    async def close(self) -> None:
        """Unlock it, once the last write is complete.

        It stays locked until a write that takes longer has ended.
        """
        await asyncio.wait({self._unlock()}, timeout=_LAST_WRITE)

    def _unlock(self) -> asyncio.Future[bool | None]:
        # The thread runs calls in order: before this one, all writes are complete.
        unlocked = asyncio.get_running_loop().run_in_executor(
            self.thread, self._lock.__exit__, None, None, None
        )
        self.thread.shutdown(cancel_futures=False)
        return unlocked


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Lock `state_dir`, and create it where it is missing.

    Blocks for as long as the disk does. Two processes that count the same payouts into the same
    files would overwrite each other's checkpoints.

    Raises:
        StateDirError: it cannot be written to, or is locked.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state_dir) as file:
            file.write(b"tonwatch")
            file.flush()
            os.fsync(file.fileno())
        # O_NONBLOCK: it may be a named pipe.
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.fdopen(os.open(state_dir / _LOCK, flags, 0o666), "r+b", buffering=0)
    except OSError as error:
        raise StateDirError(
            f"cannot write to state_dir {state_dir}: {error.strerror or error}; give it a"
            " directory that this user may write to, on a volume with room"
        ) from error
    with lock:
        try:
            # Released when the process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateDirError(
                f"state_dir {state_dir} is used by another tonwatch; give each one a directory of"
                " its own, or stop the other first"
            ) from error
        yield
