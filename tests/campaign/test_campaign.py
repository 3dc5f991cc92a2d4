"""Random situations against the oracle; and the oracle against judges that are wrong.

By default a few are played; CAMPAIGN in the environment sets how many on made samples, and a
fiftieth of that is played on sockets.
"""

import os
from collections.abc import Iterator
from itertools import count, islice
from typing import Final

import pytest

from tests.campaign import made
from tests.campaign.campaign import Failure, campaign, explained
from tests.campaign.minimal import minimal, scenario, written
from tests.campaign.mutations import MUTATIONS, Mutation
from tests.campaign.oracle import spells
from tests.campaign.situation import (
    CHAIN_FAULTS,
    LOCAL_FAULTS,
    SERVER_FAULTS,
    SHAPES,
    Episode,
    Situation,
    generated,
)
from tonwatch.simulator.scenarios.scenario import Scenario, parse

MADE: Final = int(os.environ.get("CAMPAIGN", "80"))
ON_SOCKETS: Final = max(3, MADE // 50)
PARTS: Final = 4
"""Tests among which the situations are divided, for several workers."""

FRESH: Final = 1_000_000
"""Seeds from here on are played with wrong judges."""

CAUGHT_WITHIN: Final = 500


@pytest.mark.long
@pytest.mark.timeout(60 + MADE // 5)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("tier", "number"), [("judge", MADE), ("sockets", ON_SOCKETS)])
def test_every_situation_is_judged_right(tier: str, number: int, part: int) -> None:
    report = campaign(tier, range(part, number, PARTS))
    assert not report.failures, "\n".join(_explained(tier, report.failures))


def _explained(tier: str, failures: list[Failure]) -> Iterator[str]:
    yield f"{len(failures)} violations"
    yield from (explained(tier, failure) for failure in failures[:2])


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mistake_of_a_judge_is_caught(mutation: Mutation) -> None:
    for seed in range(FRESH, FRESH + CAUGHT_WITHIN):
        situation = generated(seed)
        with mutation.made():
            wrong = made.played(situation).wrong
        if wrong and not made.played(situation).wrong:
            return
    pytest.fail(f"not caught within {CAUGHT_WITHIN} seeds")


def test_a_seed_makes_the_same_situation_each_time() -> None:
    assert [str(generated(seed)) for seed in range(50)] == [
        str(generated(seed)) for seed in range(50)
    ]


def test_situations_have_every_shape_and_fault() -> None:
    situations = [generated(seed) for seed in range(2000)]
    assert {situation.shape for situation in situations} == set(SHAPES)
    faults = {episode.fault for situation in situations for episode in situation.episodes}
    assert faults == {*SERVER_FAULTS, *CHAIN_FAULTS, *LOCAL_FAULTS}
    assert {len(situation.episodes) for situation in situations} == {1, 2, 3}


def test_half_of_the_situations_hurt_users_of_a_primary() -> None:
    hurt = 0
    for seed in range(200):
        situation = generated(seed)
        primaries = {server.name for server in situation.servers if server.primary}
        found = spells(situation)
        hurt += any(s.target in primaries and s.harm.within is not None for s in found)
    assert hurt >= 100


def test_nothing_may_be_named_without_faults() -> None:
    for shape in SHAPES:
        for pace in (0.4, 5.0):
            assert spells(Situation(shape, pace, True, (), 60.0, 1)) == ()


def test_a_healthy_network_is_healthy() -> None:
    for shape, seed in zip(SHAPES, count()):
        assert not made.played(Situation(shape, 0.4, True, (), 120.0, seed)).wrong


def test_a_wrong_judgement_is_made_minimal_and_written_as_a_scenario() -> None:
    [mutation] = [each for each in MUTATIONS if each.name == "fork votes ignored"]
    shape = next(each for each in SHAPES if each.name == "two nodes and a provider")
    faults = (
        Episode("provider-1", "slow", 0.3, 36.2, 71.7),
        Episode("node-1", "fork", None, 41.7, 166.3),
    )
    situation = Situation(shape, 1.0, True, faults, 210.0, 1)
    with mutation.made():
        [invariant, *_] = made.played(situation).wrong
        simplest = minimal(situation, invariant, made.played)
    assert [episode.fault for episode in simplest.episodes] == ["fork"]
    assert simplest.episodes[0].begins == 40.0
    assert "set:\n    node-1: fork" in written(simplest)
    parse(Scenario, scenario(simplest), "minimal").simulator()


def test_the_same_seed_is_judged_the_same_each_time() -> None:
    for seed in islice(count(), 10):
        first, second = (made.played(generated(seed)).wrong for _ in range(2))
        assert first == second
