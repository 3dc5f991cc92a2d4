"""Verdicts: the state of each target, from the samples of all."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.configs import make_target
from tonwatch.samples.target import Target
from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import ZEROSTATES
from tonwatch.watch.planner import fork_rounds, is_forked
from tonwatch.watch.states import State

TESTNET = ZEROSTATES["testnet"]


@pytest.fixture
def trio(scene: Any) -> Any:
    """A primary node, a reference node and a provider."""
    return scene()


def node(judgement: Any) -> Any:
    return judgement.verdicts["node"]


def everyone(scene: Any, **observed: Any) -> Callable[[], None]:
    """A tick on which all targets answer, the node with `observed`."""

    def tick() -> None:
        first, *others = scene.targets
        scene.answer(first, **observed)
        for other in others:
            scene.answer(other)

    return tick


class TestAnswers:
    """The state of a target that answers."""

    @pytest.mark.parametrize(
        ("observed", "state", "usable"),
        [
            pytest.param({}, State.OK, True, id="in sync"),
            pytest.param({"lag": 4.0}, State.OK, True, id="4 s behind is noise"),
            pytest.param({"lag": 9.0}, State.OK, True, id="just below the warning"),
            pytest.param({"lag": 12.0}, State.LAGGING, True, id="lagging, still usable"),
            pytest.param({"lag": 25.0}, State.LAGGING, False, id="too far behind"),
            pytest.param({"query": 0.9}, State.OK, True, id="not quite slow"),
            pytest.param({"query": 1.5}, State.SLOW, True, id="slow"),
            pytest.param({"clock_offset": 1.5}, State.OK, True, id="clock a little off"),
            pytest.param({"clock_offset": -30.0}, State.CLOCK_SKEWED, True, id="clock behind"),
            pytest.param({"clock_offset": 30.0}, State.CLOCK_SKEWED, True, id="clock ahead"),
            pytest.param({"zerostate": TESTNET}, State.WRONG_NETWORK, False, id="wrong network"),
            pytest.param({"gen_utime": None}, State.OK, True, id="no block time"),
            pytest.param({"shard_client_seqno": None}, State.OK, True, id="no shard client seqno"),
        ],
    )
    def test_state(self, trio: Any, observed: Any, state: State, usable: bool) -> None:
        verdict = node(trio.ticks(3, everyone(trio, **observed)))
        assert (verdict.state, verdict.usable, verdict.up) == (state, usable, True)

    @pytest.mark.parametrize(
        ("gap", "state", "usable"),
        [
            pytest.param(0, State.OK, True, id="none"),
            pytest.param(15, State.OK, True, id="below the warning"),
            pytest.param(16, State.SHARD_LAGGING, True, id="warning"),
            pytest.param(40, State.SHARD_LAGGING, False, id="unready"),
        ],
    )
    def test_shard_client(self, trio: Any, gap: int, state: State, usable: bool) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], shard_client_seqno=trio.head().seqno - gap)
            trio.answer(trio.targets[1])

        verdict = node(trio.ticks(2, tick))
        assert (verdict.state, verdict.shard_client_lag, verdict.usable) == (state, gap, usable)

    def test_an_old_block_served_because_of_the_shard_client(self, trio: Any) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], lag=12.0, known_seqno=trio.head().seqno)
            trio.answer(trio.targets[1])

        verdict = node(trio.ticks(2, tick))
        assert (verdict.state, verdict.shard_client_lag) == (State.SHARD_LAGGING, 30)

    def test_lag_in_seconds_and_blocks(self, trio: Any) -> None:
        verdict = node(trio.ticks(6, everyone(trio, lag=30.0)))
        assert verdict.lag_seconds == 30.0
        assert verdict.lag_blocks == 75

    def test_probes_at_different_times_are_no_lag(self, trio: Any) -> None:
        first, second, third = trio.targets

        def tick() -> None:
            trio.answer(first)
            trio.clock.advance(4.5)
            trio.answer(second)
            trio.answer(third)

        verdict = node(trio.ticks(6, tick, interval=0.5))
        assert verdict.lag_seconds <= 1.0
        assert verdict.lag_blocks <= 1

    def test_no_flapping_at_the_threshold(self, trio: Any) -> None:
        seen = []
        for lag in (9.0, 11.0, 9.0, 8.0, 7.0, 9.0):
            verdict = node(trio.ticks(1, everyone(trio, lag=lag)))
            seen.append(verdict.state is State.LAGGING)
        assert seen == [False, True, True, True, False, False]


class TestBlocksWithoutTime:
    """Without block times, lag follows from recent answers that had them."""

    def test_of_the_head(self, trio: Any) -> None:
        """Such as both supporters of the head behind load balancers."""
        trio.ticks(2, everyone(trio, lag=30.0))

        def tick() -> None:
            trio.answer(trio.targets[0], lag=30.0)
            for target in trio.targets[1:]:
                trio.answer(target, gen_utime=None)

        verdict = node(trio.ticks(1, tick))
        assert (verdict.state, verdict.lag_seconds) == (State.LAGGING, 30.0)

    def test_of_the_target(self, trio: Any) -> None:
        trio.ticks(2, everyone(trio, lag=30.0))
        verdict = node(trio.ticks(1, everyone(trio, lag=30.0, gen_utime=None)))
        assert (verdict.state, verdict.lag_seconds) == (State.LAGGING, 30.0)

    @pytest.mark.parametrize("whose", ["the head's", "the target's"])
    def test_times_that_are_too_old_do_not_count(self, trio: Any, whose: str) -> None:
        trio.ticks(2, everyone(trio, lag=30.0))

        def tick() -> None:
            lost = {"gen_utime": None}
            trio.answer(trio.targets[0], lag=30.0, **(lost if whose == "the target's" else {}))
            for target in trio.targets[1:]:
                trio.answer(target, **(lost if whose == "the head's" else {}))

        ticks = int(trio.config.probe.stale_after // 5) + 1
        verdict = node(trio.ticks(ticks, tick))
        # Without the head's time the clock shows the lag.
        by_clock = None if whose == "the target's" else pytest.approx(29.0, abs=0.5)
        assert verdict.lag_seconds == by_clock
        assert verdict.lag_blocks == 75


class TestFailures:
    """The state of a target that does not answer, by reason."""

    @pytest.mark.parametrize(
        ("reason", "state"),
        [
            (Reason.NOT_SYNCED, State.NOT_SYNCED),
            (Reason.NOT_READY, State.NOT_SYNCED),
            (Reason.SHARD_LAG, State.SHARD_LAGGING),
            (Reason.UNAUTHORIZED, State.UNAUTHORIZED),
            (Reason.FORBIDDEN, State.UNAUTHORIZED),
            *(
                (reason, State.DOWN)
                for reason in (
                    Reason.KEY_UNAVAILABLE,
                    Reason.RESOLVE_FAILED,
                    Reason.CONNECT_REFUSED,
                    Reason.CONNECT_TIMEOUT,
                    Reason.HANDSHAKE_FAILED,
                    Reason.HANDSHAKE_TIMEOUT,
                    Reason.CONNECTION_LOST,
                    Reason.QUERY_TIMEOUT,
                    Reason.PROTOCOL_ERROR,
                    Reason.BAD_ANSWER,
                    Reason.UPSTREAM_FAILED,
                    Reason.SERVER_ERROR,
                    Reason.PROBE_FAILED,
                )
            ),
        ],
    )
    def test_state(self, trio: Any, reason: Reason, state: State) -> None:
        trio.ticks(1, everyone(trio))
        verdict = node(trio.ticks(2, lambda: trio.fail(trio.targets[0], reason)))
        assert (verdict.state, verdict.reason) == (state, reason)
        assert not verdict.usable
        assert not verdict.up
        assert verdict.head is None

    def test_one_lost_answer_changes_nothing(self, trio: Any) -> None:
        trio.ticks(2, everyone(trio))
        before = node(trio.judgement)
        after = node(trio.ticks(1, lambda: trio.fail(trio.targets[0], Reason.QUERY_TIMEOUT)))
        assert after.state is State.OK
        assert after.since == before.since

    def test_one_lost_answer_is_still_a_failed_probe(self, trio: Any) -> None:
        trio.ticks(2, everyone(trio))
        verdict = node(trio.ticks(1, lambda: trio.fail(trio.targets[0], Reason.QUERY_TIMEOUT)))
        assert not verdict.usable

    def test_a_target_that_never_answered_is_down_at_once(self, trio: Any) -> None:
        verdict = node(trio.ticks(1, lambda: trio.fail(trio.targets[0], Reason.CONNECT_REFUSED)))
        assert verdict.state is State.DOWN


class TestNewConnections:
    """A kept connection may work while new connections are refused."""

    @pytest.mark.parametrize(
        ("connects", "state"),
        [
            pytest.param([Reason.OK, Reason.OK], State.OK, id="accepted"),
            pytest.param([Reason.OK, Reason.CONNECT_TIMEOUT], State.OK, id="refused once"),
            pytest.param([Reason.CONNECT_TIMEOUT] * 2, State.DOWN, id="refused twice"),
            pytest.param(
                [Reason.PROOF_INVALID] * 2, State.PROOF_INVALID, id="a false proof, twice"
            ),
            pytest.param([Reason.QUERY_TIMEOUT] * 2, State.OK, id="slow, not refused"),
            pytest.param([Reason.CONNECT_REFUSED, Reason.OK], State.OK, id="accepted again"),
        ],
    )
    def test_state(self, trio: Any, connects: list[Reason], state: State) -> None:
        for reason in connects:
            trio.connect(trio.targets[0], reason)
        verdict = node(trio.ticks(2, everyone(trio)))
        assert verdict.state is state
        assert verdict.usable is (state is State.OK)


class TestAge:
    """A stale state is unknown."""

    def test_never_probed(self, trio: Any) -> None:
        verdict = node(trio.judge())
        assert (verdict.state, verdict.usable, verdict.newest) == (State.UNKNOWN, False, None)

    def test_stale(self, trio: Any) -> None:
        trio.ticks(2, everyone(trio))
        trio.clock.advance(trio.config.probe.stale_after + 0.1)
        verdict = node(trio.judge())
        assert verdict.state is State.UNKNOWN
        assert verdict.head is None
        assert verdict.lag_seconds is None

    def test_since_lasts_as_long_as_the_state(self, trio: Any) -> None:
        trio.ticks(1, everyone(trio, lag=30.0))
        began = trio.clock.wall_time
        verdict = node(trio.ticks(4, everyone(trio, lag=30.0)))
        assert verdict.since == began


class TestHead:
    """Two independent sources support the head; the local clock can be one."""

    def test_nobody_answers(self, trio: Any) -> None:
        assert trio.judge().head is None

    def test_the_only_one_that_answers(self, trio: Any) -> None:
        judgement = trio.ticks(1, lambda: trio.answer(trio.targets[0]))
        assert judgement.head.target == "node"
        assert node(judgement).lag_seconds == 0.0

    def test_one_false_head_cannot_move_it(self, trio: Any) -> None:
        def tick() -> None:
            seqno = trio.head().seqno
            trio.answer(trio.targets[0], seqno=seqno + 1000, gen_utime=int(trio.clock.wall_time))
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        judgement = trio.ticks(3, tick)
        assert judgement.head.seqno == trio.head().seqno
        assert judgement.verdicts["other"].state is State.OK

    def test_one_false_head_in_the_future_cannot_move_it(self, trio: Any) -> None:
        def tick() -> None:
            seqno = trio.head().seqno
            trio.answer(
                trio.targets[0], seqno=seqno + 1000, gen_utime=int(trio.clock.wall_time) + 600
            )
            trio.answer(trio.targets[1])

        judgement = trio.ticks(3, tick)
        assert judgement.head.target == "other"

    def test_of_two_targets_the_local_clock_decides_which_lags(self, scene: Any) -> None:
        duo = scene(*scene().targets[:2])
        judgement = duo.ticks(3, everyone(duo, lag=60.0))
        assert judgement.head.target == "other"
        assert node(judgement).state is State.LAGGING

    def test_two_that_lag_together_do_not_make_the_third_wrong(self, trio: Any) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], lag=60.0)
            trio.answer(trio.targets[1], lag=60.0)
            trio.answer(trio.targets[2])

        judgement = trio.ticks(3, tick)
        assert judgement.verdicts["node"].state is State.LAGGING
        assert judgement.verdicts["other"].state is State.LAGGING
        assert judgement.verdicts["provider"].state is State.OK

    def test_another_network_has_no_vote(self, trio: Any) -> None:
        def tick() -> None:
            for target in trio.targets[:2]:
                trio.answer(target, seqno=10**8, zerostate=TESTNET)
            trio.answer(trio.targets[2])

        assert trio.ticks(2, tick).head.target == "provider"


class TestStall:
    """A stalled node, and a stalled chain."""

    def test_a_stalled_node(self, trio: Any) -> None:
        stuck = trio.head()

        def tick() -> None:
            trio.answer(trio.targets[0], seqno=stuck.seqno, gen_utime=stuck.gen_utime)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        judgement = trio.ticks(5, tick)
        assert node(judgement).state is State.STALLED
        assert not node(judgement).usable
        assert not judgement.stalled

    def test_a_stalled_chain(self, trio: Any) -> None:
        stuck = trio.head()

        def tick() -> None:
            for target in trio.targets:
                trio.answer(target, seqno=stuck.seqno, gen_utime=stuck.gen_utime)

        judgement = trio.ticks(5, tick)
        assert judgement.stalled
        assert {verdict.state for verdict in judgement.verdicts.values()} == {State.STALLED}
        assert all(verdict.usable for verdict in judgement.verdicts.values())
        assert all(verdict.lag_seconds == 0.0 for verdict in judgement.verdicts.values())

    def test_a_lost_answer_does_not_end_it(self, trio: Any) -> None:
        """What a target said before its answer was lost does not contradict the others."""
        stuck = trio.head()

        def tick(*targets: Target) -> None:
            for target in targets:
                trio.answer(target, seqno=stuck.seqno, gen_utime=stuck.gen_utime)

        trio.ticks(3, lambda: tick(*trio.targets))
        for _ in range(2):
            judgement = trio.ticks(1, lambda: tick(*trio.targets[:2]))
            trio.clock.advance(4.0)
            trio.fail(trio.targets[2], Reason.QUERY_TIMEOUT)
            judgement = trio.judge()
            assert judgement.stalled

    def test_a_stalled_chain_makes_unready_where_configured(self, scene: Any) -> None:
        gated = scene(gates={"chain_stalled": True})
        stuck = gated.head()

        def tick() -> None:
            for target in gated.targets:
                gated.answer(target, seqno=stuck.seqno, gen_utime=stuck.gen_utime)

        assert not node(gated.ticks(5, tick)).usable

    def test_no_target_is_stalled_when_the_chain_goes_on(self, trio: Any) -> None:
        stuck = trio.head()

        def tick() -> None:
            for target in trio.targets:
                trio.answer(target, seqno=stuck.seqno, gen_utime=stuck.gen_utime)

        trio.ticks(6, tick)
        trio.clock.advance(1.0)
        trio.answer(trio.targets[0])
        judgement = trio.judge()
        assert not judgement.stalled
        assert State.STALLED not in {verdict.state for verdict in judgement.verdicts.values()}

    def test_no_lag_before_the_first_probe_after_a_stalled_chain(self, trio: Any) -> None:
        stuck = trio.head()

        def tick() -> None:
            for target in trio.targets:
                trio.answer(target, seqno=stuck.seqno, gen_utime=stuck.gen_utime)

        trio.ticks(30, tick)
        trio.clock.advance(3.0)
        trio.answer(trio.targets[0])
        judgement = trio.judge()
        assert {verdict.state for verdict in judgement.verdicts.values()} == {State.OK}

    def test_back_from_an_outage_at_an_old_block_is_no_stall(self, trio: Any) -> None:
        trio.ticks(2, everyone(trio))
        trio.ticks(10, lambda: trio.fail(trio.targets[0], Reason.NOT_SYNCED))
        verdict = node(trio.ticks(1, everyone(trio, lag=120.0)))
        assert verdict.state is State.LAGGING

    def test_no_stall_without_probes(self, trio: Any) -> None:
        trio.ticks(2, everyone(trio))
        trio.clock.advance(trio.config.probe.stale_after - 1.0)
        judgement = trio.judge()
        assert not judgement.stalled
        assert node(judgement).state is State.OK

    def test_a_single_source_cannot_show_a_stalled_chain(self, scene: Any) -> None:
        solo = scene(scene().targets[0])
        stuck = solo.head()

        def tick() -> None:
            solo.answer(solo.targets[0], seqno=stuck.seqno, gen_utime=stuck.gen_utime)

        judgement = solo.ticks(5, tick)
        assert not judgement.stalled
        assert node(judgement).state is State.STALLED


class TestClock:
    """Which clock is wrong: a server's or the local one. Block times count as well."""

    @pytest.mark.parametrize(
        ("node_offset", "other_offset", "block_age", "local_offset", "node_state"),
        [
            pytest.param(0.0, 0.3, 1.0, None, State.OK, id="no skew"),
            pytest.param(30.0, 0.3, 1.0, None, State.CLOCK_SKEWED, id="the node's"),
            pytest.param(30.0, 30.4, -29.0, 30.2, State.OK, id="the local clock"),
            pytest.param(-7.0, -7.5, 8.0, -7.25, State.OK, id="the local clock, ahead"),
            pytest.param(
                30.0, 30.4, 1.0, None, State.CLOCK_SKEWED, id="both servers', not the local one"
            ),
            pytest.param(30.0, -30.0, 1.0, None, State.CLOCK_SKEWED, id="they disagree"),
            pytest.param(30.0, None, 1.0, None, State.CLOCK_SKEWED, id="the only server's"),
            pytest.param(
                30.0, None, -29.0, 30.0, State.OK, id="the local clock against the only server's"
            ),
            pytest.param(None, None, -29.0, 28.5, State.OK, id="blocks from the future"),
            pytest.param(None, None, 1.0, None, State.OK, id="no times"),
        ],
    )
    def test_which_clock(
        self,
        trio: Any,
        node_offset: float | None,
        other_offset: float | None,
        block_age: float,
        local_offset: float | None,
        node_state: State,
    ) -> None:
        def tick() -> None:
            offsets = (node_offset, other_offset, None)
            for target, offset in zip(trio.targets, offsets, strict=True):
                trio.answer(target, lag=block_age - 1.0, clock_offset=offset)

        judgement = trio.ticks(2, tick)
        assert judgement.clock_offset == (
            None if local_offset is None else pytest.approx(local_offset, abs=0.6)
        )
        assert node(judgement).state is node_state

    def test_a_block_made_while_a_slow_answer_was_waited_for(self, scene: Any) -> None:
        """It is later than the question, and shows nothing about a clock."""
        solo = scene(scene().targets[0])
        tick = lambda: solo.answer(solo.targets[0], lag=-7.5, query=8.0, clock_offset=None)  # noqa: E731
        judgement = solo.ticks(3, tick)
        assert judgement.clock_offset is None
        assert node(judgement).state is State.SLOW

    def test_false_block_times_of_one_source_do_not_decide(self, trio: Any) -> None:
        """The local clock is 20 s ahead; one block is as fresh by it as a true one would be."""

        def tick() -> None:
            for target, lag in zip(trio.targets, (0.0, 20.0, 20.0), strict=True):
                gen_utime = int(trio.clock.wall_time - 1.0 - lag)
                trio.answer(target, lag=20.0, gen_utime=gen_utime, clock_offset=-20.0)

        judgement = trio.ticks(2, tick)
        assert judgement.clock_offset == pytest.approx(-20.0)
        assert node(judgement).state is State.DISPROVED
        assert judgement.verdicts["other"].state is State.OK


class TestClockSet:
    """The local clock is set while samples are in the store: they are read by the new time."""

    def test_a_jump_of_the_local_clock(self, trio: Any) -> None:
        epoch = trio.clock.wall_time - trio.clock.monotonic_time

        def tick(*targets: Target, ahead: float) -> None:
            for target in targets:
                trio.answer(target, lag=ahead, clock_offset=-ahead, epoch=epoch + ahead)

        trio.ticks(2, lambda: tick(*trio.targets, ahead=0.0))
        trio.clock.wall_time += 90.0
        trio.clock.advance(5.0)
        tick(trio.targets[0], ahead=90.0)
        judgement = trio.judge()
        assert judgement.clock_offset == pytest.approx(-90.0, abs=1.0)
        assert {verdict.state for verdict in judgement.verdicts.values()} == {State.OK}


class TestForks:
    """Root hashes at one seqno: the majority is the chain."""

    @staticmethod
    def round(scene: Any, *hashes: bytes, after: int = 1) -> None:
        """A fork probe of every target, `after` blocks after the head."""
        for target, root_hash in zip(scene.targets, hashes, strict=True):
            scene.fork(target, scene.head().seqno + after, root_hash)

    @pytest.mark.parametrize(
        ("hashes", "forked", "undecided"),
        [
            pytest.param((b"a", b"a", b"a"), set(), set(), id="all agree"),
            pytest.param((b"b", b"a", b"a"), {"node"}, set(), id="the node differs"),
            pytest.param((b"a", b"a", b"b"), {"provider"}, set(), id="the provider differs"),
            pytest.param(
                (b"a", b"b", b"c"), set(), {"node", "other", "provider"}, id="nobody agrees"
            ),
        ],
    )
    def test_minority(
        self, trio: Any, hashes: tuple[bytes, ...], forked: set[str], undecided: set[str]
    ) -> None:
        trio.ticks(1, everyone(trio))
        self.round(trio, *hashes)
        judgement = trio.judge()
        states = judgement.verdicts.items()
        assert {name for name, verdict in states if verdict.state is State.FORKED} == forked
        assert set(judgement.forks.undecided) == undecided

    def test_a_forked_target_is_not_usable_and_has_no_vote_on_the_head(self, trio: Any) -> None:
        trio.ticks(1, everyone(trio))
        self.round(trio, b"b", b"a", b"a")
        judgement = trio.ticks(1, everyone(trio, lag=-100.0))
        assert not node(judgement).usable
        assert node(judgement).lag_seconds is None
        assert judgement.head.target != "node"

    def test_the_newest_comparison_counts(self, trio: Any) -> None:
        trio.ticks(1, everyone(trio))
        self.round(trio, b"b", b"a", b"a")
        self.round(trio, b"a", b"a", b"a", after=2)
        assert node(trio.judge()).state is State.OK

    def test_blocks_of_a_history_that_it_has_left_do_not_count(self, trio: Any) -> None:
        """It was on a fork, went back, and now others reach the blocks that it had there."""
        trio.ticks(3, lambda: trio.answer(trio.targets[0], lag=-40.0, root_hash=b"b"))

        def tick() -> None:
            trio.answer(trio.targets[0], lag=2.0)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        states = {node(trio.ticks(1, tick)).state for _ in range(9)}
        assert states == {State.OK}

    def test_who_lags_far_does_not_hide_the_newest_blocks(self, trio: Any) -> None:
        """Those near the head are compared at a newer block than all of them are."""

        def tick() -> None:
            for target, lag in zip(trio.targets, (2.0, 1.0, 600.0), strict=True):
                trio.answer(target, lag=lag)

        near, whole = fork_rounds(trio.ticks(2, tick))
        assert list(near.targets) == ["node", "other"]
        assert list(whole.targets) == ["node", "other", "provider"]
        assert near.seqno > whole.seqno
        for target, root_hash in zip(trio.targets[:2], (b"b", b"a"), strict=True):
            trio.fork(target, near.seqno - 1, root_hash)
        assert set(trio.judge().forks.undecided) == {"node", "other"}

    def test_a_tie_without_all_of_them_is_unsettled(self, trio: Any) -> None:
        """The third has not answered the round: the next one comes soon, and settles it."""
        trio.ticks(1, everyone(trio))
        for target, root_hash in zip(trio.targets[:2], (b"b", b"a"), strict=True):
            trio.fork(target, trio.head().seqno + 1, root_hash)
        assert trio.judge().forks.unsettled
        assert is_forked(trio.judge())
        self.round(trio, b"a", b"a", b"a", after=2)
        assert not trio.judge().forks.unsettled

    def test_two_targets_have_no_majority(self, scene: Any) -> None:
        duo = scene(*scene().targets[:2])
        duo.ticks(1, everyone(duo))
        self.round(duo, b"a", b"b")
        judgement = duo.judge()
        assert set(judgement.forks.undecided) == {"node", "other"}
        assert node(judgement).state is State.OK

    def test_heads_of_equal_seqno_are_compared_as_well(self, trio: Any) -> None:
        def tick() -> None:
            for target, root_hash in zip(trio.targets, (b"b", b"a", b"a"), strict=True):
                trio.answer(target, root_hash=root_hash)

        assert node(trio.ticks(1, tick)).state is State.FORKED

    def test_another_network_is_no_fork(self, trio: Any) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], root_hash=b"b", zerostate=TESTNET)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        assert node(trio.ticks(1, tick)).state is State.WRONG_NETWORK


class TestEgress:
    """All external targets unreachable at once: the egress is broken."""

    @pytest.fixture
    def outside(self, scene: Any) -> Any:
        """A local node and two external references."""
        return scene(
            make_target("node", "liteserver", "primary", local=True),
            make_target("public", "liteserver", "reference"),
            make_target("provider", "toncenter-v2", "reference"),
        )

    @pytest.mark.parametrize(
        ("public", "provider", "broken"),
        [
            pytest.param(Reason.CONNECT_TIMEOUT, Reason.CONNECT_TIMEOUT, True, id="dropped"),
            pytest.param(Reason.RESOLVE_FAILED, Reason.RESOLVE_FAILED, True, id="no DNS"),
            pytest.param(Reason.CONNECT_REFUSED, Reason.CONNECT_FAILED, True, id="rejected"),
            pytest.param(Reason.CONNECT_TIMEOUT, Reason.QUERY_TIMEOUT, True, id="one times out"),
            pytest.param(Reason.QUERY_TIMEOUT, Reason.QUERY_TIMEOUT, False, id="only timeouts"),
            pytest.param(Reason.CONNECT_TIMEOUT, Reason.RATE_LIMITED, False, id="one answers"),
            pytest.param(Reason.HANDSHAKE_FAILED, Reason.CONNECT_TIMEOUT, False, id="reached"),
        ],
    )
    def test_broken(self, outside: Any, public: Reason, provider: Reason, broken: bool) -> None:
        def tick() -> None:
            outside.answer(outside.targets[0])
            outside.fail(outside.targets[1], public)
            outside.fail(outside.targets[2], provider)

        assert bool(outside.ticks(2, tick).unreachable) is broken

    def test_a_single_lost_answer_each_is_not_enough(self, outside: Any) -> None:
        outside.ticks(1, everyone(outside))

        def tick() -> None:
            for target in outside.targets[1:]:
                outside.fail(target, Reason.CONNECT_TIMEOUT)

        assert not outside.ticks(1, tick).unreachable

    def test_targets_not_probed_since_it_recovered_are_not_down(self, outside: Any) -> None:
        def cut() -> None:
            outside.answer(outside.targets[0])
            for target in outside.targets[1:]:
                outside.fail(target, Reason.CONNECT_TIMEOUT)

        outside.ticks(3, cut)
        outside.clock.advance(4.0)
        outside.answer(outside.targets[1])
        assert set(outside.judge().excused) == {"provider"}
        outside.clock.advance(4.0)
        outside.fail(outside.targets[2], Reason.CONNECT_TIMEOUT)
        assert not outside.judge().excused

    def test_the_first_unreachable_target_makes_it_suspect(self, outside: Any) -> None:
        """The others may be unreachable as well: they have not been probed since."""
        outside.ticks(2, everyone(outside))
        for _ in range(2):
            outside.clock.advance(4.0)
            outside.fail(outside.targets[1], Reason.CONNECT_TIMEOUT)
        assert outside.judge().suspects == ("public",)
        outside.answer(outside.targets[2])
        assert outside.judge().suspects == ()

    def test_it_is_not_suspect_for_long(self, outside: Any) -> None:
        outside.ticks(2, everyone(outside))
        outside.ticks(4, lambda: outside.fail(outside.targets[1], Reason.CONNECT_TIMEOUT))
        assert outside.judgement.suspects == ()

    def test_one_external_target_alone_shows_nothing(self, scene: Any) -> None:
        solo = scene(make_target("provider", "toncenter-v2", "primary"))
        judgement = solo.ticks(3, lambda: solo.fail(solo.targets[0], Reason.CONNECT_TIMEOUT))
        assert not judgement.unreachable


class TestCatchingUp:
    """Time until a target is in sync, by its own rate."""

    def test_gaining(self, trio: Any) -> None:
        lag = iter([340.0, 325.0, 310.0, 295.0])

        def tick() -> None:
            trio.answer(trio.targets[0], lag=next(lag))
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        verdict = node(trio.ticks(4, tick))
        assert verdict.state is State.LAGGING
        assert verdict.in_sync_in == pytest.approx(295.0 / 3.0, abs=3.0)

    @pytest.mark.parametrize("lag", [[60.0] * 4, [60.0, 65.0, 70.0], [60.0, 59.0, 58.0]])
    def test_not_gaining(self, trio: Any, lag: list[float]) -> None:
        values = iter(lag)

        def tick() -> None:
            trio.answer(trio.targets[0], lag=next(values))
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        assert node(trio.ticks(len(lag), tick)).in_sync_in is None


class TestFlapping:
    """A target that fails and recovers again and again is flapping."""

    @staticmethod
    def play(trio: Any, ticks: str) -> list[State]:
        """One letter a tick: g answers, b fails."""
        states = []
        for letter in ticks:
            trio.clock.advance(5.0)
            for other in trio.targets[1:]:
                trio.answer(other)
            if letter == "g":
                trio.answer(trio.targets[0])
            else:
                trio.fail(trio.targets[0], Reason.CONNECT_REFUSED)
            states.append(node(trio.judge()).state)
        return states

    def test_three_interruptions(self, trio: Any) -> None:
        states = self.play(trio, "g" + "bbbggg" * 3 + "bbbggg" * 2)
        assert State.FLAPPING not in states[:16]
        assert set(states[16:]) == {State.FLAPPING}

    def test_it_ends_after_long_enough_without_interruption(self, trio: Any) -> None:
        states = self.play(trio, "g" + "bbbggg" * 3 + "g" * 40)
        assert states[-1] is State.OK

    def test_a_target_that_stays_down_is_down(self, trio: Any) -> None:
        states = self.play(trio, "g" + "bbbggg" * 3 + "b" * 20)
        assert states[-1] is State.DOWN

    def test_rare_lost_answers_are_no_flapping(self, trio: Any) -> None:
        states = self.play(trio, "gggggggb" * 12)
        assert set(states) == {State.OK}

    def test_every_other_answer_lost_is_flapping(self, trio: Any) -> None:
        states = self.play(trio, "gb" * 18)
        assert states[-1] is State.FLAPPING
