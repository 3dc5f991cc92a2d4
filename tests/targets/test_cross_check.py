"""A liteserver asked by tonwatch and by pytoniq: what is said, whatever either of them meets."""

import asyncio
import base64
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.simulator.small_network import NOW, PATIENCE, SmallNetwork, until
from tonwatch.config.secret_files import SecretFiles
from tonwatch.samples.sample import Head
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.system.executors import Threads
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.targets.cross_check import CrossCheck
from tonwatch.targets.kind import Services
from tonwatch.targets.liteserver import second_client
from tonwatch.targets.liteserver.comparison import compare
from tonwatch.targets.liteserver.config import LiteServer as Section
from tonwatch.targets.liteserver.kind import LiteServerKind
from tonwatch.targets.liteserver.second_client import NotAsked, SecondClientFailed
from tonwatch.targets.liteserver.target import OpenLiteServer
from tonwatch.ton.names import AddressInfo, Resolve, addresses_only

pytestmark = pytest.mark.usefixtures("nothing_left")

SHORT: Final = 0.1
"""Seconds to wait for what never comes."""


class Two(SmallNetwork):
    """Two servers of one chain: where they differ, the clients that ask them see that."""

    def __init__(self, threads: Executor) -> None:
        super().__init__()
        self.theirs = self.node
        self.ours = LiteServer("ours", self.chain, foreign=self.foreign, fork=self.fork)
        self.timeout = PATIENCE
        self.threads = threads

    def opened(self, server: LiteServer, resolve: Resolve = addresses_only) -> OpenLiteServer:
        """As the daemon opens it."""
        errors = InternalErrors(wall=time.time, monotonic=time.monotonic)
        files = SecretFiles(self.threads, errors)
        services = Services(resolve, files, lambda: self.timeout, lambda: NOW)
        target = LiteServerKind(services).open(Section.model_validate(server.config()))
        assert isinstance(target, OpenLiteServer)
        return target

    async def by_pytoniq(self) -> Head:
        """What pytoniq sees of its server."""
        return await second_client.head(
            self.theirs.host,
            self.theirs.port,
            lambda: self.theirs.public_key,
            addresses_only,
            timeout=self.timeout,
            threads=self.threads,
        )

    async def compared(
        self, by_pytoniq: Callable[[], Awaitable[Head]], before: Head | None = None
    ) -> CrossCheck:
        """Both servers, each asked by one client."""
        target = self.opened(self.ours)
        try:
            return await compare(target, by_pytoniq, before)
        finally:
            await target.close()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for ten seconds for the answer of a silent server."""
    monkeypatch.setattr("tonwatch.targets.kind._PATIENCE", SHORT)


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    made = Threads("test", 4)
    yield made
    made.shutdown()


@pytest.fixture
async def two(threads: Threads) -> AsyncIterator[Two]:
    made = Two(threads)
    await made.theirs.start()
    await made.ours.start()
    yield made
    await made.theirs.close()
    await made.ours.close()


BOTH_SEE: Final = "pytoniq sees block 80 too"
BOTH_FAIL: Final = "pytoniq cannot use it either: "
SILENT: Final = f"{BOTH_FAIL}no answer within 0.1 s (tonwatch: "

FAULTS: Final = {
    Fault.REFUSE: (None, f"{BOTH_FAIL}Connection refused (tonwatch: connect_refused)"),
    Fault.FLAP: (None, f"{BOTH_FAIL}Connection refused (tonwatch: connect_refused)"),
    Fault.HANG: (None, f"{SILENT}handshake_timeout)"),
    Fault.NOT_SYNCED: (None, f"{SILENT}not_synced)"),
    Fault.UNREACHABLE: (None, f"{SILENT}connect_timeout)"),
    Fault.SLOW_DRIP: (None, SILENT),
    Fault.LOSSY: (1.0, SILENT),
    Fault.SLOW: (0.05, BOTH_SEE),
    Fault.GARBAGE: (
        None,
        f"{BOTH_FAIL}AssertionError: incorrect checksum (tonwatch: protocol_error)",
    ),
    Fault.GIANT_ANSWER: (
        None,
        f"{BOTH_FAIL}ValueError: an answer of 20971520 bytes (tonwatch: answer_too_large)",
    ),
    Fault.WRONG_KEY: (
        None,
        f"{BOTH_FAIL}Connection is closed (tonwatch: handshake_failed)",
    ),
    Fault.DROP_MID_FRAME: (
        None,
        f"{BOTH_FAIL}Connection is closed (tonwatch: connection_lost)",
    ),
    Fault.THROTTLE: (
        None,
        f"{BOTH_FAIL}liteserver error 429: too many requests (tonwatch: rate_limited)",
    ),
    Fault.BAD_PROOF: (
        None,
        f"{BOTH_FAIL}ProofError: Block header proof error: hashes unmatch",
    ),
    Fault.LAG: (20.0, "pytoniq sees block 30 too"),
    Fault.CATCH_UP: (20.0, "pytoniq sees block 30 too"),
    Fault.STEP_BACK: (None, "pytoniq sees block 75 too"),  # two servers in turn
    Fault.WRONG_NETWORK: (None, "pytoniq sees block 7 too"),
    Fault.SHARD_LAG: (None, BOTH_SEE),
    Fault.STALL: (None, BOTH_SEE),
    Fault.FORK: (None, BOTH_SEE),
    Fault.CLOCK_SKEW: (None, BOTH_SEE),
    Fault.FALSE_BALANCE: (None, BOTH_SEE),
    Fault.PRUNE_HISTORY: (None, BOTH_SEE),
    Fault.REJECT_EXTERNALS: (None, BOTH_SEE),
    Fault.REFUSE_NEW: (None, f"{BOTH_FAIL}Connection refused (tonwatch: connect_refused)"),
    Fault.SLOW_CONNECT: (0.05, BOTH_SEE),
    Fault.KEPT_STALE: (None, BOTH_SEE),
    Fault.ACCOUNTS_FAIL: (None, BOTH_SEE),
    Fault.FALSE_TIME: (None, BOTH_SEE),
    Fault.UNDECIDED_EXTERNALS: (None, BOTH_SEE),
    Fault.OUT_QUEUE: (None, BOTH_SEE),
}
"""What is said of one server with each fault; its number, where it is not the default."""


def test_all_faults_are_here() -> None:
    assert set(FAULTS) == LiteServer.supported_faults


@pytest.mark.parametrize("fault", [None, *FAULTS])
async def test_a_fault_of_the_node_is_seen_by_both(
    two: Two, fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    value, words = FAULTS[fault] if fault else (None, BOTH_SEE)
    if fault:
        await two.ours.set_fault(fault, value)
    if words.startswith(SILENT):
        two.timeout = SHORT
    target = two.opened(two.ours)
    try:
        result = await target.cross_check(None, two.threads)
    finally:
        await target.close()
    assert result.agrees, result.detail
    assert result.detail.startswith(words)
    logged = [(record.name, record.levelname) for record in caplog.records]
    assert set(logged) <= {("asyncio", "DEBUG")}, logged
    await until(lambda: not two.ours.connections)


@pytest.mark.parametrize(
    ("theirs", "ours", "before", "words"),
    [
        pytest.param(
            None,
            (Fault.REFUSE, None),
            None,
            "pytoniq sees block 80, tonwatch does not: connect_refused: TCP connection refused",
            id="only tonwatch fails",
        ),
        pytest.param(
            (Fault.REFUSE, None),
            None,
            80,
            "tonwatch can use it, pytoniq cannot: Connection refused",
            id="only pytoniq fails",
        ),
        pytest.param(
            (Fault.GARBAGE, None),
            None,
            80,
            "tonwatch can use it, pytoniq cannot: AssertionError: incorrect checksum",
            id="pytoniq reads other bytes",
        ),
        pytest.param(
            (Fault.WRONG_NETWORK, None),
            None,
            80,
            "pytoniq sees another block 7: ",
            id="another block",
        ),
        pytest.param(
            (Fault.LAG, 20.0), None, 80, "pytoniq sees block 30, tonwatch 80 and then 80", id="old"
        ),
        pytest.param(
            None,
            (Fault.LAG, 20.0),
            30,
            "pytoniq sees block 80, tonwatch does not: ",
            id="one that tonwatch cannot find",
        ),
    ],
)
async def test_they_disagree(
    two: Two,
    theirs: tuple[Fault, float | None] | None,
    ours: tuple[Fault, float | None] | None,
    before: int | None,
    words: str,
) -> None:
    if theirs:
        await two.theirs.set_fault(*theirs)
    if ours:
        await two.ours.set_fault(*ours)
    head = None if before is None else Head(seqno=before, root_hash=bytes(32))
    result = await two.compared(two.by_pytoniq, head)
    assert result.agrees is False
    assert result.detail.startswith(words)


@pytest.mark.parametrize("before", [None, 10, 80, 96, 97, 1000])
async def test_the_chain_may_go_on_and_a_node_may_go_back(two: Two, before: int | None) -> None:
    """What tonwatch saw earlier only widens the range: both clients see where the node is now."""
    head = None if before is None else Head(seqno=before, root_hash=bytes(32))
    assert await two.compared(two.by_pytoniq, head) == CrossCheck(True, BOTH_SEE)


@pytest.mark.parametrize(
    ("seconds", "agrees"),
    [pytest.param(6.4, True, id="16 blocks"), pytest.param(6.8, False, id="17 blocks")],
)
async def test_a_few_blocks_are_no_disagreement(two: Two, seconds: float, agrees: bool) -> None:
    await two.theirs.set_fault(Fault.LAG, seconds)
    assert (await two.compared(two.by_pytoniq)).agrees is agrees


async def test_a_disagreement_counts_when_it_is_seen_twice(two: Two) -> None:
    """As where the node restarts while it is asked."""
    failures = [SecondClientFailed("Connection refused")]

    async def flaky() -> Head:
        if failures:
            raise failures.pop()
        return await two.by_pytoniq()

    assert await two.compared(flaky) == CrossCheck(True, BOTH_SEE)


def resolving(*addresses: str) -> Resolve:
    async def resolve(host: str, port: int) -> list[AddressInfo]:
        assert host == "node.example"
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
        ]

    return resolve


async def failing(host: str, port: int) -> list[AddressInfo]:
    raise socket.gaierror(socket.EAI_NONAME, f"{host} {port}")


async def hanging(host: str, port: int) -> list[AddressInfo]:
    await asyncio.Event().wait()
    raise AssertionError(host, port)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("127.0.0.2", "127.0.0.1")])
async def test_pytoniq_is_given_addresses(
    two: Two, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up outside of our own threads")

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    head = await second_client.head(
        "node.example",
        two.theirs.port,
        lambda: two.theirs.public_key,
        resolving(*addresses),
        timeout=PATIENCE,
        threads=two.threads,
    )
    assert (head.seqno, head.root_hash) == (80, two.chain.head.id.root_hash)


@pytest.mark.parametrize("resolve", [failing, hanging])
async def test_a_name_that_does_not_resolve(two: Two, resolve: Resolve) -> None:
    asking = partial(
        second_client.head,
        "node.example",
        two.theirs.port,
        lambda: two.theirs.public_key,
        resolve,
        timeout=SHORT,
        threads=two.threads,
    )
    with pytest.raises(NotAsked, match="cannot be resolved"):
        await asking()
    assert await two.compared(asking) == CrossCheck(
        None, "not asked: the host's name cannot be resolved"
    )


async def test_a_key_file(two: Two, threads: Threads, tmp_path: Path) -> None:
    path = tmp_path / "liteserver.pub"
    files = SecretFiles(threads, InternalErrors(wall=time.time, monotonic=time.monotonic))
    services = Services(addresses_only, files, lambda: PATIENCE, lambda: NOW)
    section = {**two.ours.config(), "key": None, "key_file": path}
    target = LiteServerKind(services).open(Section.model_validate(section))
    try:
        missing = await target.cross_check(None, threads)
        path.write_bytes(base64.b64encode(two.ours.public_key))
        await files.refresh(PATIENCE)
        there = await target.cross_check(None, threads)
    finally:
        await target.close()
    assert missing is not None
    assert missing.agrees is None
    assert missing.detail.startswith("not asked: ")
    assert there == CrossCheck(True, BOTH_SEE)


async def test_a_client_that_does_not_end(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no thread for it, as where a hostile answer keeps pytoniq's parser busy."""
    monkeypatch.setattr(second_client, "_OVERHEAD", 0.0)
    let_go = threading.Event()
    busy = [two.threads.submit(let_go.wait) for _ in range(4)]
    two.timeout = SHORT
    try:
        with pytest.raises(SecondClientFailed, match=r"did not end within 0\.1 s"):
            await two.by_pytoniq()
    finally:
        let_go.set()
        await asyncio.gather(*map(asyncio.wrap_future, busy))
