"""A day on which nothing is wrong, with all that happens on such a day: nothing may be said.

By default a part of it is played; QUIET_HOURS in the environment sets how much.
"""

import os
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from tests import virtual_time
from tests.matrix.playing import OurClock, views, watched
from tests.virtual_time import VirtualLoop
from tonwatch.simulator import noise
from tonwatch.simulator.network import Simulator
from tonwatch.ton.errors import Reason
from tonwatch.watch.finding import Cause
from tonwatch.watch.readiness import Phase

HOURS = float(os.environ.get("QUIET_HOURS", "1"))


@dataclass
class Day:
    """What was said and seen.

    Attributes:
        named: each cause but healthy, with the hour and the sentence.
        phases: seconds of each phase of readiness, the start not counted.
        samples: results of all probes.
    """

    named: list[tuple[float, Cause, str]] = field(default_factory=list)
    phases: Counter[Phase] = field(default_factory=Counter)
    samples: Counter[Reason] = field(default_factory=Counter)


@pytest.mark.timeout(60 + 30 * HOURS)
def test_nothing_is_said_on_a_quiet_day() -> None:
    day = virtual_time.run(_day)
    assert day.named == []
    assert set(day.phases) == {Phase.READY}
    # It was a day with something in it, or it would prove nothing.
    assert day.samples.total() > 2000 * HOURS
    lost = day.samples.total() - day.samples[Reason.OK]
    assert lost >= HOURS // 4
    assert lost < 0.01 * day.samples.total()


async def _day(loop: VirtualLoop) -> Day:
    day = Day()
    clock = OurClock(loop)
    simulator = Simulator(clock=clock, noise=replace(noise.EVERYDAY, step_back=5))
    async with simulator, watched(simulator, clock, seed=7) as parts:
        looking = views(parts)
        while loop.time() < HOURS * 3600:
            view = await anext(looking)
            if view.diagnosis.cause not in {Cause.HEALTHY, Cause.STARTING}:
                hour = round(loop.time() / 3600, 4)
                day.named.append((hour, view.diagnosis.cause, view.diagnosis.sentence))
            if view.readiness.phase is not Phase.STARTING:
                day.phases[view.readiness.phase] += 1
        for record in parts.watcher.view.snapshot.records.values():
            for (_, reason), count in record.results.items():
                day.samples[reason] += count
    return day
