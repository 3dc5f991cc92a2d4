"""What users get by the campaign's oracle is what they get from the simulator's servers."""

import asyncio
from collections.abc import Iterator

import pytest

from tests import virtual_time
from tests.campaign.minimal import network, steps
from tests.campaign.served import Served, served
from tests.campaign.situation import SERVER_FAULTS, SHAPES, Episode, Situation
from tests.virtual_time import VirtualLoop
from tonwatch.simulator import truth
from tonwatch.simulator.scenarios.scenario import Scenario, apply_step, parse
from tonwatch.ton.errors import Reason

_BEGINS = 3.0
_LOOKS = 12.0
_NEVER = 30.0
"""Seconds after which no user waits for an answer any more."""

_BOTH = next(shape for shape in SHAPES if shape.name == "node and provider")


def _situations() -> Iterator[Situation]:
    for fault, takes in SERVER_FAULTS.items():
        for server in _BOTH.servers:
            if ("node" if server.is_node else "provider") in takes.kinds:
                for number in takes.numbers or (None,):
                    episode = Episode(server.name, fault, number, _BEGINS, 100.0)
                    yield Situation(
                        _BOTH, 1.0, wallets=False, episodes=(episode,), lasts=20, seed=1
                    )


@pytest.mark.parametrize("situation", list(_situations()), ids=lambda each: str(each.episodes[0]))
def test_users_get_the_same(situation: Situation) -> None:
    [episode] = situation.episodes
    [server] = [each for each in situation.servers if each.name == episode.target]
    ours = served(situation, server, _LOOKS)
    true = virtual_time.run(lambda loop: _truth(loop, situation))
    answers = true.answers and true.answer_seconds < _NEVER
    assert _answers(ours) == (answers and true.authorized and not true.throttled)
    assert ours.authorized == true.authorized
    assert ours.throttled == true.throttled
    assert ours.losses == true.lost
    assert ours.connect_seconds == true.connect_seconds
    assert ours.clock == true.clock_error
    if _answers(ours):
        assert ours.answer_seconds == true.answer_seconds
        assert (ours.new is Reason.OK) == true.reachable
        assert (ours.accounts_behind is None) == (true.accounts is None)
        assert (ours.messages is True and ours.queue <= 8000) == true.messages
        behind = ours.behind + ours.steps_back * situation.pace
        assert true.truthful == ours.truthful
        if ours.own_network:
            assert abs(behind - true.behind) <= situation.pace


def _answers(ours: Served) -> bool:
    return ours.kept is Reason.OK and ours.losses < 1


async def _truth(loop: VirtualLoop, situation: Situation) -> truth.Served:
    """What a user of the server with the fault gets from the simulator."""
    scenario = parse(Scenario, {"network": network(situation)}, "test")
    name = situation.episodes[0].target
    async with scenario.simulator(clock=loop.wall) as simulator:
        for time, step in steps(situation):
            if time > _LOOKS:
                break
            await asyncio.sleep(time - loop.time())
            parsed = parse(Scenario, {"steps": [step]}, "test").steps[0]
            await apply_step(parsed, simulator)
        await asyncio.sleep(_LOOKS - loop.time())
        [server] = [each for each in simulator.servers if each.name == name]
        return truth.served(server, simulator)
