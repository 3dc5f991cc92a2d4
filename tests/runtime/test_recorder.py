"""The record of incidents and the history on the page: they outlive restarts."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from tests import virtual_time
from tests.configs import configured
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.recorder import MOST_WAITING, PRUNE_EVERY
from tonwatch.runtime.runtime import Runtime, running
from tonwatch.samples.incident import Incident, IncidentKind, IncidentQuery
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.state.sqlite import NAME, SqliteStore
from tonwatch.state.store import Unreadable

DOWN: Final = "node_down"


async def incidents(runtime: Runtime, **query: Any) -> list[Incident]:
    record = runtime.record
    assert record is not None
    return await record.incidents(IncidentQuery(network=runtime.config.zerostate, **query))


class Network:
    """A simulated network, which tonwatch watches for a while at a time."""

    def __init__(self, loop: VirtualLoop, simulator: Simulator, content: dict[str, Any]) -> None:
        self.loop = loop
        self.simulator = simulator
        self.content = content

    async def watch(self, seconds: float, **fields: Any) -> list[Incident]:
        """Watch, and return what is recorded of the node that is down, newest first."""
        config = configured(self.content | fields)
        async with running(config, wall=self.loop.wall, random=Random(1)) as runtime:
            watching = asyncio.create_task(runtime.run())
            await asyncio.sleep(seconds)
            found = await incidents(runtime, cause=DOWN, kind=IncidentKind.FINDING)
            self.history = runtime.view.history
            watching.cancel()
            await asyncio.wait({watching})
        return found


def play(scene: Any, state_dir: Path | None) -> None:
    async def main(loop: VirtualLoop) -> None:
        async with Simulator(liteservers=2, providers=0, wallets=0, clock=loop.wall) as simulator:
            state = None if state_dir is None else str(state_dir)
            await scene(Network(loop, simulator, simulator.config() | {"state_dir": state}))

    virtual_time.run(main)


def test_history_survives_a_restart(tmp_path: Path) -> None:
    async def scene(it: Network) -> None:
        await it.watch(30.0)
        await it.simulator.set_fault("node-1", Fault.REFUSE)
        [down] = await it.watch(60.0)
        assert down.until is None
        await it.simulator.clear("node-1")
        await asyncio.sleep(600.0)
        [again] = await it.watch(30.0)
        assert again.id == down.id
        assert again.cut_off, "tonwatch did not see its end"
        assert again.until == again.seen
        assert again.since <= again.seen <= it.loop.wall() - 630.0
        causes = [each.finding.cause for each in it.history]
        assert causes == ["starting", DOWN, "starting", "healthy", "starting"]
        assert it.history[1].until == again.until

    play(scene, tmp_path)


def test_in_memory_it_is_kept_until_the_end() -> None:
    async def scene(it: Network) -> None:
        await it.simulator.set_fault("node-1", Fault.REFUSE)
        assert len(await it.watch(60.0)) == 1
        await it.simulator.clear("node-1")
        assert await it.watch(60.0) == []

    play(scene, None)


def test_a_disk_that_cannot_be_written_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What began and ended meanwhile is written later."""

    def full(*_: object) -> None:
        raise Unreadable("database or disk is full")

    async def scene(it: Network) -> None:
        config = configured(it.content)
        async with running(config, wall=it.loop.wall, random=Random(1)) as runtime:
            watching = asyncio.create_task(runtime.run())
            await asyncio.sleep(30.0)
            with monkeypatch.context() as patch:
                patch.setattr(SqliteStore, "write", full)
                await it.simulator.set_fault("node-1", Fault.REFUSE)
                await asyncio.sleep(60.0)
                await it.simulator.clear("node-1")
                await asyncio.sleep(60.0)
                assert await incidents(runtime, cause=DOWN) == []
            await asyncio.sleep(31.0)
            assert {each.kind for each in await incidents(runtime, cause=DOWN)} == {
                IncidentKind.FINDING,
                IncidentKind.DIAGNOSIS,
            }
            assert runtime.view.snapshot.state_dir_error == ""
            watching.cancel()
            await asyncio.wait({watching})

    play(scene, tmp_path)


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    async def scene(it: Network) -> None:
        config = configured(it.content)
        async with running(config, wall=it.loop.wall, random=Random(1)) as runtime:
            recorder = runtime._recorder
            assert recorder is not None
            await it.simulator.set_fault("node-1", Fault.REFUSE)
            watching = asyncio.create_task(runtime.run())
            await asyncio.sleep(60.0)
            watching.cancel()
            await asyncio.wait({watching})
            [one] = await incidents(runtime, cause=DOWN, kind=IncidentKind.FINDING)
            recorder._add([_named(one, str(number)) for number in range(3 * MOST_WAITING)])
            assert len(recorder._waiting) == MOST_WAITING
            assert str(3 * MOST_WAITING - 1) in recorder._waiting

    play(scene, tmp_path)


def _named(incident: Incident, ident: str) -> Incident:
    values = {name: getattr(incident, name) for name in Incident.__slots__}
    return Incident(**values | {"id": ident})


@pytest.mark.parametrize(
    ("offset", "left"),
    [
        pytest.param(0.0, 1, id="the clock is right"),
        pytest.param(1e8, 2, id="the local clock is wrong by years"),
    ],
)
def test_what_is_old_is_removed(tmp_path: Path, offset: float, left: int) -> None:
    """By a clock that is right: a wrong one would make everything old."""

    async def scene(it: Network) -> None:
        await it.simulator.set_fault("node-1", Fault.REFUSE)
        await it.watch(60.0)
        await it.simulator.clear("node-1")
        await asyncio.sleep(7200.0)
        await it.simulator.set_fault("node-1", Fault.REFUSE)
        real = it.loop.wall
        it.loop.wall = lambda: real() + offset  # type: ignore[method-assign]
        fields = {"incidents": {"retention": "1h"}}
        assert len(await it.watch(PRUNE_EVERY + 60.0, **fields)) == left

    play(scene, tmp_path)


def test_each_network_has_its_own(tmp_path: Path) -> None:
    async def scene(it: Network) -> None:
        await it.simulator.set_fault("node-1", Fault.REFUSE)
        await it.watch(60.0)
        await it.simulator.clear("node-1")
        assert await it.watch(1.0, network="testnet") == []
        assert all(each.finding.cause != DOWN for each in it.history)
        [down] = await it.watch(1.0)
        assert down.cut_off

    play(scene, tmp_path)


def test_a_damaged_database_has_no_history(tmp_path: Path) -> None:
    """Nothing else depends on it."""

    async def scene(it: Network) -> None:
        await it.watch(30.0)
        (tmp_path / NAME).write_text("broken")
        with capture_logs() as logs:
            await it.watch(30.0)
        assert any("damaged and set aside" in line["event"] for line in logs)
        assert [each.finding.cause for each in it.history] == ["starting"]

    play(scene, tmp_path)
