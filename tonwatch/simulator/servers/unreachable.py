"""A port that loses packets, without root and without a firewall.

The kernel drops SYN packets for a listener whose accept queue is full. A backlog
of 0 holds one connection; a connection from here fills it and is never accepted.
Clients wait for an answer until their own timeout.
"""

import errno
import socket
from typing import Final

_ATTEMPTS: Final = 8
"""Connections that may fit; Linux takes one with a backlog of 0, others round up."""


class UnreachablePort:
    """Loses connection attempts until `close`.

    Args:
        host: address to listen on.
        port: port to listen on; nothing else may listen there.

    Raises:
        OSError: the port is taken, or this kernel answers however full the queue is.
    """

    def __init__(self, host: str, port: int) -> None:
        # The listener is closed first: that resets the connections in its queue.
        self._sockets = [socket.create_server((host, port), backlog=0)]
        for _ in range(_ATTEMPTS):
            filler = socket.socket()
            self._sockets.append(filler)
            filler.setblocking(False)
            filler.connect_ex((host, port))
            # A second call says whether the first SYN was answered.
            if filler.connect_ex((host, port)) == errno.EALREADY:
                return
        self.close()
        raise OSError(errno.ENOTSUP, "this kernel does not drop connections over the backlog")

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets.clear()
