"""What users of a target get besides its head: accounts, messages, new connections."""

from dataclasses import replace
from typing import Any

import pytest

from tests.watch.conftest import NODE, OTHER, PROVIDER
from tonwatch.samples.sample import Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.states import State

ALL = (NODE, OTHER, PROVIDER)


@pytest.fixture
def trio(scene: Any) -> Any:
    """A primary node, a reference node and a provider."""
    return scene()


def node(scene: Any) -> Any:
    return scene.judgement.verdicts["node"]


def add(scene: Any, probe: Probe, reason: Reason = Reason.OK, **values: Any) -> None:
    """A sample of the node."""
    scene.store.add(
        Sample(
            target="node",
            probe=probe,
            started=scene.clock.wall_time,
            finished=scene.clock.monotonic_time,
            duration=0.1,
            reason=reason,
            detail="" if reason is Reason.OK else "as the test says",
            **values,
        )
    )


class TestAccounts:
    """The head is fine, and accounts are not."""

    @pytest.mark.parametrize(
        ("reasons", "state", "ready"),
        [
            pytest.param([Reason.OK] * 4, State.OK, True, id="all read"),
            pytest.param([Reason.SERVER_ERROR, Reason.OK] * 2, State.OK, True, id="one in two"),
            *(
                pytest.param([reason] * 4, State.ACCOUNTS_FAILING, False, id=reason)
                for reason in (
                    Reason.SERVER_ERROR,
                    Reason.UPSTREAM_TIMEOUT,
                    Reason.UPSTREAM_FAILED,
                    Reason.BAD_ANSWER,
                    Reason.NOT_FOUND,
                    Reason.PRUNED,
                    Reason.QUERY_TIMEOUT,
                    Reason.UNSUPPORTED,
                    Reason.UNAUTHORIZED,
                )
            ),
            pytest.param([Reason.SHARD_LAG] * 4, State.SHARD_LAGGING, False, id="shard lag"),
            pytest.param([Reason.PROOF_INVALID] * 4, State.PROOF_INVALID, False, id="false proof"),
            pytest.param([Reason.RATE_LIMITED] * 4, State.THROTTLED, True, id="throttled"),
            pytest.param([Reason.LOCAL_RESOURCES] * 4, State.OK, True, id="no descriptors here"),
            pytest.param([Reason.PROBE_FAILED] * 4, State.OK, True, id="a bug here"),
        ],
    )
    def test_state(self, trio: Any, reasons: list[Reason], state: State, ready: bool) -> None:
        left = list(reasons)

        def tick() -> None:
            for target in ALL:
                trio.answer(target)
            add(trio, Probe.ACCOUNT, left.pop(0))

        trio.ticks(4, tick)
        assert node(trio).state is state
        assert trio.readiness.ready is ready
        assert node(trio).up

    @pytest.mark.parametrize("probe", [Probe.BALANCE, Probe.COMPARE])
    def test_configured_accounts(self, trio: Any, probe: Probe) -> None:
        """An account that every target has can be read, and those that matter cannot."""

        def tick() -> None:
            for target in ALL:
                trio.answer(target)
            add(trio, Probe.ACCOUNT)
            add(trio, probe, Reason.BAD_ANSWER)

        trio.ticks(4, tick)
        assert node(trio).state is State.ACCOUNTS_FAILING

    def test_it_is_over_at_the_first_good_answer(self, trio: Any) -> None:
        def tick(reason: Reason) -> None:
            for target in ALL:
                trio.answer(target)
            add(trio, Probe.ACCOUNT, reason)

        trio.ticks(4, lambda: tick(Reason.UPSTREAM_TIMEOUT))
        trio.ticks(1, lambda: tick(Reason.OK))
        assert node(trio).state is State.OK

    @pytest.mark.parametrize("lost", [1, 2])
    def test_one_lost_head_explains_nothing(self, trio: Any, lost: int) -> None:
        """An outage explains why accounts could not be read; a single lost answer does not."""

        def tick(account: Reason | None, head: Reason = Reason.OK) -> None:
            for target in ALL[1:]:
                trio.answer(target)
            if head is Reason.OK:
                trio.answer(NODE)
            else:
                trio.fail(NODE, head)
            if account is not None:
                add(trio, Probe.ACCOUNT, account)

        trio.ticks(3, lambda: tick(Reason.SERVER_ERROR))
        trio.ticks(lost, lambda: tick(None, Reason.BAD_ANSWER))
        trio.ticks(1, lambda: tick(None))
        assert (node(trio).state is State.ACCOUNTS_FAILING) is (lost == 1)


class TestShards:
    """Accounts are older than the masterchain."""

    @pytest.mark.parametrize(
        ("observed", "state", "ready"),
        [
            pytest.param({}, State.OK, True, id="not known"),
            pytest.param({"shard_client_time": 0}, State.OK, True, id="the same block"),
            pytest.param({"shard_client_time": 8}, State.OK, True, id="8 s"),
            pytest.param({"shard_client_time": 14}, State.SHARD_LAGGING, True, id="14 s"),
            pytest.param({"shard_client_time": 30}, State.SHARD_LAGGING, False, id="30 s"),
        ],
    )
    def test_seconds_of_the_shard_client(
        self, trio: Any, observed: dict[str, int], state: State, ready: bool
    ) -> None:
        def tick() -> None:
            head = trio.head()
            times = {name: head.gen_utime - lag for name, lag in observed.items()}
            trio.answer(NODE, **times)
            for target in ALL[1:]:
                trio.answer(target)

        trio.ticks(6, tick)
        assert node(trio).state is state
        assert trio.readiness.ready is ready

    @pytest.mark.parametrize(
        ("blocks", "state", "ready"),
        [(3, State.OK, True), (20, State.SHARD_LAGGING, True), (75, State.SHARD_LAGGING, False)],
    )
    def test_the_block_that_accounts_are_read_at(
        self, trio: Any, blocks: int, state: State, ready: bool
    ) -> None:
        def tick() -> None:
            for target in ALL:
                trio.answer(target, shard_client_seqno=None)

        trio.ticks(3, tick)
        head = trio.head()
        add(trio, Probe.ACCOUNT, head=replace(head, seqno=head.seqno - blocks))
        trio.ticks(3, tick)
        assert node(trio).state is state
        assert trio.readiness.ready is ready

    @pytest.mark.parametrize(
        ("age", "state"), [(20, State.OK), (60, State.SHARD_LAGGING), (900, State.SHARD_LAGGING)]
    )
    def test_the_time_of_the_state(self, trio: Any, age: int, state: State) -> None:
        """Without messages a shard's block may be some seconds old; not minutes."""

        def tick() -> None:
            for target in ALL:
                trio.answer(target, shard_client_seqno=None)

        trio.ticks(3, tick)
        add(trio, Probe.ACCOUNT, state_time=int(trio.clock.wall_time) - age)
        trio.ticks(3, tick)
        assert node(trio).state is state

    def test_a_masterchain_that_lags_itself_is_named_first(self, trio: Any) -> None:
        def tick() -> None:
            head = trio.head(lag=690.0)
            trio.answer(NODE, lag=690.0, shard_client_seqno=head.seqno - 50)
            for target in ALL[1:]:
                trio.answer(target)

        trio.ticks(6, tick)
        assert trio.diagnosis.cause is Cause.NODE_LAGGING

    def test_blocks_are_old_for_the_shard_client_alone(self, trio: Any) -> None:
        """Up to some lag a node serves the shard client's block as its last."""

        def tick() -> None:
            head = trio.head(lag=14.0)
            trio.answer(NODE, lag=14.0, known_seqno=head.seqno + 35)
            for target in ALL[1:]:
                trio.answer(target)

        trio.ticks(6, tick)
        assert trio.diagnosis.cause is Cause.NODE_SHARD_LAGGING

    def test_a_stalled_chain_is_no_lag_of_shards(self, trio: Any) -> None:
        stays = trio.head()

        def tick() -> None:
            for target in ALL:
                trio.answer(target, seqno=stays.seqno, gen_utime=stays.gen_utime)
            add(trio, Probe.ACCOUNT, state_time=stays.gen_utime)

        trio.ticks(30, tick)
        assert trio.diagnosis.cause is Cause.CHAIN_STALLED
        assert not trio.diagnosis.also


class TestThrottled:
    """Rate-limited: usable while something is known."""

    def test_what_was_known_counts_for_a_while(self, trio: Any) -> None:
        trio.ticks(3, lambda: [trio.answer(each) for each in ALL])
        ready = []
        for _ in range(8):
            trio.ticks(
                1,
                lambda: [
                    trio.fail(NODE, Reason.RATE_LIMITED),
                    trio.answer(OTHER),
                    trio.answer(PROVIDER),
                ],
            )
            ready.append(trio.readiness.ready)
        assert node(trio).state is State.THROTTLED
        assert ready == [True] * 6 + [False] * 2

    def test_never_unready_where_the_gate_is_off(self, scene: Any) -> None:
        watched = scene(NODE, gates={"throttled": False})
        watched.ticks(3, lambda: watched.answer(NODE))
        watched.ticks(12, lambda: watched.fail(NODE, Reason.RATE_LIMITED))
        assert watched.readiness.ready

    def test_one_answer_in_three_is_enough(self, trio: Any) -> None:
        """The state is of the target, and /ready stays."""
        turns = [Reason.RATE_LIMITED, Reason.RATE_LIMITED, Reason.OK] * 6

        def tick() -> None:
            reason = turns.pop(0)
            if reason is Reason.OK:
                trio.answer(NODE)
            else:
                trio.fail(NODE, reason)
            trio.answer(OTHER)

        trio.ticks(17, tick)
        assert node(trio).state is State.THROTTLED
        assert trio.readiness.ready


class TestPatience:
    """It answers pings at once, and queries after 4 s."""

    def test_slow_with_the_number(self, trio: Any) -> None:
        def tick() -> None:
            trio.fail(NODE, Reason.NOT_SYNCED)
            trio.answer(OTHER)
            trio.answer(PROVIDER)

        trio.ticks(3, tick)
        assert node(trio).state is State.NOT_SYNCED
        head = trio.head()
        add(trio, Probe.CONNECT, head=head, phases={"query": 4.0})
        trio.ticks(1, tick)
        assert node(trio).state is State.SLOW
        assert "4.0 s" in trio.diagnosis.sentence
        trio.ticks(12, tick)
        assert node(trio).state is State.NOT_SYNCED


class TestOurs:
    """What is wrong with this machine is no target's fault."""

    def test_no_descriptors(self, trio: Any) -> None:
        trio.ticks(3, lambda: [trio.answer(each) for each in ALL])
        trio.ticks(8, lambda: [trio.fail(each, Reason.LOCAL_RESOURCES) for each in ALL])
        assert trio.diagnosis.cause is Cause.LOCAL_RESOURCES
        assert not trio.diagnosis.also
        assert node(trio).state is State.UNKNOWN

    def test_no_descriptors_for_new_connections(self, trio: Any) -> None:
        def tick() -> None:
            for each in ALL:
                trio.answer(each)
            trio.connect(NODE, Reason.LOCAL_RESOURCES)

        trio.ticks(6, tick)
        assert trio.diagnosis.cause is Cause.LOCAL_RESOURCES
        assert node(trio).state is State.OK
        assert trio.readiness.ready

    @pytest.mark.parametrize(
        ("everywhere", "cause"), [(True, Cause.EGRESS_LOSSY), (False, Cause.NODE_FLAPPING)]
    )
    def test_answers_are_lost(self, scene: Any, everywhere: bool, cause: Cause) -> None:
        watched = scene()
        turns = [True, False, False] * 12

        def tick() -> None:
            answered = turns.pop()
            for each in ALL:
                if answered or (each is not NODE and not everywhere):
                    watched.answer(each)
                else:
                    watched.fail(each, Reason.QUERY_TIMEOUT)

        watched.ticks(28, tick)
        assert watched.diagnosis.cause is cause

    def test_no_name_resolves_for_new_connections(self, trio: Any) -> None:
        def tick() -> None:
            for each in ALL:
                trio.answer(each)
                trio.connect(each, Reason.RESOLVE_FAILED)

        trio.ticks(4, tick)
        assert trio.diagnosis.cause is Cause.EGRESS_BROKEN


def test_a_queue_above_its_limit(trio: Any) -> None:
    def tick() -> None:
        for target in ALL:
            trio.answer(target)
        add(trio, Probe.ACCOUNT, out_queue=(9000, 8000))

    trio.ticks(3, tick)
    assert trio.diagnosis.cause is Cause.MESSAGES_QUEUED
    assert "9000" in trio.diagnosis.sentence
    assert trio.readiness.ready


def test_every_finding_says_what_it_means(trio: Any) -> None:
    trio.ticks(4, lambda: [trio.answer(NODE, lag=60.0), trio.answer(OTHER), trio.answer(PROVIDER)])
    assert trio.diagnosis.finding.impact == "Balances from node are up to 60 s old."
