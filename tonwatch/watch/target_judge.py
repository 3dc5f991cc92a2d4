"""The verdict on one target: its state, the numbers behind it, and what bars it.

Pure: see `tonwatch.watch.judge`.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from tonwatch.config.models import Gates, ProbeConfig, Thresholds
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch import history
from tonwatch.watch.failures import failure
from tonwatch.watch.lag import Lags, lags_head
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.store import Record, Snapshot
from tonwatch.watch.verdicts import Judgement, Verdict

_SETTLED: Final = 1 / 3
"""Part of the flapping window after which a lasting failure is not flapping any more."""


@dataclass(frozen=True, slots=True)
class TargetJudge:
    """What the verdict on a single target depends on.

    Attributes:
        snapshot: of the store.
        previous: the judgement before.
        whole: what is judged of all targets together.
        zerostate: root hash of the configured network's zerostate.
        thresholds: limits of the states.
        probe: how old a sample may be.
        gates: what makes a target unusable.
        lags: how far targets are behind.
        future: seconds by which targets' blocks are later than the time, by name.
        idles: seconds without a new block, by name.
        any_fresh: whether any target has a fresh block.
    """

    snapshot: Snapshot
    previous: Judgement | None
    whole: Judgement
    zerostate: bytes
    thresholds: Thresholds
    probe: ProbeConfig
    gates: Gates
    lags: Lags
    future: dict[str, float]
    idles: dict[str, float]
    any_fresh: bool

    def target(self, record: Record, sample: Sample | None) -> Verdict:
        """The verdict on a target; `sample` is what it is judged by, None where that is too old."""
        newest = record.latest.get(Probe.HEAD)
        if newest is None:
            return self._verdict(record, State.UNKNOWN, detail="not probed yet")
        if sample is None:
            why = "its last answer is too old"
            return self._verdict(record, State.UNKNOWN, detail=why, newest=newest.finished)
        now = self.snapshot.monotonic
        interruptions = history.interruptions(record, now - self.thresholds.flapping_window)
        flapping = (
            interruptions >= self.thresholds.flapping
            and history.down_for(record) < self.thresholds.flapping_window * _SETTLED
        )
        if sample.ok and sample.head is not None:
            failed = history.new_connections_fail(record, now - lifetime(Probe.CONNECT, self.probe))
            other = sample.head.zerostate not in (None, self.zerostate)
            if failed is None or sample.probe is Probe.CONNECT or other:
                return self._standing(record, sample, sample.head, newest, interruptions, flapping)
            state, reason = failure(failed.reason).state, failed.reason
            detail = f"on a new connection: {failed.detail}"
        else:
            state = failure(sample.reason).state
            reason, detail = sample.reason, sample.detail
        if flapping and MEANINGS[state].flaps:
            state = State.FLAPPING
        barred = {state}
        if state is State.THROTTLED and not self.gates.throttled:
            barred.clear()
        return self._verdict(
            record,
            state,
            reason=reason,
            detail=detail,
            interruptions=interruptions,
            newest=newest.finished,
            barred=frozenset(barred),
        )

    def _standing(
        self,
        record: Record,
        sample: Sample,
        head: Head,
        newest: Sample,
        interruptions: float,
        flapping: bool,
    ) -> Verdict:
        """The verdict on a target that answers."""
        limits, gates, whole, name = self.thresholds, self.gates, self.whole, record.target.name
        now = self.snapshot.monotonic
        wrong_network = head.zerostate is not None and head.zerostate != self.zerostate
        forked = name in whole.forks.minority
        # The lag to the blocks of another chain means nothing.
        other_chain = wrong_network or forked
        lag = None if other_chain else self.lags.seconds(record, sample, head)
        lag_blocks = None if other_chain else self.lags.blocks(sample, head)
        shards = self.lags.of_shards(record, head)
        idle = self.idles.get(name)
        stuck = self._is_stuck(record, sample, head, idle)
        skew = 0.0
        if record.target.category == "node" and head.clock_offset is not None:
            skew = abs(head.clock_offset - (whole.clock_offset or 0.0))
        is_late = sample.probe is Probe.CONNECT
        latency = history.latency(record, self.lags.oldest)
        if is_late:
            latency = sample.phases.get("query", latency)
        slow = (latency or 0.0) >= limits.slow or is_late
        false_claim = self._false_claim(record, sample)
        invalid = false_claim is not None and false_claim.reason is Reason.PROOF_INVALID
        disproved = false_claim is not None and not invalid
        refusal = history.refusing_messages(record, now - lifetime(Probe.WRITE, self.probe))
        if refusal is not None and is_late and history.got_no_answer(refusal):
            refusal = None  # it would have been answered later
        unread = history.accounts_fail(
            record, now - lifetime(Probe.ACCOUNT, self.probe), self.lags.oldest
        )
        if unread is not None and is_late and history.got_no_answer(unread):
            unread = None  # it would have been answered later
        unread_state = State.OK
        if unread is not None:
            meant = failure(unread.reason).state
            is_limit = meant in (State.THROTTLED, State.SHARD_LAGGING)
            unread_state = meant if is_limit else State.ACCOUNTS_FAILING
        limited = record.failing.get(Probe.HEAD)
        throttled = unread_state is State.THROTTLED or (
            limited is not None and limited.count > 1 and limited.last.reason is Reason.RATE_LIMITED
        )
        lags = (lag or 0.0) >= self.lags.warned_from(record)
        rate = history.catch_up_rate(record, limits.lag_warn, self.lags.epoch) if lags else None
        shard_lags = shards.lags(limits.shard_client_lag_warn, limits.lag_warn)
        # Blocks that are old for the shard client alone are no lag of the masterchain.
        own_lag = (lag or 0.0) - shards.served
        # In the order of blame: what explains the rest comes first.
        found = {
            State.WRONG_NETWORK: wrong_network,
            State.FORKED: forked,
            State.PROOF_INVALID: invalid,
            State.DISPROVED: disproved,
            State.STALLED: stuck,
            State.LAGGING: own_lag >= self.lags.warned_from(record),
            State.SHARD_LAGGING: shard_lags or lags or unread_state is State.SHARD_LAGGING,
            State.THROTTLED: throttled,
            State.ACCOUNTS_FAILING: unread_state is State.ACCOUNTS_FAILING,
            State.WRITE_BROKEN: refusal is not None,
            State.FLAPPING: flapping,
            State.CLOCK_SKEWED: skew >= limits.clock_warn,
            State.SLOW: slow,
        }
        bars = {
            State.WRONG_NETWORK: gates.wrong_network and wrong_network,
            State.FORKED: gates.forked and forked,
            State.PROOF_INVALID: gates.proof_invalid and invalid,
            State.DISPROVED: gates.disproved and disproved,
            State.STALLED: stuck and (gates.chain_stalled if whole.stalled else gates.stalled),
            State.SHARD_LAGGING: gates.shard_lagging
            and (
                shards.lags(limits.shard_client_lag_unready, limits.lag_unready)
                or unread_state is State.SHARD_LAGGING
            ),
            State.LAGGING: gates.lagging and (lag or 0.0) >= limits.lag_unready,
            State.ACCOUNTS_FAILING: gates.accounts_failing
            and unread_state is State.ACCOUNTS_FAILING,
            State.WRITE_BROKEN: gates.write_broken and refusal is not None,
            State.FLAPPING: gates.flapping and flapping,
            State.CLOCK_SKEWED: gates.clock_skewed and skew >= limits.clock_critical,
            State.SLOW: gates.slow and slow,
        }
        barred = {state for state, holds in bars.items() if holds}
        if not newest.ok and sample.probe is Probe.HEAD and sample.finished < newest.finished:
            lost = failure(newest.reason)
            if newest.reason is not Reason.RATE_LIMITED and not lost.proves_nothing:
                barred.add(lost.state)
        state = next((state for state, holds in found.items() if holds), State.OK)
        blamed = {
            State.PROOF_INVALID: false_claim,
            State.DISPROVED: false_claim,
            State.WRITE_BROKEN: refusal,
            State.ACCOUNTS_FAILING: unread,
            State.SHARD_LAGGING: unread if unread_state is State.SHARD_LAGGING else None,
            State.THROTTLED: unread if unread_state is State.THROTTLED else newest,
        }.get(state)
        reason = Reason.WRONG_NETWORK if wrong_network else Reason.OK
        return self._verdict(
            record,
            state,
            up=True,
            barred=frozenset(barred),
            reason=blamed.reason if blamed else reason,
            detail=blamed.detail if blamed else "",
            head=head,
            lag_seconds=lag,
            lag_blocks=lag_blocks,
            in_sync_in=lag / rate if rate and lag is not None else None,
            shard_client_lag=shards.blocks,
            shard_lag_seconds=shards.seconds,
            latency=latency,
            idle=idle,
            interruptions=interruptions,
            newest=newest.finished,
        )

    def _false_claim(self, record: Record, sample: Sample) -> Sample | None:
        """The sample with a false answer about an account, or with a block from the future."""
        ahead = self.future.get(record.target.name)
        if ahead is not None:
            text = f"its last block is {ahead:.0f} s later than the time"
            return replace(sample, reason=Reason.FALSE_TIME, detail=text)
        now = self.snapshot.monotonic
        return history.false_claim(record, now - lifetime(Probe.COMPARE, self.probe))

    def _is_stuck(self, record: Record, sample: Sample, head: Head, idle: float | None) -> bool:
        """Whether it has had no new block for too long, by its own fault or the chain's.

        After a stall of the chain, targets that have not been probed since are not to blame: none
        was ahead of them when they answered.
        """
        whole = self.whole
        if whole.stalled and not lags_head(sample, whole.head, self.thresholds):
            return True
        if idle is None or not whole.pace.is_stalled(idle, self.thresholds):
            return False
        alone = whole.sources_at_head == 1 and not lags_head(sample, whole.head, self.thresholds)
        if whole.stalled or alone or not self.any_fresh:
            return True
        return any(
            other.head is not None
            and other.head.seqno > head.seqno
            and other.finished <= sample.finished
            for name, rest in self.snapshot.records.items()
            if name != record.target.name
            for other in rest.heads
        )

    def _verdict(self, record: Record, state: State, **rest: Any) -> Verdict:
        name = record.target.name
        before = self.previous.verdicts.get(name) if self.previous else None
        same = before is not None and before.state is state
        since = before.since if before is not None and same else self.snapshot.wall
        rest.setdefault("barred", frozenset({state}))
        return Verdict(target=record.target, state=state, since=since, **rest)
