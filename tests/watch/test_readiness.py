"""/ready as the kubelet sees it: hysteresis, quorum, starting, draining."""

from typing import Any

import pytest

from tests.configs import make_target
from tonwatch.config.models import Gates
from tonwatch.samples.sample import Probe
from tonwatch.ton.errors import Reason
from tonwatch.watch.readiness import Phase, ask
from tonwatch.watch.states import State

STARTING, READY, UNREADY = Phase.STARTING, Phase.READY, Phase.UNREADY


def play(scene: Any, ticks: str) -> list[Phase]:
    """One letter a tick for the first target: g good, b failed, l lags too far, _ not probed."""
    phases = []
    for letter in ticks:
        scene.clock.advance(5.0)
        for other in scene.targets[1:]:
            scene.answer(other)
        if letter == "g":
            scene.answer(scene.targets[0])
        elif letter == "b":
            scene.fail(scene.targets[0], Reason.CONNECT_REFUSED)
        elif letter == "l":
            scene.answer(scene.targets[0], lag=60.0)
        scene.judge()
        phases.append(scene.readiness.phase)
    return phases


@pytest.mark.parametrize(
    ("ticks", "phases"),
    [
        pytest.param("g", [READY], id="one good answer is enough at the start"),
        pytest.param("bb", [STARTING, STARTING], id="two bad ones at the start"),
        pytest.param("bbb", [STARTING, STARTING, UNREADY], id="three bad ones at the start"),
        pytest.param("gb", [READY, READY], id="one lost answer"),
        pytest.param("gbbg", [READY] * 4, id="two lost answers"),
        pytest.param("gbbb", [READY, READY, READY, UNREADY], id="three bad ones are unready"),
        pytest.param("glll", [READY, READY, READY, UNREADY], id="lagging is unready as well"),
        pytest.param(
            "gbbbg", [READY, READY, READY, UNREADY, UNREADY], id="one good one is not enough"
        ),
        pytest.param(
            "gbbbgg", [READY, READY, READY, UNREADY, UNREADY, READY], id="two good ones are ready"
        ),
        pytest.param("gbgbgbgb", [READY] * 8, id="every other answer lost"),
        pytest.param("g_____", [READY] * 5 + [UNREADY], id="without probes it is not ready"),
    ],
)
def test_hysteresis(scene: Any, ticks: str, phases: list[Phase]) -> None:
    assert play(scene(), ticks) == phases


def test_an_evaluation_without_a_new_sample_does_not_count(scene: Any) -> None:
    trio = scene()
    play(trio, "gb")
    for _ in range(10):
        trio.judge()
    assert trio.readiness.phase is READY


def test_no_probe_yet(scene: Any) -> None:
    trio = scene()
    trio.judge()
    assert trio.readiness.phase is STARTING


@pytest.mark.parametrize(
    ("quorum", "broken", "phase"),
    [
        ("any", 2, READY),
        ("any", 3, UNREADY),
        ("majority", 1, READY),
        ("majority", 2, UNREADY),
        ("all", 0, READY),
        ("all", 1, UNREADY),
    ],
)
def test_quorum_of_three(scene: Any, quorum: str, broken: int, phase: Phase) -> None:
    primaries = [make_target(f"node-{number}", "liteserver", "primary") for number in range(3)]
    reference = make_target("reference", "liteserver", "reference")
    quartet = scene(*primaries, reference, quorum=quorum)

    def tick() -> None:
        quartet.answer(reference)
        for number, primary in enumerate(primaries):
            if number < broken:
                quartet.fail(primary, Reason.CONNECT_REFUSED)
            else:
                quartet.answer(primary)

    quartet.ticks(3, tick)
    assert quartet.readiness.phase is phase


def test_references_do_not_decide(scene: Any) -> None:
    trio = scene()

    def tick() -> None:
        trio.answer(trio.targets[0])
        trio.fail(trio.targets[1], Reason.CONNECT_REFUSED)
        trio.fail(trio.targets[2], Reason.SERVER_ERROR)

    trio.ticks(4, tick)
    assert trio.readiness.phase is READY


def test_without_primaries_all_decide(scene: Any) -> None:
    solo = scene(make_target("public-1", "liteserver", "reference"))
    solo.ticks(3, lambda: solo.fail(solo.targets[0], Reason.CONNECT_REFUSED))
    assert solo.readiness.phase is UNREADY


def test_draining_takes_precedence_and_lasts(scene: Any) -> None:
    trio = scene()
    play(trio, "g")
    trio.watcher.drain()
    assert trio.readiness.phase is Phase.DRAINING
    assert not trio.readiness.ready


def test_since_is_when_the_phase_began(scene: Any) -> None:
    trio = scene()
    play(trio, "g")
    began = trio.clock.wall_time
    play(trio, "ggg")
    assert trio.readiness.since == began


class TestGrace:
    """During `startup_grace` a target that is not ready is starting."""

    def test_starting_instead_of_unready(self, scene: Any) -> None:
        assert play(scene(startup_grace="30s"), "bbbbbbb") == [STARTING] * 5 + [UNREADY] * 2

    def test_it_is_over_once_ready(self, scene: Any) -> None:
        assert play(scene(startup_grace="300s"), "gbbb")[-1] is UNREADY


class TestGates:
    """Which states make a target unready is configured."""

    @pytest.mark.parametrize(
        ("gates", "phase"),
        [
            pytest.param({}, UNREADY, id="lagging counts"),
            pytest.param({"lagging": False}, READY, id="unless switched off"),
        ],
    )
    def test_lagging(self, scene: Any, gates: dict[str, bool], phase: Phase) -> None:
        assert play(scene(gates=gates), "glll")[-1] is phase

    @pytest.mark.parametrize(
        ("gates", "phase"),
        [
            pytest.param({}, READY, id="slow does not count"),
            pytest.param({"slow": True}, UNREADY, id="unless switched on"),
        ],
    )
    def test_slow(self, scene: Any, gates: dict[str, bool], phase: Phase) -> None:
        trio = scene(gates=gates)

        def tick() -> None:
            trio.answer(trio.targets[0], query=2.0)
            trio.answer(trio.targets[1])

        trio.ticks(5, tick)
        assert trio.readiness.phase is phase

    def test_no_answer_always_counts(self, scene: Any) -> None:
        gates = dict.fromkeys(Gates.model_fields, False)
        assert play(scene(gates=gates), "gbbb")[-1] is UNREADY


class TestAsk:
    """Readiness with limits of the query, as of now."""

    @pytest.mark.parametrize(
        ("lag", "limits", "ready"),
        [
            pytest.param(15.0, {}, True, id="configured limit"),
            pytest.param(15.0, {"lag": 10.0}, False, id="stricter"),
            pytest.param(60.0, {}, False, id="beyond the configured limit"),
            pytest.param(60.0, {"lag": 120.0}, True, id="laxer"),
            pytest.param(0.0, {"shard_client_lag": 1}, True, id="no gap"),
        ],
    )
    def test_limits(self, scene: Any, lag: float, limits: Any, ready: bool) -> None:
        trio = scene()

        def tick() -> None:
            trio.answer(trio.targets[0], lag=lag)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        judgement = trio.ticks(1, tick)
        assert ask(judgement, "majority", **limits).ready is ready

    def test_no_hysteresis(self, scene: Any) -> None:
        trio = scene()
        play(trio, "gb")
        assert trio.readiness.phase is READY
        assert not ask(trio.judgement, "majority").ready


def test_accounts_that_cannot_be_read_are_not_within_any_limit_of_a_request(scene: Any) -> None:
    trio = scene()
    play(trio, "g")
    for _ in range(2):
        trio.ask(trio.targets[0], Probe.ACCOUNT, Reason.SHARD_LAG)
    play(trio, "g")
    asked = ask(trio.judgement, "all", shard_client_lag=10_000)
    assert asked.barred[trio.targets[0].name] == {State.SHARD_LAGGING}


def test_references_are_counted_and_decide_nothing(scene: Any) -> None:
    node, public = (
        make_target("node", "liteserver", "primary"),
        make_target("public", "liteserver", "reference"),
    )
    pair = scene(public, node)
    play(pair, "gbbb")
    assert pair.readiness.phase is READY
    assert pair.readiness.standings.keys() == {"node"}
    assert pair.readiness.standing("public").ready is False
    assert pair.readiness.standing("node").ready is True
    assert pair.readiness.standing("stranger") is None
