"""The watcher while judging or logging fails: it goes on, and is not alive."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests import virtual_time
from tests.configs import make_target
from tests.virtual_time import VirtualLoop
from tonwatch.config.models import Config
from tonwatch.runtime.watcher import Watcher
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.watch import view
from tonwatch.watch.changes import Changes
from tonwatch.watch.readiness import Phase
from tonwatch.watch.store import Store

STEPS = ("judge", "judge_wallets", "readiness.step", "diagnosis.diagnose")


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    with capture_logs() as logged:
        yield logged


def watcher(loop: VirtualLoop) -> Watcher:
    errors = InternalErrors(wall=loop.wall, monotonic=loop.time)
    store = Store([make_target("it", "toncenter-v2", "primary")])
    return Watcher(Config(), store, wall=loop.wall, monotonic=loop.time, errors=errors)


def broken(*_: object, **__: object) -> Any:
    raise RuntimeError("hunter2")


@pytest.mark.parametrize("step", STEPS)
def test_not_alive_while_judging_fails(
    monkeypatch: pytest.MonkeyPatch, lines: list[Any], step: str
) -> None:
    async def main(loop: VirtualLoop) -> None:
        it = watcher(loop)
        running = asyncio.create_task(it.run())
        await asyncio.sleep(30.0)
        alive = [it.alive]
        with monkeypatch.context() as patch:
            patch.setattr(f"tonwatch.watch.view.{step}", broken)
            await asyncio.sleep(9.0)
            alive.append(it.alive)
            await asyncio.sleep(2.0)
            alive.append(it.alive)
            before = it.view
            await asyncio.sleep(50.0)
            assert it.view is before
        await asyncio.sleep(1.0)
        alive.append(it.alive)
        assert it.view is not before
        assert it.errors.counts()[Component.JUDGE] == 122
        assert alive == [True, True, False, True]
        await asyncio.sleep(60.0)
        running.cancel()

    virtual_time.run(main)
    assert [line["event"] for line in lines] == ["bug in tonwatch", "works again"]
    assert "RuntimeError: hunter2" in lines[0]["exception"]


def test_draining_is_not_ready_even_while_judging_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main(loop: VirtualLoop) -> None:
        it = watcher(loop)
        monkeypatch.setattr(view, "judge", broken)
        assert it.drain().readiness.phase is Phase.DRAINING
        assert it.view.readiness.phase is Phase.DRAINING

    virtual_time.run(main)


@pytest.mark.parametrize("part", ["targets", "findings", "diagnosis", "readiness"])
def test_views_are_made_while_logging_fails(
    monkeypatch: pytest.MonkeyPatch, lines: list[Any], part: str
) -> None:
    async def main(loop: VirtualLoop) -> None:
        it = watcher(loop)
        monkeypatch.setattr(Changes, part, broken)
        before = it.view
        assert it.evaluate() is it.view is not before
        it.drain()
        assert it.errors.counts()[Component.LOG] == 2

    virtual_time.run(main)
    assert [line["part"] for line in lines if line["event"] == "bug in tonwatch"] == [part]
    assert part == "readiness" or any(line["event"] == "readiness" for line in lines)
