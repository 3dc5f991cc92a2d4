"""The diagnosis: one cause, a sentence with numbers, and further findings below it."""

from typing import Any

import pytest

from tests.configs import make_target
from tests.watch.conftest import NODE, OTHER, PROVIDER
from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import ZEROSTATES
from tonwatch.watch.findings import Cause
from tonwatch.watch.sentences import duration
from tonwatch.watch.states import State
from tonwatch.watch.verdicts import Verdict


@pytest.fixture
def trio(scene: Any) -> Any:
    return scene()


def healthy(trio: Any) -> None:
    for target in trio.targets:
        trio.answer(target)


class TestSentences:
    """A sentence for every state."""

    @pytest.mark.parametrize(
        ("observed", "cause", "words"),
        [
            ({"lag": 34.0}, Cause.NODE_LAGGING, "node is 34 s (85 blocks) behind the head"),
            ({"query": 2.0}, Cause.NODE_SLOW, "node takes 2.0 s to answer"),
            (
                {"clock_offset": -30.0},
                Cause.NODE_CLOCK_SKEWED,
                "The clock of node is 30.0 s behind the local clock",
            ),
            (
                {"zerostate": ZEROSTATES["testnet"]},
                Cause.WRONG_NETWORK,
                "node serves another network, the one with zerostate testnet",
            ),
        ],
    )
    def test_answering(self, trio: Any, observed: Any, cause: Cause, words: str) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], **observed)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        trio.ticks(6, tick)
        assert trio.diagnosis.cause is cause
        assert words in trio.diagnosis.sentence

    @pytest.mark.parametrize(
        ("reason", "cause", "words"),
        [
            (Reason.CONNECT_REFUSED, Cause.NODE_DOWN, "no process listens"),
            (Reason.HANDSHAKE_TIMEOUT, Cause.NODE_DOWN, "hangs, or its key"),
            (Reason.HANDSHAKE_FAILED, Cause.NODE_DOWN, "its key is not the configured one"),
            (Reason.CONNECTION_LOST, Cause.NODE_DOWN, "closes connections"),
            (Reason.PROTOCOL_ERROR, Cause.NODE_DOWN, "violates the protocol"),
            (Reason.NOT_SYNCED, Cause.NODE_NOT_SYNCED, "alive but not in sync"),
            (Reason.RATE_LIMITED, Cause.NODE_THROTTLED, "is up, but rate-limits requests"),
        ],
    )
    def test_not_answering(self, trio: Any, reason: Reason, cause: Cause, words: str) -> None:
        def tick() -> None:
            trio.fail(trio.targets[0], reason)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        trio.ticks(2, tick)
        assert trio.diagnosis.cause is cause
        assert words in trio.diagnosis.sentence

    @pytest.mark.parametrize(
        ("reason", "cause", "words"),
        [
            (Reason.UNAUTHORIZED, Cause.PROVIDER_UNAUTHORIZED, "rejects the API key"),
            (Reason.FORBIDDEN, Cause.PROVIDER_UNAUTHORIZED, "needs one, or denies access"),
            (Reason.RATE_LIMITED, Cause.PROVIDER_THROTTLED, "is up, but rate-limits requests"),
            (Reason.BAD_ANSWER, Cause.PROVIDER_DOWN, "cannot be parsed"),
            (Reason.UPSTREAM_FAILED, Cause.PROVIDER_DOWN, "no working node behind it"),
        ],
    )
    def test_provider(self, trio: Any, reason: Reason, cause: Cause, words: str) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0])
            trio.answer(trio.targets[1])
            trio.fail(trio.targets[2], reason)

        trio.ticks(2, tick)
        assert trio.diagnosis.cause is cause
        assert words in trio.diagnosis.sentence

    def test_stalled_node(self, trio: Any) -> None:
        stuck = trio.head()

        def tick() -> None:
            trio.answer(trio.targets[0], seqno=stuck.seqno, gen_utime=stuck.gen_utime)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        trio.ticks(6, tick)
        assert trio.diagnosis.cause is Cause.NODE_STALLED
        assert f"stays at block {stuck.seqno}" in trio.diagnosis.sentence

    def test_shard_client(self, trio: Any) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], shard_client_seqno=trio.head().seqno - 60)
            trio.answer(trio.targets[1])

        trio.ticks(2, tick)
        assert trio.diagnosis.cause is Cause.NODE_SHARD_LAGGING
        assert "shards lag it by 60 blocks" in trio.diagnosis.sentence

    def test_healthy(self, trio: Any) -> None:
        trio.ticks(2, lambda: healthy(trio))
        assert trio.diagnosis.cause is Cause.HEALTHY
        assert "All 3 targets are alive and in sync" in trio.diagnosis.sentence

    def test_starting(self, trio: Any) -> None:
        trio.judge()
        assert trio.diagnosis.cause is Cause.STARTING
        assert trio.diagnosis.sentence == "3 of 3 targets have not been probed yet."

    def test_still_starting_while_one_has_not_been_probed(self, trio: Any) -> None:
        trio.ticks(1, lambda: trio.answer(trio.targets[0]))
        assert trio.diagnosis.cause is Cause.STARTING

    def test_a_known_problem_is_named_while_starting(self, trio: Any) -> None:
        trio.ticks(1, lambda: trio.fail(trio.targets[0], Reason.CONNECT_REFUSED))
        assert trio.diagnosis.cause is Cause.NODE_DOWN

    @pytest.mark.parametrize("kind", ["liteserver", "toncenter-v2"])
    @pytest.mark.parametrize("state", sorted(set(State) - {State.OK}))
    def test_every_state_of_every_kind_has_a_sentence(
        self, scene: Any, kind: Any, state: State
    ) -> None:
        solo = scene(make_target("it", kind, "primary"))
        judgement = solo.ticks(1, lambda: solo.answer(solo.targets[0]))
        verdict = Verdict(target=solo.targets[0], state=state, since=0.0, newest=1.0)
        judgement.verdicts["it"] = verdict
        from tonwatch.watch.diagnosis import diagnose

        assert "it" in diagnose(judgement, None, solo.config.thresholds).sentence


class TestSeveralTargets:
    """Causes that show only from several targets."""

    def test_fork(self, trio: Any) -> None:
        trio.ticks(1, lambda: healthy(trio))
        for target, root_hash in zip(trio.targets, (b"b", b"a", b"a"), strict=True):
            trio.fork(target, trio.head().seqno + 1, root_hash)
        trio.judge()
        assert trio.diagnosis.cause is Cause.NODE_FORKED
        assert "node is on a fork" in trio.diagnosis.sentence

    def test_disagreement(self, scene: Any) -> None:
        duo = scene(NODE, OTHER)
        duo.ticks(1, lambda: healthy(duo))
        for target, root_hash in zip(duo.targets, (b"b", b"a"), strict=True):
            duo.fork(target, duo.head().seqno + 1, root_hash)
        duo.judge()
        assert duo.diagnosis.cause is Cause.SOURCES_DISAGREE
        assert "node and other have different blocks" in duo.diagnosis.sentence
        assert len(duo.diagnosis.finding.evidence) == 2

    def test_a_tie_is_no_disagreement_while_a_vote_is_missing(self, trio: Any) -> None:
        trio.ticks(1, lambda: healthy(trio))
        for target, root_hash in zip(trio.targets[:2], (b"b", b"a"), strict=True):
            trio.fork(target, trio.head().seqno + 1, root_hash)
        trio.judge()
        assert trio.diagnosis.cause is Cause.HEALTHY

    @pytest.mark.parametrize(
        ("reason", "words"),
        [
            (Reason.CONNECT_TIMEOUT, "Egress is broken: none of the 2 external targets"),
            (Reason.RESOLVE_FAILED, "Host names do not resolve here"),
        ],
    )
    def test_egress(self, scene: Any, reason: Reason, words: str) -> None:
        local = make_target("node", "liteserver", "primary", local=True)
        trio = scene(local, OTHER, PROVIDER)

        def tick() -> None:
            trio.answer(local)
            trio.fail(OTHER, reason)
            trio.fail(PROVIDER, reason)

        trio.ticks(3, tick)
        assert trio.diagnosis.cause is Cause.EGRESS_BROKEN
        assert words in trio.diagnosis.sentence
        assert trio.diagnosis.also == ()
        assert len(trio.diagnosis.finding.evidence) == 3

    def test_catching_up(self, trio: Any) -> None:
        lag = iter([340.0, 325.0, 310.0, 295.0])

        def tick() -> None:
            trio.answer(trio.targets[0], lag=next(lag))
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        trio.ticks(4, tick)
        assert trio.diagnosis.cause is Cause.NODE_CATCHING_UP
        assert "catching up: in sync in about 98 s" in trio.diagnosis.sentence

    def test_no_longer_catching_up(self, trio: Any) -> None:
        """What was gained more than a minute ago says nothing of when it will be in sync."""
        lags = [340.0, 325.0, *[310.0] * 14]
        lag = iter(lags)

        def tick() -> None:
            trio.answer(trio.targets[0], lag=next(lag))
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        causes = [trio.ticks(1, tick) and trio.diagnosis.cause for _ in lags]
        assert (causes[12], causes[15]) == (Cause.NODE_CATCHING_UP, Cause.NODE_LAGGING)

    def test_flapping(self, trio: Any) -> None:
        healthy(trio)
        for _ in range(4):
            trio.ticks(3, lambda: trio.fail(trio.targets[0], Reason.CONNECT_REFUSED))
            trio.ticks(3, lambda: healthy(trio))
        causes = {finding.cause for finding in (trio.diagnosis.finding, *trio.diagnosis.also)}
        assert Cause.NODE_FLAPPING in causes

    def test_flapping_is_named_while_it_is_down_too(self, trio: Any) -> None:
        """An external target that fails makes the egress suspect, unless that target flaps."""
        node = trio.targets[0]

        def gone() -> None:
            trio.fail(node, Reason.CONNECT_REFUSED)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        for _ in range(4):
            trio.ticks(3, gone)
            trio.ticks(3, lambda: healthy(trio))
        assert trio.diagnosis.cause is Cause.NODE_FLAPPING
        judgement = trio.ticks(2, lambda: trio.fail(node, Reason.CONNECT_REFUSED), interval=4.0)
        assert judgement.suspects == ("node",)
        assert trio.diagnosis.cause is Cause.NODE_FLAPPING


class TestBlame:
    """The first cause explains the others."""

    def test_a_stalled_chain_blames_no_node(self, trio: Any) -> None:
        stuck = trio.head()

        def tick() -> None:
            for target in trio.targets:
                trio.answer(target, seqno=stuck.seqno, gen_utime=stuck.gen_utime)

        trio.ticks(5, tick)
        assert trio.diagnosis.cause is Cause.CHAIN_STALLED
        assert trio.diagnosis.also == ()

    def test_the_local_clock_comes_first(self, trio: Any) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], lag=-60.0, clock_offset=60.0)
            trio.answer(trio.targets[1], lag=-60.0, clock_offset=60.2)
            trio.fail(trio.targets[2], Reason.RATE_LIMITED)

        trio.ticks(2, tick)
        assert trio.diagnosis.cause is Cause.LOCAL_CLOCK_SKEWED
        assert [finding.cause for finding in trio.diagnosis.also] == [Cause.PROVIDER_THROTTLED]

    def test_a_primary_comes_before_a_reference(self, trio: Any) -> None:
        def tick() -> None:
            trio.answer(trio.targets[0], query=2.0)
            trio.fail(trio.targets[1], Reason.CONNECT_REFUSED)
            trio.answer(trio.targets[2])

        trio.ticks(3, tick)
        assert trio.diagnosis.cause is Cause.NODE_SLOW
        assert [finding.cause for finding in trio.diagnosis.also] == [Cause.NODE_DOWN]

    def test_since_is_kept_while_the_cause_lasts(self, trio: Any) -> None:
        def tick() -> None:
            trio.fail(trio.targets[0], Reason.CONNECT_REFUSED)
            trio.answer(trio.targets[1])
            trio.answer(trio.targets[2])

        trio.ticks(2, lambda: healthy(trio))
        trio.ticks(2, tick)
        began = trio.diagnosis.since
        trio.ticks(3, tick)
        assert trio.diagnosis.cause is Cause.NODE_DOWN
        assert trio.diagnosis.since == began


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (4.25, "4.2 s"),
        (48.4, "48 s"),
        (119.0, "119 s"),
        (720.0, "12 min"),
        (12600.0, "3.5 h"),
        (200000.0, "2 days"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
