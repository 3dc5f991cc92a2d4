"""Hosts: valid ones, and which spellings are equal."""

import socket
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tonwatch.config import hosts
from tonwatch.config.hosts import Host, ListeningHost, canonical


@pytest.mark.parametrize(
    ("host", "same"),
    [
        ("node", "NODE"),
        ("node.example", "node.example."),
        ("bücher.example", "xn--bcher-kva.example"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
        ("10.0.0.1", "10.1"),
        ("10.0.0.1", "0x0a000001"),
        ("10.0.0.1", "１０.0.0.1"),  # noqa: RUF001 - digits that are looked up as 10
        ("2001:db8::1", "2001:0DB8:0:0::0001"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("localhost", "127.0.0.1"),
        ("localhost", "::1"),
        ("localhost", "[::1]"),
        ("localhost", "LocalHost."),
        ("localhost", "ip6-localhost"),
        ("localhost", "::ffff:127.0.0.1"),
        ("localhost", "0.0.0.0"),
        ("localhost", "::"),
        ("localhost", "::1%lo"),
        ("localhost", "node.localhost"),
    ],
)
def test_spellings_of_one_host(host: str, same: str) -> None:
    assert canonical(host) == canonical(same)


@pytest.mark.parametrize(
    ("host", "other"),
    [
        ("node", "node.example"),
        ("127.0.0.1", "127.0.0.2"),
        ("10.0.0.1", "10.0.0.10"),
        ("fe80::1%eth0", "fe80::1%eth1"),
    ],
)
def test_other_hosts(host: str, other: str) -> None:
    assert canonical(host) != canonical(other)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_loopback(host: str) -> None:
    assert hosts.is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "fe80::1", "node", "localhost.example"])
def test_not_loopback(host: str) -> None:
    assert not hosts.is_loopback(host)


@pytest.mark.parametrize(
    ("kind", "host", "words"),
    [
        (Host, "", "neither a host's name nor an address"),
        (Host, "a b", "neither"),
        (Host, " node", "neither"),
        (Host, "a..b", "neither"),
        (Host, "a\0b", "neither"),
        (Host, "-node", "neither"),
        (Host, "n" * 64, "neither"),
        (Host, "bücher..example", "neither"),
        (Host, ".".join(["n" * 60] * 5), "neither"),
        (Host, "node:40001", "the port belongs in port"),
        (Host, "[::1]:40001", "the port belongs in port"),
        (Host, "http://node", "without http://"),
        (Host, "node/path", "without a path"),
        (Host, "[node]", "not an IPv6 address"),
        (Host, "::12345", "not an IPv6 address"),
        (Host, "10.0.0.256", "not an IPv4 address"),
        (Host, "10.0.0.1.", "not an IPv4 address"),
        (ListeningHost, "a..b", "neither"),
        (ListeningHost, "0.0.0.0:9717", "the port belongs in port"),
        (ListeningHost, "http://0.0.0.0", "without http://"),
        (ListeningHost, "::ffff:0.0.0.0", "write 0.0.0.0"),
        (ListeningHost, "fe80::1", "add the interface: fe80::1%eth0"),
        (ListeningHost, "ff02::1", "no connection can be made to it"),
        (ListeningHost, "224.0.0.1", "no connection can be made to it"),
        (ListeningHost, "255.255.255.255", "no connection can be made to it"),
    ],
)
def test_mistakes(kind: Any, host: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(host)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "host", "taken"),
    [
        (Host, "node_1.ton.svc.cluster.local.", "node_1.ton.svc.cluster.local."),
        (Host, "[2001:db8::1]", "2001:db8::1"),
        (Host, "fe80::1%eth0", "fe80::1%eth0"),
        (Host, "bücher.example", "bücher.example"),
        (ListeningHost, "[::]", "::"),
        (ListeningHost, "", ""),
        (ListeningHost, "*", ""),
        (ListeningHost, "fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_accepted(kind: Any, host: str, taken: str) -> None:
    assert TypeAdapter(kind).validate_python(host) == taken


@pytest.mark.parametrize(
    ("name", "url"),
    [
        (("0.0.0.0", 9717), "http://127.0.0.1:9717"),
        (("::", 9717, 0, 0), "http://[::1]:9717"),
        (("10.0.0.1", 9717), "http://10.0.0.1:9717"),
        (("2001:db8::1", 9717, 0, 0), "http://[2001:db8::1]:9717"),
        (("fe80::1", 9717, 0, socket.if_nametoindex("lo")), "http://[fe80::1%25lo]:9717"),
    ],
)
def test_where_a_server_here_is_reached(name: hosts.SocketName, url: str) -> None:
    assert hosts.local_url(name) == url
