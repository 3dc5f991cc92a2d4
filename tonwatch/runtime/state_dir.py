"""The directory that outlives restarts: there, writable, and ours alone."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tonwatch.system.executors import Threads

OPENS_WITHIN: Final = 5.0
"""Seconds that the start waits for the disk."""

_LOCK: Final = "lock"

_LAST_WRITE: Final = 2.0
"""Seconds that what is being written has to become complete at the end."""


class StateDirError(Exception):
    """Nothing can be kept in `state_dir`; the text says why."""


class StateDir:
    """A directory that is ours until it is closed.

    Attributes:
        path: where it is.
        thread: reads and writes in it, one file after another. It is of this directory alone: a
            disk that hangs holds up no other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread = Threads("checkpoints", 1)
        self._holding = held(path)

    async def open(self) -> None:
        """Take it.

        Raises:
            StateDirError: it cannot be used, or its disk does not answer.
        """
        taken = asyncio.get_running_loop().run_in_executor(self.thread, self._holding.__enter__)
        try:
            async with asyncio.timeout(OPENS_WITHIN):
                await taken
        except TimeoutError:
            self._release()
            raise StateDirError(
                f"the disk of state_dir {self.path} does not answer; see whether its volume hangs"
            ) from None
        except StateDirError:
            self.thread.shutdown()
            raise

    async def close(self) -> None:
        """Let others have it, once what was being written is complete.

        A write that takes longer than we wait for keeps it until it has ended.
        """
        await asyncio.wait({asyncio.wrap_future(self._release())}, timeout=_LAST_WRITE)

    def _release(self) -> Future[bool | None]:
        # The one thread takes calls in turn: with this one, what was being saved is complete.
        released = self.thread.submit(self._holding.__exit__, None, None, None)
        self.thread.shutdown(cancel_futures=False)
        return released


@contextmanager
def held(state_dir: Path) -> Iterator[None]:
    """Keep `state_dir` for ourselves, made where it is missing; others are refused meanwhile.

    Blocks for as long as the disk does. Two that count the same payouts into the same files
    would each undo what the other has counted.

    Raises:
        StateDirError: it cannot be written to, or somebody else holds it.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state_dir) as file:
            file.write(b"tonwatch")
            file.flush()
            os.fsync(file.fileno())
        # Not to be waited for, should it be a named pipe.
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.fdopen(os.open(state_dir / _LOCK, flags, 0o666), "r+b", buffering=0)
    except OSError as error:
        raise StateDirError(
            f"cannot write to state_dir {state_dir}: {error.strerror or error}; give it a"
            " directory that this user may write to, on a volume with room"
        ) from error
    with lock:
        try:
            # Ends with the process, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateDirError(
                f"state_dir {state_dir} is used by another tonwatch; give each one a directory of"
                " its own, or stop the other first"
            ) from error
        yield
