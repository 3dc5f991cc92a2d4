"""The lock of the state directory."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = "lock"
"""A folder with the file that is locked. Versions that kept a file for each account lock a file of
this name: a folder in its place makes them refuse to start, rather than count anew."""

_HELD: Final = "held"


class StateDirError(Exception):
    """`state_dir` cannot be used; the text says why."""


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Lock `state_dir`, and create it where it is missing.

    Blocks for as long as the disk does. Two processes that count the same payouts into the same
    database would overwrite each other's checkpoints.

    Raises:
        StateDirError: it cannot be written to, or is locked.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state_dir) as file:
            file.write(b"tonwatch")
            file.flush()
            os.fsync(file.fileno())
        _replace_older(state_dir)
        lock = os.open(state_dir / LOCK / _HELD, _FLAGS, 0o666)
    except OSError as error:
        raise StateDirError(
            f"cannot write to state_dir {state_dir}: {error.strerror or error}; give it a"
            " directory that this user may write to, on a volume with room"
        ) from error
    try:
        _acquire(lock, state_dir)
        yield
    finally:
        os.close(lock)


# O_NONBLOCK: it may be a named pipe.
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC


def _replace_older(state_dir: Path) -> None:
    """Put the folder in the place of an older version's lock.

    Raises:
        OSError: it cannot be replaced.
        StateDirError: an older version has it.
    """
    older = state_dir / LOCK
    if older.is_dir():
        return
    lock = os.open(older, _FLAGS, 0o666)
    try:
        _acquire(lock, state_dir)
        older.unlink()
        # Where another one starts at this moment its file is there: that one is then told so.
        older.mkdir()
    finally:
        os.close(lock)


def _acquire(lock: int, state_dir: Path) -> None:
    try:
        # Released when the process ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StateDirError(
            f"state_dir {state_dir} is used by another tonwatch; give each one a directory of"
            " its own, or stop the other first"
        ) from error
