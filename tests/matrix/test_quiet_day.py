"""A day without faults, with everyday noise: no cause may be named.

By default a part of it is played; QUIET_HOURS in the environment sets how much.
"""

import asyncio
import os
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests import virtual_time
from tests.matrix.playing import LocalClock, views, watched
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.runtime import Runtime
from tonwatch.samples.payouts import Totals
from tonwatch.simulator.chain import noise
from tonwatch.simulator.contracts.expected_totals import ExpectedTotals
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import CHAIN, Simulator
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.readiness import Phase

HOURS = float(os.environ.get("QUIET_HOURS", "0.25"))

WALLETS: Final = ("payouts", "spare")
PAYOUTS: Final = 6
"""Each minute, of each wallet; coins and jettons by turns."""

COUNTED_WITHIN: Final = 40.0
"""Seconds: two readings of each wallet, one of which is lost, and two intervals of counting."""

Account = tuple[str, str]
"""A wallet's name and an asset's."""


@dataclass
class Day:
    """What was reported and counted.

    Attributes:
        named: each cause but healthy, with the hour and the sentence.
        phases: seconds of each phase of readiness, the start not counted.
        samples: results of all probes.
        unknown: balances that were not known, the start not counted.
        counted: totals of each account's payouts.
        paid: the same by the simulator.
    """

    named: list[tuple[float, Cause, str]] = field(default_factory=list)
    phases: Counter[Phase] = field(default_factory=Counter)
    samples: Counter[Reason] = field(default_factory=Counter)
    unknown: Counter[Account] = field(default_factory=Counter)
    counted: dict[Account, dict[str, Any]] = field(default_factory=dict)
    paid: dict[Account, dict[str, Any]] = field(default_factory=dict)


@pytest.mark.long
@pytest.mark.timeout(180 + 120 * HOURS)
def test_no_cause_is_named_on_a_quiet_day(tmp_path: Path) -> None:
    day = virtual_time.run(lambda loop: _day(loop, tmp_path))
    assert day.named == []
    assert set(day.phases) == {Phase.READY}
    assert not day.unknown
    # There was noise and there were payouts, or the test would show nothing.
    assert day.samples.total() > 3000 * HOURS
    lost = day.samples.total() - day.samples[Reason.OK]
    assert lost >= HOURS // 4
    assert lost < 0.01 * day.samples.total()
    assert day.counted == day.paid
    for wallet in WALLETS:
        both = [day.paid[wallet, asset]["sent_messages"] for asset in ("native", "usdt")]
        assert min(both) > 0.4 * 60 * PAYOUTS * HOURS


async def _day(loop: VirtualLoop, state_dir: Path) -> Day:
    day = Day()
    clock = LocalClock(loop)
    simulator = Simulator(
        clock=clock,
        noise=replace(noise.EVERYDAY, step_back=5),
        wallets=WALLETS,
        contracts=["escrow"],
        payouts_per_minute=PAYOUTS,
    )
    async with simulator, watched(simulator, clock, 7, state_dir) as parts:
        # Nothing is paid while counting begins, so that both start from the same state.
        await simulator.set_fault(CHAIN, Fault.STALL)
        collecting = views(parts)
        while len(_all_totals(parts)) < 2 * len(WALLETS):
            await anext(collecting)
        opening = deepcopy(simulator.world.expected_totals)
        await simulator.clear(CHAIN)
        while loop.time() < HOURS * 3600:
            view = await anext(collecting)
            if view.diagnosis.cause not in {Cause.HEALTHY, Cause.STARTING}:
                hour = round(loop.time() / 3600, 4)
                day.named.append((hour, view.diagnosis.cause, view.diagnosis.sentence))
            if view.readiness.phase is not Phase.STARTING:
                day.phases[view.readiness.phase] += 1
            for wallet in view.judgement.wallet_status.wallets.values():
                for asset, holding in wallet.holdings.items():
                    day.unknown[wallet.name, asset] += holding.amount is None
        day.unknown = +day.unknown
        for record in parts.watcher.view.snapshot.records.values():
            for (_, reason), count in record.results.items():
                day.samples[reason] += count
        await simulator.set_fault(CHAIN, Fault.STALL)
        counting_on = asyncio.create_task(_keep_judging(parts))
        await asyncio.sleep(COUNTED_WITHIN)
        counting_on.cancel()
        day.counted = {key: _sums(totals) for key, totals in _all_totals(parts).items()}
    for name, accounts in simulator.world.expected_totals.items():
        for asset, totals in accounts.items():
            day.paid[name, asset] = _difference(_sums(totals), _sums(opening[name][asset]))
    return day


async def _keep_judging(parts: Runtime) -> None:
    async for _ in views(parts):
        pass


def _all_totals(parts: Runtime) -> dict[Account, Totals]:
    return {
        (wallet.name, asset): holding.progress.totals
        for wallet in parts.watcher.view.judgement.wallet_status.wallets.values()
        for asset, holding in wallet.holdings.items()
        if holding.progress is not None
    }


def _sums(of: Totals | ExpectedTotals) -> dict[str, Any]:
    """Fields that both sides count."""
    names = (
        *(
            "transactions",
            "sent_messages",
            "sent_amount",
            "received_amount",
            "bounced_amount",
            "fees_amount",
            "bounced_messages",
        ),
        *("failed_transactions", "compute_skipped"),
    )
    return {name: getattr(of, name) for name in names}


def _difference(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    return {
        name: dict(value - then[name]) if isinstance(value, Counter) else value - then[name]
        for name, value in now.items()
    }
