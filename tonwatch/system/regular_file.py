"""Reads small files that others write; never blocks on pipes or devices."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegular(ValueError):
    """The path is not a regular file; the text says what it is."""


def read(path: Path, limit: int) -> bytes:
    """The content of a regular file. Blocks for as long as the disk does.

    Args:
        path: the file.
        limit: maximum size, bytes.

    Raises:
        OSError: it cannot be read.
        NotRegular: it is not a regular file.
        ValueError: it is larger. No text quotes the content.
    """
    # Do not block on a pipe without a writer, nor acquire a controlling terminal.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        _ensure_regular(os.fstat(descriptor).st_mode)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content


def ensure_regular_or_missing(path: Path) -> None:
    """Check whether a path may be replaced by a file.

    Raises:
        OSError: unknown.
        NotRegular: it is not a regular file.
    """
    with suppress(FileNotFoundError):
        _ensure_regular(path.stat().st_mode)


def _ensure_regular(mode: int) -> None:
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        raise NotRegular(f"{_KINDS.get(kind, 'something else')} where a file is expected")
