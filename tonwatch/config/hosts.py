"""Hosts: validation, canonical spelling, and the address of a local server."""

import ipaddress
import re
import socket
from typing import Annotated, Any, Final

from pydantic import AfterValidator

LOOPBACK: Final = "localhost"
"""The canonical form of all addresses of this machine's loopback."""

_LOOPBACK_NAMES: Final = frozenset(
    {LOOPBACK, "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"}
)
_LOOPBACK_ADDRESSES: Final = {bytes((127, 0, 0, 1)), bytes((*[0] * 15, 1))}
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")

SocketName = tuple[Any, ...]
"""As `socket.getsockname` returns it for IPv4 and for IPv6."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _host(text: str) -> str:
    if "://" in text or "/" in text:
        raise ValueError("write the host alone, without http:// and without a path")
    if re.fullmatch(r"\[.*\]:\d*|[^:]*:\d*", text):
        raise ValueError("write the host alone; the port belongs in port")
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if _address(host) is not None:
        return host
    if ":" in host or "%" in host or host != text:
        raise ValueError("not an IPv6 address")
    name = _in_ascii(host).removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("neither a host's name nor an address")
    if labels[-1].isdecimal():
        raise ValueError("not an IPv4 address")
    return host


def _listening_host(text: str) -> str:
    if text in {"", "*"}:
        return ""
    host = _host(text)
    address = _address(host)
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            raise ValueError(f"nothing can listen there; write {address.ipv4_mapped}")
        if address.is_link_local and address.scope_id is None:
            raise ValueError(f"add the interface: {host}%eth0")
    if address.is_multicast or address == _BROADCAST:
        raise ValueError(
            "no connection can be made to it; write an address of this machine, or 0.0.0.0 for"
            " all of them"
        )
    return host


Host = Annotated[str, AfterValidator(_host)]
"""A host to connect to: a name, or an address; an IPv6 address also in brackets."""

ListeningHost = Annotated[str, AfterValidator(_listening_host)]
"""A host to listen on, as `Host`; empty for all addresses, of IPv4 and IPv6."""


def canonical(host: str) -> str:
    """The canonical spelling of a host; names are not resolved.

    ``localhost``, 127.0.0.1, ::1 and what connects there (0.0.0.0 and ::) are all `LOOPBACK`.
    """
    host = host.removeprefix("[").removesuffix("]").removesuffix(".")
    address = _address(host)
    if address is None:
        name = _in_ascii(host).lower()
        return LOOPBACK if name in _LOOPBACK_NAMES or name.endswith(".localhost") else name
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    own = address.is_unspecified or address.packed in _LOOPBACK_ADDRESSES
    return LOOPBACK if own else str(address)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its spelling."""
    address = _address(canonical(host))
    return canonical(host) == LOOPBACK if address is None else address.is_loopback


def takes_port_of(listening: str, host: str) -> bool:
    """Whether listening on `listening` takes the same port of `host`, if that is this machine."""
    ours, theirs = _address(listening), _address(host)
    if ours is not None and theirs is not None and ours.version != theirs.version:
        return False
    everywhere = ours.is_unspecified if ours is not None else not listening
    return is_loopback(host) if everywhere else canonical(listening) == canonical(host)


def listened_on(host: str, port: int) -> list[tuple[socket.AddressFamily, SocketName]]:
    """The addresses that a server with this `serve.host` listens on. Blocks.

    Raises:
        OSError: the name cannot be resolved.
    """
    # Like asyncio.
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, *_, address in found))


def reached_at(name: SocketName) -> tuple[str, int]:
    """Address and port to connect to from this machine, of a server that listens at `name`."""
    address, port = _numeric(name)
    listening = ipaddress.ip_address(address)
    if listening.is_unspecified:
        # asyncio's servers on :: do not accept IPv4.
        address = "::1" if listening.version == 6 else "127.0.0.1"
    return address, port


def local_url(name: SocketName) -> str:
    """A URL of a server for this machine, by the name of its listening socket."""
    return f"http://{authority(*reached_at(name))}"


def authority(address: str, port: int) -> str:
    """Address and port as in a URL: IPv6 in brackets, its interface escaped (RFC 6874)."""
    return f"[{address.replace('%', '%25')}]:{port}" if ":" in address else f"{address}:{port}"


def _numeric(name: SocketName) -> tuple[str, int]:
    """Address, with its interface where it needs one, and port."""
    address, port = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return address, int(port)


def _address(host: str) -> _Address | None:
    """An address; None for a name. IPv4 in any form that connect() accepts: 127.1, 0x7f000001."""
    if not host.isascii():
        host = _in_ascii(host)
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # inet_aton ignores what follows a space.
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host.split() == [host] else None
    except (OSError, ValueError):
        return None


def _in_ascii(name: str) -> str:
    """The name as DNS has it.

    Raises:
        ValueError: it is not a host name.
    """
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("neither a host's name nor an address") from None
