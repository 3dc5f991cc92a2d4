"""Reads small files that somebody else puts there: whatever stands there, reading it ends."""

import os
import stat
from pathlib import Path
from typing import Final

_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read(path: Path, limit: int) -> bytes:
    """The content of a regular file. Blocks for as long as the disk does.

    Args:
        path: the file.
        limit: bytes that it may have.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, or larger; the text says which and quotes nothing.
    """
    # Opening a pipe would wait for somebody to write into it; a terminal would become ours.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            raise ValueError(f"{_KINDS.get(kind, 'something else')} where a file is expected")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content
