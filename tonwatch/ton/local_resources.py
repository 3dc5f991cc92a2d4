"""Failures of a connection that are the fault of this machine, not of the peer."""

import errno
import socket
from collections.abc import Iterator
from typing import Final

from tonwatch.ton.errors import ConnectError, Reason

_EXHAUSTED: Final = {
    errno.EMFILE: "this process has no file descriptor left: raise its limit (`ulimit -n`)",
    errno.ENFILE: "this machine has no file descriptor left: raise `fs.file-max`",
    errno.ENOMEM: "this machine has no memory left for a connection",
    errno.ENOBUFS: "this machine has no memory left for network buffers",
    errno.EADDRNOTAVAIL: (
        "this machine has no local port or address left for a connection: close connections, or"
        " widen `net.ipv4.ip_local_port_range`"
    ),
    # So `tonwatch.system.executors` says it, where names are resolved.
    errno.EAGAIN: "this machine cannot start a thread: raise the limit of threads (`ulimit -u`)",
}


def exhausted(error: BaseException | None) -> str | None:
    """What this machine lacks, and what to do, where that caused `error`; None for other causes."""
    for each in _causes(error):
        if isinstance(each, socket.gaierror):
            if each.errno == socket.EAI_MEMORY:
                return _EXHAUSTED[errno.ENOMEM]
        elif isinstance(each, OSError) and each.errno in _EXHAUSTED:
            return _EXHAUSTED[each.errno]
    return None


def raise_exhausted(error: BaseException) -> None:
    """Raise `ConnectError` (``local_resources``) where a lack on this machine caused `error`."""
    if text := exhausted(error):
        raise ConnectError(Reason.LOCAL_RESOURCES, text) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it wraps; a chain may be a circle."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = getattr(error, "os_error", None) or error.__cause__
