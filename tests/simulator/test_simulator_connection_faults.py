"""Faults that new connections have and open ones do not, and the other way round."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests import virtual_time
from tests.simulator.small_network import (
    NOW,
    PATIENCE,
    SmallNetwork,
    a_connection,
    connect,
    info,
    pick,
    small_network,
)
from tests.virtual_time import VirtualLoop
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.simulator.servers.base import SimulatedServer
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.errors import Reason

KINDS = ["node", "provider"]


class KeptClient:
    """One connection to a server, which stays open."""

    def __init__(self, it: SmallNetwork, kind: str) -> None:
        self._it = it
        self._kind = kind
        self._connection: AdnlConnection | None = None
        self._session: aiohttp.ClientSession | None = None

    async def seqno(self) -> int:
        if self._kind == "node":
            if self._connection is None:
                self._connection = await connect(self._it.node)
            return int((await info(self._connection))["last"]["seqno"])
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=1000)
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        async with self._session.get(f"{self._it.provider.url}/getMasterchainInfo") as response:
            return int((await response.json())["result"]["last"]["seqno"])

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        if self._session is not None:
            await self._session.close()


NewClient = Callable[[], KeptClient]


def play(
    kind: str, scene: Callable[[SmallNetwork, SimulatedServer, NewClient], Awaitable[None]]
) -> None:
    async def main(_: VirtualLoop) -> None:
        clients: list[KeptClient] = []

        def client() -> KeptClient:
            clients.append(KeptClient(it, kind))
            return clients[-1]

        async with small_network() as it:
            await scene(it, pick(it, kind), client)
            for each in clients:
                await each.close()

    virtual_time.run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_refuse_new(kind: str) -> None:
    async def scene(it: SmallNetwork, target: SimulatedServer, client: NewClient) -> None:
        kept = client()
        assert await kept.seqno() == 80
        await target.set_fault(Fault.REFUSE_NEW)
        with pytest.raises(Exception, match=r"refused|Cannot connect"):
            await client().seqno()
        it.chain.advance()
        assert await kept.seqno() == 81, "and it is fresh"
        await target.clear_faults()
        assert await client().seqno() == 81

    play(kind, scene)


@pytest.mark.parametrize("kind", KINDS)
def test_kept_stale(kind: str) -> None:
    async def scene(it: SmallNetwork, target: SimulatedServer, client: NewClient) -> None:
        before = client()
        assert await before.seqno() == 80
        await target.set_fault(Fault.KEPT_STALE)
        after = client()
        it.chain.advance(5)
        assert [await before.seqno(), await after.seqno()] == [80, 85]
        await target.set_faults(target.check(Fault.KEPT_STALE), target.check(Fault.SLOW, 0))
        it.chain.advance(5)
        assert [await before.seqno(), await after.seqno()] == [80, 90], "it goes on"
        await target.clear_faults()
        assert [await before.seqno(), await after.seqno()] == [90, 90]

    play(kind, scene)


@pytest.mark.parametrize("kind", KINDS)
def test_slow_connect(kind: str) -> None:
    async def scene(_: SmallNetwork, target: SimulatedServer, client: NewClient) -> None:
        loop = asyncio.get_running_loop()

        async def seconds(asked: KeptClient) -> float:
            began = loop.time()
            await asked.seqno()
            return round(loop.time() - began, 3)

        kept = client()
        assert await seconds(kept) == 0
        await target.set_fault(Fault.SLOW_CONNECT, 2)
        new = client()
        assert [await seconds(kept), await seconds(new), await seconds(new)] == [0, 2, 0]
        await target.clear_faults()
        assert await seconds(client()) == 0

    play(kind, scene)


def test_a_handshake_that_is_late_is_not_answered_by_a_node_that_hangs_meanwhile() -> None:
    async def main(loop: VirtualLoop) -> Reason:
        async with small_network() as it:
            await it.node.set_fault(Fault.SLOW_CONNECT, 2)
            opening = loop.create_task(a_connection(it.node, 4))
            await asyncio.sleep(1)
            await it.node.set_fault(Fault.HANG)
            return await opening

    assert virtual_time.run(main) is Reason.HANDSHAKE_TIMEOUT


@pytest.mark.parametrize("closed", [Fault.REFUSE, Fault.REFUSE_NEW, Fault.UNREACHABLE], ids=str)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_flaps_and_is_closed_stays_closed(kind: str, closed: Fault) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        await target.set_faults(ActiveFault(Fault.FLAP, 0.01), ActiveFault(closed, 0.0))
        assert target._flapping is None
        assert target._listener is None


@pytest.mark.parametrize("kind", KINDS)
async def test_several_faults_at_once(kind: str) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        client = KeptClient(it, kind)
        await target.set_faults(
            target.check(Fault.LAG, 20), target.check(Fault.STALL), target.check(Fault.LOSSY, 0)
        )
        it.clock.now += 4
        it.chain.advance()
        assert await client.seqno() == 30, "it lags, and has stalled there"
        assert [str(active) for active in target.faults] == ["lag:20", "stall", "lossy:0"]
        with pytest.raises(ValueError, match="lag is there twice"):
            await target.set_faults(target.check(Fault.LAG, 20), target.check(Fault.LAG, 30))
        await target.set_fault(Fault.LAG, 12)
        assert await client.seqno() == 59 + 1, "one fault replaces all"
        await client.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_faults_go_on_while_others_come_and_go(kind: str) -> None:
    async with small_network() as it:
        target = pick(it, kind)
        other = target.check(Fault.LOSSY, 0)
        for fault, value, seen in (
            (Fault.STALL, None, [80, 80, 80]),
            (Fault.CATCH_UP, 24, [20, 60, 80]),
        ):
            client, active = KeptClient(it, kind), target.check(fault, value)
            it.clock.now = NOW
            heads = []
            for faults in ([active], [active, other], [active]):
                await target.set_faults(*faults)
                heads.append(await client.seqno())
                it.clock.now += 4
            await target.clear_faults()
            await client.close()
            assert heads == seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_goes_on_flapping_in_its_time(kind: str) -> None:
    async def main(_: VirtualLoop) -> list[bool]:
        async with small_network() as it:
            target = pick(it, kind)
            flap, other = target.check(Fault.FLAP, 10), target.check(Fault.LOSSY, 0)
            seen = []
            for faults in ([flap], [flap, other], [flap], [flap, other]):
                await target.set_faults(*faults)
                await asyncio.sleep(6)
                seen.append(target.refusing)
            return seen

    assert virtual_time.run(main) == [True, False, False, True]
