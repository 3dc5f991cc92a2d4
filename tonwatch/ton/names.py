"""Host names: looked up in threads, each name in one at a time however often it is asked for."""

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
    """Reads an address and asks nobody: a name is an error.

    Raises:
        OSError: `host` is no address.
    """
    return _found(host, port, socket.AI_NUMERICHOST)


class Names:
    """Looks names up. Whoever asks for a name that is being looked up waits for that answer.

    A name server that is silent keeps a thread for as long as the C library is patient, which is
    far longer than any probe. So names that were slow the last time have threads of their own,
    where they can only wait for each other.

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
        """The addresses of a host, each with `port`. Whoever gives up stops nobody else's lookup.

        Raises:
            OSError, UnicodeError: there are none.
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
        """Wait for no answer any more."""
        for running in list(self._running.values()):
            running.cancel()

    def _begin(self, name: str) -> asyncio.Future[list[AddressInfo]]:
        threads = self._slow if name in self._slow_names else self._quick
        running = asyncio.get_running_loop().run_in_executor(threads, self._timed, name)
        self._running[name] = running

        def ended(future: asyncio.Future[list[AddressInfo]]) -> None:
            del self._running[name]
            if not future.cancelled():
                future.exception()  # everybody who asked may have given up

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
    return _found(name, 0, socket.AI_ADDRCONFIG)


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
