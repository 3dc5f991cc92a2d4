"""The directory that outlives restarts: there, writable, and ours alone."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"


class StateDirError(Exception):
    """Nothing can be kept in `state_dir`; the text says why."""


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
