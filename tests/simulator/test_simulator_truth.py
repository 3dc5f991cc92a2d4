"""The oracle of what users get agrees with what clients get over sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any, TypeVar

import aiohttp
import pytest

from tests import virtual_time
from tests.virtual_time import VirtualLoop
from tonwatch.simulator.faults.fault import Fault, parse_faults
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.servers.base import SimulatedServer
from tonwatch.simulator.servers.http_provider import HttpProvider
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.simulator.truth import Served, served
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.errors import TonError
from tonwatch.ton.liteserver import tl

PATIENCE = 8.0
MOST = 1_000_000
"""Bytes of an answer that a client reads."""
BLOCK = 0.4
"""Seconds from block to block; there are some at all multiples of it."""
BEFORE, SETTLED = 1.0, 1.2
"""Seconds until the faults begin, and for how long they have lasted when users are served."""

HEALTHY = Served(
    reachable=True,
    kept=True,
    connect_seconds=0.0,
    answers=True,
    lost=0.0,
    answer_seconds=0.0,
    head_age=0.2,
    kept_head_age=0.2,
    behind=0.0,
    accounts="now",
    messages=True,
    history=None,
    truthful=True,
    clock_error=0.0,
    authorized=True,
    throttled=False,
)

NODE, PROVIDER = "node-1", "provider-1"
BOTH = (NODE, PROVIDER)
OLD = {"head_age": 20.2, "kept_head_age": 20.2, "behind": 20.0}
NONE = {"kept": False, "answers": False}
UNREACHABLE = {"reachable": False, **NONE}

CASES: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (BOTH, "", {}),
    (BOTH, "refuse", UNREACHABLE),
    (BOTH, "unreachable", UNREACHABLE),
    (BOTH, "flap:30", UNREACHABLE),
    (BOTH, "flap:0.7", {"kept": False}),
    ((NODE,), "wrong_key", UNREACHABLE),
    ((NODE,), "hang", UNREACHABLE),
    ((PROVIDER,), "hang", NONE),
    ((NODE,), "not_synced", NONE),
    (BOTH, "garbage", NONE),
    (BOTH, "drop_mid_frame", NONE),
    (BOTH, "giant_answer", NONE),
    ((PROVIDER,), "bad_json", NONE),
    (BOTH, "lossy:1", {**NONE, "lost": 1.0}),
    (BOTH, "refuse_new", {"reachable": False}),
    (BOTH, "slow:1.5", {"answer_seconds": 1.5}),
    (BOTH, "slow_drip:0.001", {"answer_seconds": 0.2}),
    (BOTH, "slow_connect:3", {"connect_seconds": 3.0}),
    (BOTH, "throttle", {"throttled": True}),
    ((PROVIDER,), "unauthorized", {"authorized": False}),
    (BOTH, "lag:20", OLD),
    (BOTH, "lag:20 + slow:1.5", {**OLD, "answer_seconds": 1.5}),
    (BOTH, "step_back:50", OLD),
    (BOTH, "catch_up:23.5", OLD),
    (BOTH, "stall", {"head_age": 1.4, "kept_head_age": 1.4, "behind": 1.2}),
    (BOTH, "kept_stale", {"kept_head_age": 1.4}),
    (BOTH, "shard_lag:50", {"accounts": 20.2}),
    (BOTH, "shard_lag:25 + lag:10", {**dict.fromkeys(OLD, 10.2), "behind": 10.0, "accounts": 20.2}),
    (BOTH, "accounts_fail", {"accounts": None}),
    (BOTH, "reject_externals", {"messages": False}),
    (BOTH, "undecided_externals", {"messages": False}),
    ((NODE,), "out_queue", {"messages": False}),
    ((NODE,), "out_queue:7000", {}),
    (BOTH, "clock_skew:-9", {"clock_error": -9.0}),
    (BOTH, "false_time", {"truthful": False}),
    (BOTH, "false_balance", {"truthful": False}),
    ((NODE,), "bad_proof", {"truthful": False}),
    (BOTH, "fork", {"truthful": False}),
    (
        BOTH,
        "wrong_network",
        {"truthful": False, "head_age": 0.4, "kept_head_age": 0.4, "behind": 0.2},
    ),
    (BOTH, "prune_history", {"history": 60.0}),
]
PARAMETERS = [
    pytest.param(name, text, says, id=f"{name} {text}")
    for names, text, says in CASES
    for name in names
]


def test_every_fault_is_here() -> None:
    simulator = Simulator(backfill=1)
    for name in BOTH:
        here = {
            fault
            for names, text, _ in CASES
            if name in names and text
            for fault, _ in parse_faults(text)
        }
        assert here == set(simulator.target(name).supported)


T = TypeVar("T")


def play(
    name: str,
    faults: str,
    use: Callable[[Simulator, SimulatedServer, Awaitable[None]], Awaitable[T]],
) -> T:
    """Use a server; the awaitable sets the faults and waits until they have settled."""

    async def main(loop: VirtualLoop) -> T:
        simulator = Simulator(liteservers=1, backfill=30, clock=loop.wall)
        server = simulator.target(name)
        assert isinstance(server, SimulatedServer)

        async def begin() -> None:
            wanted = parse_faults(faults) if faults else []
            await server.set_faults(*(server.check(*each) for each in wanted))
            await asyncio.sleep(SETTLED)

        async with simulator:
            await asyncio.sleep(BEFORE)
            return await use(simulator, server, begin())

    return virtual_time.run(main)


@pytest.mark.parametrize(("name", "faults", "says"), PARAMETERS)
def test_the_oracle(name: str, faults: str, says: dict[str, Any]) -> None:
    async def use(simulator: Simulator, server: SimulatedServer, begin: Awaitable[None]) -> Served:
        await begin
        return served(server, simulator)

    found = asdict(play(name, faults, use))
    expected = asdict(replace(HEALTHY, **says))
    numbers = {key for key, value in expected.items() if isinstance(value, float)}
    assert {key: found[key] for key in numbers} == pytest.approx(
        {key: expected[key] for key in numbers}, abs=0.01
    )
    assert {key: found[key] for key in found.keys() - numbers} == {
        key: expected[key] for key in expected.keys() - numbers
    }


# Clients.


class Client:
    """Sees what a server serves, over one connection.

    Args:
        server: a liteserver or a provider.
    """

    def __init__(self, server: SimulatedServer) -> None:
        self._server = server
        self._connection: AdnlConnection | None = None
        self._session: aiohttp.ClientSession | None = None
        self._opened = 0

    async def connect(self) -> bool:
        """Whether a connection is established."""
        if isinstance(self._server, LiteServer):
            server = self._server
            try:
                self._connection = await AdnlConnection.open(
                    server.host, server.port, server.public_key, timeout=PATIENCE
                )
            except TonError:
                return False
            return True
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._count)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=1000),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
            trace_configs=[trace],
        )
        try:
            async with asyncio.timeout(PATIENCE):
                _, writer = await asyncio.open_connection(self._server.host, self._server.port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def ages(self, age: Callable[[int], float]) -> list[float] | None:
        """Ages of two heads when they came, from their seqnos.

        An empty list where answers say no, None where there are none on this one connection.
        """
        try:
            ages = [age(await self._head()) for _ in range(2)]
        except Refused:
            return []
        except (TonError, aiohttp.ClientError, TimeoutError, ValueError):
            return None
        return ages if self._opened <= 1 else None

    async def account(self) -> int | None:
        """Seqno of the block with an account's state; None where there is none."""
        if isinstance(self._server, LiteServer):
            last = await self._ask("getMasterchainInfoExt", mode=1)
            account = {"workchain": 0, "id": "77" * 32}
            state = await self._ask("getAccountState", id=last["last"], account=account)
            return state["id"]["seqno"] if "id" in state else None
        status, answer = await self._get(f"getAddressInformation?address=0:{'77' * 32}")
        return answer["result"]["block_id"]["seqno"] if status == 200 else None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        if self._session is not None:
            await self._session.close()

    async def _count(self, *_: object) -> None:
        self._opened += 1

    async def _head(self) -> int:
        if isinstance(self._server, LiteServer):
            answer = await self._ask("getMasterchainInfo")
            if "code" in answer:
                raise Refused
            return int(answer["last"]["seqno"])
        status, answer = await self._get("getMasterchainInfo")
        if status != 200:
            raise Refused
        return int(answer["result"]["last"]["seqno"])

    async def _ask(self, function: str, **arguments: Any) -> tl.Fields:
        assert self._connection is not None
        reply = await self._connection.query(tl.encode_query(function, arguments), PATIENCE)
        fields, _ = tl.lite_api().deserialize(reply.body)
        assert isinstance(fields, dict)
        return fields

    async def _get(self, method: str) -> tuple[int, Any]:
        assert self._session is not None
        assert isinstance(self._server, HttpProvider)
        async with self._session.get(f"{self._server.url}/{method}") as response:
            body = b""
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MOST:
                    raise ValueError("an answer without end")
            return response.status, json.loads(body)


class Refused(Exception):
    """The answer is well-formed and says no."""


@pytest.mark.parametrize(("name", "faults", "_"), PARAMETERS)
def test_clients_get_the_same(name: str, faults: str, _: dict[str, Any]) -> None:
    async def use(simulator: Simulator, server: SimulatedServer, begin: Awaitable[None]) -> None:
        kept, new = Client(server), Client(server)
        assert await kept.connect()

        def age(seqno: int) -> float:
            block = server.chain.block(seqno)
            assert block is not None
            return simulator.chain.clock() - block.produced

        assert await kept.ages(age)
        await begin
        simulator.chain.stalled = simulator.foreign.stalled = True
        ages, expected = await kept.ages(age), served(server, simulator)
        assert (ages is not None) == expected.kept
        if ages:
            assert max(ages) == pytest.approx(expected.kept_head_age, abs=BLOCK)
        assert await new.connect() == expected.reachable
        if expected.reachable:
            ages, expected = await new.ages(age), served(server, simulator)
            assert (ages is not None) == expected.answers
            assert (ages == []) == (expected.throttled or not expected.authorized)
            if ages:
                assert max(ages) == pytest.approx(expected.head_age, abs=BLOCK)
            # Where two backends answer in turn, the second does not know the first one's block.
            if ages and not server.has_fault(Fault.STEP_BACK):
                seqno, expected = await new.account(), served(server, simulator)
                assert (seqno is None) == (expected.accounts is None)
                if isinstance(expected.accounts, float):
                    assert seqno is not None
                    assert age(seqno) == pytest.approx(expected.accounts, abs=BLOCK)
        await kept.close()
        await new.close()

    play(name, faults, use)
