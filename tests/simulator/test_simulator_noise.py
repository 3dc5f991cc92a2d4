"""What varies without faults, from the same seeds each time."""

import asyncio
from itertools import islice
from random import Random
from statistics import mean, median

import pytest

from tests.simulator.chains import empty_chain
from tests.simulator.small_network import NOW, PATIENCE, connect, get, info, outcome, small_network
from tests.virtual_time import VirtualLoop, run
from tonwatch.simulator.chain.noise import EVERYDAY, NONE, Noise
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver import tl

DAY = 216_000
"""Blocks of a day at 0.4 s."""


def test_block_intervals_vary_and_pause_and_keep_their_average() -> None:
    noise = Noise(block_spread=0.5, gap_every=300)
    day = list(islice(noise.intervals(0.4, Random(1)), DAY))
    gaps = [interval for interval in day if interval > 1]
    ordinary = [interval for interval in day if interval <= 1]
    assert mean(day) == pytest.approx(0.4, rel=0.01)
    assert 200 <= len(gaps) <= 380, "288 on average"
    assert all(3 <= gap <= 5 for gap in gaps)
    assert (min(ordinary), max(ordinary)) == pytest.approx((0.198, 0.592), abs=0.01)


def test_without_noise_every_interval_is_the_same() -> None:
    assert set(islice(NONE.intervals(0.4, Random(1)), 10)) == {0.4}


def test_a_seed_gives_the_same_intervals() -> None:
    one, same, other = (islice(EVERYDAY.intervals(0.4, Random(seed)), 50) for seed in (1, 1, 2))
    assert list(one) == list(same) != list(other)


@pytest.mark.parametrize(
    "wrong",
    [{"block_spread": 1.0}, {"loss": 1.1}, {"jitter": -0.1}, {"gap_every": -1}, {"step_back": -1}],
    ids=str,
)
def test_impossible_noise(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Noise(**wrong)  # type: ignore[arg-type]  # the point of the test


def test_pauses_that_leave_no_time_for_blocks() -> None:
    with pytest.raises(ValueError, match="too short"):
        empty_chain(noise=Noise(gap_every=4.0))


def test_a_chain_with_noise_produces_its_blocks_in_the_same_time_each_run() -> None:
    async def some_time(loop: VirtualLoop) -> list[float]:
        chain = empty_chain(noise=EVERYDAY, clock=loop.wall, history=4000)
        running = asyncio.create_task(chain.run())
        await asyncio.sleep(1200)
        running.cancel()
        return [block.produced for block in chain._blocks]

    times = run(some_time)
    assert len(times) == pytest.approx(3000, rel=0.05)
    assert times == pytest.approx(run(some_time), abs=0.001)


async def test_latency_is_added_to_each_answer() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        it.node.noise = Noise(jitter=0.02)
        query = tl.encode_query("getTime", {})
        replies = [await connection.query(query, PATIENCE) for _ in range(15)]
        times = [reply.elapsed for reply in replies]
        assert 0.01 <= median(times) <= 0.06
        assert max(times) > 1.2 * min(times)
        assert await connection.ping(PATIENCE) > 0.002
        await connection.close()


async def test_noise_comes_on_top_of_a_fault() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        await it.node.set_fault(Fault.SLOW, 0.05)
        it.node.noise = Noise(jitter=0.03)
        reply = await connection.query(tl.encode_query("getTime", {}), PATIENCE)
        assert reply.elapsed >= 0.055
        await it.node.set_fault(Fault.LAG, 20)
        it.node.noise = Noise(step_back=10)
        seen = {(await info(connection))["last"]["seqno"] for _ in range(60)}
        assert seen == set(range(20, 31))
        await connection.close()


async def test_single_answers_are_lost() -> None:
    async with small_network() as it:
        connection = await connect(it.node)
        it.node.noise = it.provider.noise = Noise(loss=1.0)
        assert await outcome(info(connection, timeout=0.1)) == Reason.QUERY_TIMEOUT
        assert await outcome(connection.ping(PATIENCE)) == Reason.OK
        assert (await get(it.provider, "getMasterchainInfo"))[0] == "ServerDisconnectedError"
        it.node.noise = it.provider.noise = NONE
        assert await outcome(info(connection)) == Reason.OK
        assert (await get(it.provider, "getMasterchainInfo"))[0] == 200
        await connection.close()


async def test_a_simulator_gives_its_noise_to_all_but_step_back_only_to_providers() -> None:
    simulator = Simulator(noise=EVERYDAY, backfill=0, clock=lambda: NOW)
    node, provider = simulator.liteservers[0], simulator.providers[0]
    assert provider.noise == EVERYDAY
    assert (node.noise.step_back, node.noise.jitter) == (0, EVERYDAY.jitter)
