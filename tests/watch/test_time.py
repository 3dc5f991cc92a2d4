"""Fresh by the clock, at the chain's pace, and by more than one source."""

from dataclasses import replace
from typing import Any

import pytest

from tests.watch.conftest import MAINNET, NODE, OTHER, PROVIDER
from tonwatch.samples.sample import Head
from tonwatch.samples.target import Target
from tonwatch.watch.findings import Cause
from tonwatch.watch.states import State

SECOND = replace(PROVIDER, name="second")


class TestByTheClock:
    """Blocks come, and are old."""

    @pytest.mark.parametrize(
        ("targets", "lags", "cause", "state", "ready"),
        [
            pytest.param([NODE], [3.0], Cause.HEALTHY, State.OK, True, id="one node, fresh"),
            pytest.param(
                [NODE], [14.0], Cause.NODE_LAGGING, State.LAGGING, True, id="one node, 14 s"
            ),
            pytest.param(
                [NODE], [45.0], Cause.NODE_LAGGING, State.LAGGING, False, id="one node, 45 s"
            ),
            pytest.param(
                [NODE, OTHER],
                [60.0, 60.0],
                Cause.ALL_LAGGING,
                State.LAGGING,
                False,
                id="all alike",
            ),
            pytest.param(
                [NODE, OTHER, PROVIDER],
                [60.0, 30.0, 200.0],
                Cause.ALL_LAGGING,
                State.LAGGING,
                False,
                id="all, each by another lag",
            ),
            pytest.param(
                [NODE, OTHER, PROVIDER],
                [60.0, 0.0, 60.0],
                Cause.NODE_LAGGING,
                State.LAGGING,
                False,
                id="most, and one is fresh",
            ),
        ],
    )
    def test_lag(
        self,
        scene: Any,
        targets: list[Target],
        lags: list[float],
        cause: Cause,
        state: State,
        ready: bool,
    ) -> None:
        watched = scene(*targets)

        def tick() -> None:
            for target, lag in zip(targets, lags, strict=True):
                watched.answer(target, lag=lag)

        watched.ticks(8, tick)
        assert watched.diagnosis.cause is cause
        assert watched.judgement.verdicts["node"].state is state
        assert watched.readiness.ready is ready

    def test_a_provider_alone(self, scene: Any) -> None:
        alone = replace(PROVIDER, role="primary")
        watched = scene(alone)
        watched.ticks(8, lambda: watched.answer(alone, lag=60.0, clock_offset=None))
        assert watched.diagnosis.cause is Cause.PROVIDER_LAGGING
        assert not watched.readiness.ready

    @pytest.mark.parametrize("ahead", [-60.0, 60.0])
    def test_a_wrong_local_clock_is_no_lag(self, scene: Any, ahead: float) -> None:
        """The clocks of servers show that ours is wrong."""
        watched = scene(NODE, OTHER)

        def tick() -> None:
            for target in (NODE, OTHER):
                watched.answer(target, lag=ahead, clock_offset=-ahead)

        watched.ticks(8, tick)
        assert watched.diagnosis.cause is Cause.LOCAL_CLOCK_SKEWED
        assert watched.readiness.ready

    def test_a_stall_is_no_lag(self, scene: Any) -> None:
        """The last block of a stalled chain gets older, and is the newest there is."""
        watched = scene(NODE, OTHER)
        watched.ticks(3, lambda: [watched.answer(each) for each in (NODE, OTHER)])
        stays = watched.head()
        causes = set()
        for _ in range(20):
            watched.ticks(
                1, lambda: [watched.answer(each, **_values(stays)) for each in (NODE, OTHER)]
            )
            causes.add(watched.diagnosis.cause)
        assert causes == {Cause.HEALTHY, Cause.CHAIN_STALLED}
        assert watched.readiness.ready


class TestWitnesses:
    """One false witness makes no honest target late, forked or fresh."""

    @pytest.mark.parametrize("ahead", [8.0, 25.0, 3600.0])
    def test_a_reference_with_times_from_the_future(self, scene: Any, ahead: float) -> None:
        watched = scene(NODE, OTHER, PROVIDER)

        def tick() -> None:
            watched.answer(NODE)
            watched.answer(PROVIDER)
            head = watched.head()
            watched.answer(OTHER, gen_utime=head.gen_utime + round(ahead))

        watched.ticks(8, tick)
        verdicts = watched.judgement.verdicts
        assert verdicts["node"].state is State.OK
        assert verdicts["node"].lag_seconds < 1
        assert verdicts["other"].state is State.DISPROVED
        assert watched.diagnosis.cause is Cause.NODE_DISPROVED
        assert watched.readiness.ready

    def test_a_primary_alone_with_times_from_the_future(self, scene: Any) -> None:
        """Its own clock contradicts it."""
        watched = scene(NODE)
        watched.ticks(8, lambda: watched.answer(NODE, lag=-25.0))
        assert watched.diagnosis.cause is Cause.NODE_DISPROVED
        assert not watched.readiness.ready

    @pytest.mark.parametrize(
        ("operators", "cause"),
        [
            (("one", "two"), Cause.CHAIN_STALLED),
            (("one", "one"), Cause.NODE_STALLED),
        ],
    )
    def test_targets_of_one_operator_are_one_source(
        self, scene: Any, operators: tuple[str, str], cause: Cause
    ) -> None:
        node, other = (
            replace(each, operator=operator)
            for each, operator in zip((NODE, OTHER), operators, strict=True)
        )
        watched = scene(node, other)
        stays = watched.head()
        watched.ticks(6, lambda: [watched.answer(each, **_values(stays)) for each in (node, other)])
        assert watched.diagnosis.cause is cause

    def test_two_names_of_one_operator_are_no_majority(self, scene: Any) -> None:
        shops = [replace(each, operator="shop") for each in (PROVIDER, SECOND)]
        watched = scene(NODE, *shops)
        seqno = watched.head().seqno + 1000

        def tick() -> None:
            for each in (NODE, *shops):
                watched.answer(each)
            watched.fork(NODE, seqno, b"a" * 32)
            for shop in shops:
                watched.fork(shop, seqno, b"b" * 32)

        watched.ticks(3, tick)
        assert watched.diagnosis.cause is Cause.SOURCES_DISAGREE


class TestPace:
    """A chain that is slow is not stalled, and nobody lags."""

    @pytest.mark.parametrize(
        ("usual", "slow", "cause"),
        [
            pytest.param(0.4, 12.0, Cause.CHAIN_SLOW, id="0.4 s, then 12 s"),
            pytest.param(0.4, 30.0, Cause.CHAIN_SLOW, id="0.4 s, then 30 s"),
            pytest.param(2.0, 12.0, Cause.CHAIN_SLOW, id="2 s, then 12 s"),
            pytest.param(5.0, 25.0, Cause.CHAIN_SLOW, id="5 s, then 25 s"),
            pytest.param(0.4, 1.0, Cause.HEALTHY, id="0.4 s, then 1 s"),
            pytest.param(5.0, 5.0, Cause.HEALTHY, id="5 s as always"),
            pytest.param(12.0, 12.0, Cause.CHAIN_SLOW, id="12 s from the start"),
        ],
    )
    @pytest.mark.parametrize("count", [1, 2])
    def test_seconds_a_block(
        self, scene: Any, clock: Any, usual: float, slow: float, cause: Cause, count: int
    ) -> None:
        targets = [NODE, OTHER][:count]
        watched = scene(*targets)
        chain = _Chain(clock)

        def tick() -> None:
            for target in targets:
                watched.answer(target, **_values(chain.head()))

        chain.pace(usual)
        watched.ticks(24, tick)
        chain.pace(slow)
        seen = []
        for _ in range(60):
            watched.ticks(1, tick)
            seen.append(watched.diagnosis.cause)
        settled = seen[30:]
        assert set(settled) == {cause}
        assert watched.judgement.verdicts["node"].state is State.OK
        assert watched.readiness.ready

    def test_a_stall_that_ended_is_no_slow_chain(self, scene: Any, clock: Any) -> None:
        watched = scene(NODE, OTHER)
        chain = _Chain(clock)
        chain.pace(0.4)

        def tick() -> None:
            for target in (NODE, OTHER):
                watched.answer(target, **_values(chain.head()))

        watched.ticks(10, tick)
        chain.pace(1e9)
        watched.ticks(24, tick)
        assert watched.diagnosis.finding.cause is Cause.CHAIN_STALLED
        chain.pace(0.4)
        after = set()
        for _ in range(10):
            watched.ticks(1, tick)
            after.add(watched.diagnosis.cause)
        assert after == {Cause.HEALTHY}
        chain.pace(1e9)
        watched.ticks(4, tick)
        assert watched.diagnosis.cause is Cause.CHAIN_STALLED


class TestRollback:
    """The chain goes back, everywhere, with fresh blocks."""

    @pytest.mark.parametrize("targets", [[NODE], [NODE, OTHER, PROVIDER]])
    def test_far_back(self, scene: Any, clock: Any, targets: list[Target]) -> None:
        watched = scene(*targets)
        chain = _Chain(clock)
        chain.pace(0.4)

        def tick() -> None:
            for target in targets:
                watched.answer(target, **_values(chain.head()))

        watched.ticks(6, tick)
        chain.back(500)
        watched.ticks(1, tick)
        assert watched.diagnosis.cause is Cause.CHAIN_ROLLED_BACK
        back = watched.judgement.rolled_back
        assert 480 <= back.before - back.after <= 500
        watched.ticks(60, tick)
        assert watched.diagnosis.cause is Cause.CHAIN_ROLLED_BACK
        assert watched.readiness.ready
        clock.advance(3600)
        watched.ticks(3, tick)
        assert watched.diagnosis.finding.cause is Cause.HEALTHY

    def test_some_blocks_back_behind_a_balancer(self, scene: Any) -> None:
        watched = scene(NODE)
        lags = [0.0, 2.0] * 10
        watched.ticks(20, lambda: watched.answer(NODE, lag=lags.pop()))
        assert watched.diagnosis.cause is Cause.HEALTHY


class _Chain:
    """A chain whose pace changes."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._seconds = 1.0
        self._seqno, self._made = 1_000_000, clock.wall_time

    def pace(self, seconds: float) -> None:
        """Seconds a block from now on."""
        self._go_on()
        self._seconds = seconds
        self._made = min(self._made, self._clock.wall_time)

    def back(self, blocks: int) -> None:
        """Go back, and go on from there."""
        self._go_on()
        self._seqno -= blocks

    def head(self) -> Head:
        """The newest block, half a second after it was made."""
        self._go_on()
        return Head(
            seqno=self._seqno,
            root_hash=self._seqno.to_bytes(32, "big"),
            gen_utime=int(self._made),
            zerostate=MAINNET,
            shard_client_seqno=self._seqno,
            clock_offset=0.0,
            version=0x101,
        )

    def _go_on(self) -> None:
        new = int((self._clock.wall_time - 0.5 - self._made) / self._seconds)
        if new > 0:
            self._seqno += new
            self._made += new * self._seconds


def _values(head: Head) -> dict[str, Any]:
    return {
        name: getattr(head, name)
        for name in ("seqno", "root_hash", "gen_utime", "zerostate", "shard_client_seqno")
    }
