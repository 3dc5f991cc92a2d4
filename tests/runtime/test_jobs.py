"""When accounts are read: spread over the interval, failures retried sooner, messages paced."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from itertools import chain, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import virtual_time
from tests.configs import configured
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.jobs.accounts import ReadSchedule
from tonwatch.runtime.jobs.payouts import CountPayouts
from tonwatch.runtime.runtime import running
from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.sample import Probe
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator
from tonwatch.system.internal_errors import Component
from tonwatch.ton.address import Address
from tonwatch.ton.errors import Reason
from tonwatch.watch.planner import Account

INTERVAL = 15.0


def accounts(count: int) -> list[Watched]:
    return [
        Watched(AccountKey(f"wallet-{number}", "native"), Address(0, bytes(32)))
        for number in range(count)
    ]


def reading(watched: Watched, now: float, reason: Reason = Reason.OK) -> Reading:
    return Reading(key=watched.key, source="it", started=now, finished=now, reason=reason)


@given(st.integers(1, 600))
def test_reads_of_all_accounts_are_spread_over_the_interval(count: int) -> None:
    schedule = ReadSchedule(accounts(count), INTERVAL)
    seen: Counter[AccountKey] = Counter()
    most = 0
    for tick in range(45):
        due = schedule.due(float(tick))
        most = max(most, len(due))
        seen.update(watched.key for watched in due)
        schedule.done([reading(watched, tick) for watched in due], float(tick))
    assert set(seen) == {watched.key for watched in accounts(count)}
    assert set(seen.values()) <= {2, 3}
    assert most <= max(32, 2 * (count // 15 + 1))


def test_failures_are_retried_sooner() -> None:
    one, two = accounts(2)
    schedule = ReadSchedule([one, two], INTERVAL)
    schedule.done([reading(one, 0.0), reading(two, 0.0, Reason.QUERY_TIMEOUT)], 0.0)
    assert schedule.due(4.9) == []
    assert schedule.due(5.0) == [two]
    assert schedule.due(15.0) == [two, one]


def test_one_message_per_minute_and_target(tmp_path: Any) -> None:
    """Counted at the nodes, over half an hour with a node that flaps."""
    sent: dict[str, list[float]] = {}

    async def watch(loop: VirtualLoop) -> None:
        async with Simulator(wallets=2, clock=loop.wall) as simulator, AsyncExitStack() as stack:
            content = simulator.config() | {"state_dir": str(tmp_path)}
            for wallet in content["wallets"]:
                wallet["write_probe"] = True
            config = configured(content)
            parts = await stack.enter_async_context(
                running(config, wall=loop.wall, random=Random(1))
            )
            jobs = asyncio.create_task(parts.scheduler.run())
            for half_minute in range(60):
                if half_minute == 20:
                    await simulator.set_fault("node-1", Fault.FLAP, 20.0)
                for _ in range(15):
                    await asyncio.sleep(2.0)
                    for name, record in parts.watcher.evaluate().snapshot.records.items():
                        sample = record.latest.get(Probe.WRITE)
                        if sample is not None and sample.started not in sent.setdefault(name, []):
                            sent[name].append(sample.started)
            jobs.cancel()
            await asyncio.gather(jobs, return_exceptions=True)

    virtual_time.run(watch)
    assert set(sent) == {"node-1", "node-2", "provider-1"}
    for times in sent.values():
        assert len(times) > 5
        assert all(b - a >= 60.0 for a, b in pairwise(times))
    assert len(sent["node-2"]) in {29, 30}


async def test_a_wallet_just_frozen_is_no_fault_of_a_target(tmp_path: Any) -> None:
    """Its refusal is not the expected one, and no fault of the target that relayed it."""
    async with Simulator(wallets=1, automatic=False) as simulator:
        content = simulator.config() | {"state_dir": str(tmp_path)}
        async with running(configured(content), keeping=False) as parts:

            async def ask(probe: Probe) -> list[Any]:
                jobs = [job for job in parts.jobs if job.probe is probe]
                results = [await parts.asker.ask(job, each) for job in jobs for each in job.plan()]
                parts.watcher.evaluate()
                return list(chain(*results))

            await ask(Probe.HEAD)
            await ask(Probe.BALANCE)
            await simulator.set_fault("wallet-1", Fault.FROZEN)
            simulator.chain.advance(2)
            assert await ask(Probe.WRITE) == []


class TestRepeatedRounds:
    """While a round shows something wrong, the next comes after `probe.interval`."""

    @staticmethod
    def asked(probe: Probe, target: str, fault: Fault, tmp_path: Path) -> list[list[float]]:
        """When a probe ended: in three minutes without a fault, with one, and without it again."""
        times: list[list[float]] = [[], [], []]

        async def watch(loop: VirtualLoop) -> None:
            async with Simulator(wallets=1, clock=loop.wall) as simulator:
                content = simulator.config() | {"state_dir": str(tmp_path)}
                content["wallets"][0]["write_probe"] = True
                config = configured(content)
                async with running(config, wall=loop.wall, random=Random(1)) as parts:
                    working = asyncio.create_task(parts.run())
                    for phase in times:
                        if phase is times[1]:
                            await simulator.set_fault(target, fault)
                        if phase is times[2]:
                            await simulator.clear(target)
                        end = loop.time() + 180.0
                        while loop.time() < end:
                            await asyncio.sleep(0.5)
                            latest = parts.view.snapshot.records[target].latest.get(probe)
                            if latest and latest.finished not in phase[-1:]:
                                phase.append(latest.finished)
                    working.cancel()
                    await asyncio.gather(working, return_exceptions=True)

        virtual_time.run(watch)
        return times

    @pytest.mark.parametrize(
        ("probe", "target", "fault"),
        [
            pytest.param(Probe.FORK, "node-2", Fault.FORK, id="fork"),
            pytest.param(Probe.COMPARE, "provider-1", Fault.FALSE_BALANCE, id="false claim"),
            pytest.param(Probe.WRITE, "node-1", Fault.REJECT_EXTERNALS, id="write path"),
        ],
    )
    def test_when(self, probe: Probe, target: str, fault: Fault, tmp_path: Path) -> None:
        before, during, after = self.asked(probe, target, fault, tmp_path)
        assert len(before) <= 4
        gaps = [b - a for a, b in pairwise(during)]
        assert gaps[-10:] == pytest.approx([5.0] * 10, abs=1.0)
        assert len(after) <= 8, "back to its interval"


def test_a_bug_with_one_account_leaves_the_others_counted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = CountPayouts._count

    async def broken(it: CountPayouts, account: Account, *rest: Any) -> Any:
        if account.key.name == "wallet-1":
            raise RuntimeError("hunter2")
        return await count(it, account, *rest)

    monkeypatch.setattr(CountPayouts, "_count", broken)

    async def watch(loop: VirtualLoop) -> None:
        async with Simulator(wallets=2, clock=loop.wall) as simulator:
            content = simulator.config() | {"state_dir": str(tmp_path)}
            config = configured(content)
            async with running(config, wall=loop.wall, random=Random(1)) as parts:
                working = asyncio.create_task(parts.run())
                await asyncio.sleep(60.0)
                wallets = parts.watcher.view.judgement.wallet_status.wallets
                assert wallets["wallet-1"].holdings["native"].progress is None
                assert wallets["wallet-2"].holdings["native"].progress is not None
                assert parts.errors.counts()[Component.PAYOUTS] > 10
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    virtual_time.run(watch)


def test_a_question_that_waits_for_its_turn_is_not_cancelled(tmp_path: Any) -> None:
    """However low a provider's pace, and however long its timeout."""

    def limits(**settings: Any) -> dict[Probe, float]:
        rate = settings.pop("rate", 1000.0)

        async def plan(loop: VirtualLoop) -> dict[Probe, float]:
            async with Simulator(liteservers=1, wallets=3, clock=loop.wall) as simulator:
                content = simulator.config() | {"probe": settings, "state_dir": str(tmp_path)}
                content["providers"][0]["requests_per_second"] = rate
                for wallet in content["wallets"]:
                    wallet["write_probe"] = True
                async with running(configured(content), wall=loop.wall) as parts:
                    for target in parts.targets.values():
                        for each in target.regular():
                            parts.store.add(await each.ask())
                    parts.watcher.evaluate()
                    planned: dict[Probe, float] = {}
                    for job in parts.jobs:
                        for question in parts.asker.plan(job):
                            planned[job.probe] = question.deadline
                            if job.probe is Probe.BALANCE:
                                await parts.asker.ask(job, question)
                                parts.watcher.evaluate()
                    return planned

        return virtual_time.run(plan)

    usual = limits()
    assert set(usual) == set(Probe)
    assert all(120.0 < limit < 3600.0 for limit in usual.values())
    patient = limits(interval="600s", timeout="500s", stale_after="2000s")
    assert all(limit > 2 * 500.0 for limit in patient.values())
    assert all(limit > 6 * 100.0 for limit in limits(rate=0.01).values())
