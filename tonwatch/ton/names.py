"""Host name resolution in threads, with at most one lookup of a name at a time."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Final

SLOW: Final = 2.0
"""Seconds after which a name counts as slow, until it is looked up faster."""

SocketAddress = tuple[str, int] | tuple[str, int, int, int]

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, SocketAddress]
"""As `socket.getaddrinfo` returns it."""

Resolve = Callable[[str, int], Awaitable[list[AddressInfo]]]
"""Finds the addresses of a host, each with the port; raises OSError or UnicodeError."""


async def addresses_only(host: str, port: int) -> list[AddressInfo]:
    """Parse a numeric address without DNS: a name is an error.

    Raises:
        OSError: `host` is not an address.
    """
    return _found(host, port, socket.AI_NUMERICHOST)


class Names:
    """Resolves names; concurrent requests for one name share its lookup.

    A name server that does not answer blocks a thread until the C library times out, which takes
    far longer than any probe. So names that were slow the last time have threads of their own,
    where they can only delay each other.

    Args:
        quick: threads for all other names.
        slow: threads for names that were slow.
        lookup: finds the addresses of a host, with the port 0; blocks.
    """

    def __init__(
        self,
        quick: Executor,
        slow: Executor,
        lookup: Callable[[str], list[AddressInfo]] | None = None,
    ) -> None:
        self._quick = quick
        self._slow = slow
        self._lookup = lookup or _look_up
        self._slow_names: set[str] = set()
        self._running: dict[str, asyncio.Future[list[AddressInfo]]] = {}

    async def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """The addresses of a host, each with `port`. Cancelling does not stop a shared lookup.

        Raises:
            OSError, UnicodeError: it cannot be resolved.
        """
        if _is_address(host):
            return await addresses_only(host, port)
        name = host.lower()
        running = self._running.get(name)
        if running is None:
            running = self._begin(name)
        return [
            (family, kind, protocol, canonical, _with_port(address, port))
            for family, kind, protocol, canonical, address in await asyncio.shield(running)
        ]

    def close(self) -> None:
        """Cancel all pending lookups."""
        for running in list(self._running.values()):
            running.cancel()

    def _begin(self, name: str) -> asyncio.Future[list[AddressInfo]]:
        threads = self._slow if name in self._slow_names else self._quick
        running = asyncio.get_running_loop().run_in_executor(threads, self._timed, name)
        self._running[name] = running

        def ended(future: asyncio.Future[list[AddressInfo]]) -> None:
            del self._running[name]
            if not future.cancelled():
                future.exception()  # every waiter may have been cancelled

        running.add_done_callback(ended)
        return running

    def _timed(self, name: str) -> list[AddressInfo]:
        began = time.monotonic()
        try:
            return self._lookup(name)
        finally:
            slow = time.monotonic() - began >= SLOW
            (self._slow_names.add if slow else self._slow_names.discard)(name)


def _look_up(name: str) -> list[AddressInfo]:
    try:
        return _found(name, 0, socket.AI_ADDRCONFIG)
    except socket.gaierror:
        # Without a descriptor the C library says that the name is not known, or try again.
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        raise


def _found(host: str, port: int, flags: int) -> list[AddressInfo]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(found)  # type: ignore[arg-type]  # typeshed also allows the numeric form


def _with_port(address: SocketAddress, port: int) -> SocketAddress:
    return (address[0], port) if len(address) == 2 else (address[0], port, *address[2:])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
