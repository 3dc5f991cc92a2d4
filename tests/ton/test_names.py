"""DNS names: concurrent lookups share one query, and slow names delay only each other."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tonwatch.system.executors import Threads
from tonwatch.ton.names import AddressInfo, Names, addresses_only

QUICK, SLOW = 16, 4


class Server:
    """A name server that does not answer some names until released."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.threads: set[str] = set()
        self.let_go = threading.Event()

    def __call__(self, name: str) -> list[AddressInfo]:
        self.asked.append(name)
        self.threads.add(threading.current_thread().name)
        if name in self.silent:
            self.let_go.wait()
        if name.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 7)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
        ]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.let_go.set()


@pytest.fixture
async def names(server: Server) -> Any:
    quick, slow = Threads("quick", QUICK), Threads("slow", SLOW)
    made = Names(quick, slow, server)
    yield made
    made.close()
    quick.shutdown()
    slow.shutdown()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_addresses_have_the_port_that_was_asked_for(names: Names) -> None:
    found = await names.resolve("name.example", 40001)
    assert [address for *_, address in found] == [("fe80::1", 40001, 0, 7), ("192.0.2.1", 40001)]


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", ("127.0.0.1", 5)), ("::1", ("::1", 5, 0, 0)), ("0.0.0.0", ("0.0.0.0", 5))],
)
async def test_an_address_needs_no_lookup(
    names: Names, server: Server, host: str, address: Any
) -> None:
    assert [found[-1] for found in await names.resolve(host, 5)] == [address]
    assert server.asked == []


async def test_without_a_resolver_a_name_is_an_error() -> None:
    with pytest.raises(socket.gaierror):
        await addresses_only("localhost", 1)


async def test_names_not_found(names: Names) -> None:
    with pytest.raises(socket.gaierror, match="not known"):
        await names.resolve("unknown.example", 1)


async def test_a_slow_name_takes_one_thread_however_often_it_is_asked(
    names: Names, server: Server
) -> None:
    server.silent = {"slow.example"}
    asked = [
        asyncio.create_task(names.resolve(host, port))
        for port in range(50)
        for host in ("slow.example", "SLOW.example")
    ]
    await until(lambda: server.asked)
    assert [await names.resolve(f"good-{n}.example", 1) for n in range(QUICK)]
    assert server.asked.count("slow.example") == 1
    server.let_go.set()
    for port, found in zip(range(50), (await asyncio.gather(*asked))[::2], strict=True):
        assert found[0][-1][1] == port


async def test_a_cancelled_lookup_does_not_cancel_the_others(names: Names, server: Server) -> None:
    server.silent = {"slow.example"}
    first, second = (asyncio.create_task(names.resolve("slow.example", n)) for n in (1, 2))
    await until(lambda: server.asked)
    first.cancel()
    await asyncio.wait({first})
    server.let_go.set()
    assert (await second)[0][-1][1] == 2
    assert server.asked == ["slow.example"]


async def test_slow_names_delay_only_each_other(
    names: Names, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tonwatch.ton.names.SLOW", 0.0)
    bad = [f"bad-{number}.example" for number in range(100)]
    await asyncio.gather(*(names.resolve(name, 1) for name in bad))
    monkeypatch.setattr("tonwatch.ton.names.SLOW", 60.0)
    server.silent = set(bad)
    server.threads.clear()
    asked = [asyncio.create_task(names.resolve(name, 1)) for name in bad]
    await until(lambda: len(server.asked) == len(bad) + SLOW)
    for number in range(3 * QUICK):
        assert await names.resolve(f"good-{number}.example", 1)
    server.let_go.set()
    await asyncio.gather(*asked)
    # Those were quick: they are like all others again.
    server.threads.clear()
    await names.resolve(bad[0], 1)
    assert server.threads == {"tonwatch-quick"}


async def test_hundreds_of_unanswered_names_do_not_delay_a_good_one(
    server: Server,
) -> None:
    """With as many threads as the daemon has."""
    from tonwatch.system import executors

    server.silent = {f"bad-{number}.example" for number in range(250)}
    async with executors.running() as threads:
        threads.names._lookup = server
        asked = [asyncio.create_task(threads.names.resolve(name, 1)) for name in server.silent]
        async with asyncio.timeout(10):
            assert await threads.names.resolve("good.example", 1)
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_shutdown_waits_for_no_answer(names: Names, server: Server) -> None:
    server.silent = {"slow.example"}
    asked = asyncio.create_task(names.resolve("slow.example", 1))
    await until(lambda: server.asked)
    names.close()
    with pytest.raises(asyncio.CancelledError):
        await asked
