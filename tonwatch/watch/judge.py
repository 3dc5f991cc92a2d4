"""Judges each target: its state, compared with the chain and with the other targets.

Pure: the same snapshot and the same previous judgement give the same result.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from tonwatch.config.models import Gates, ProbeConfig, Thresholds
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch import consensus, history
from tonwatch.watch.failures import failure
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.store import Record, Snapshot
from tonwatch.watch.verdicts import Judgement, Verdict

EGRESS_DOUBT: Final = 2
"""Probe intervals within which all others have been probed: then egress is no longer suspected."""

_SETTLED: Final = 1 / 3
"""Part of the flapping window after which a lasting failure is not flapping any more."""

_LAG_HYSTERESIS: Final = 0.8
"""Part of `lag_warn` down to which a lagging target stays so."""


def judge(
    snapshot: Snapshot,
    previous: Judgement | None,
    *,
    zerostate: bytes,
    thresholds: Thresholds,
    probe: ProbeConfig,
    gates: Gates,
) -> Judgement:
    """Judge every target of a snapshot.

    Args:
        snapshot: of the store.
        previous: the judgement before, for the times since when states last.
        zerostate: root hash of the configured network's zerostate.
        thresholds: limits of the states.
        probe: how old a sample may be.
        gates: what makes a target unusable.
    """
    oldest = snapshot.monotonic - lifetime(Probe.HEAD, probe)
    epoch = snapshot.wall - snapshot.monotonic
    accepted = {
        name: history.by_present_clock(sample, epoch)
        for name, record in snapshot.records.items()
        if (sample := history.accepted(record, oldest)) is not None
    }
    answers = {
        name: sample
        for name, sample in accepted.items()
        if sample.ok and sample.head is not None and sample.head.zerostate in (None, zerostate)
    }
    forks = consensus.find_forks(
        snapshot.records,
        answers.keys(),
        zerostate,
        snapshot.monotonic - lifetime(Probe.FORK, probe),
    )
    idles = [
        sample.finished - advanced
        for name, sample in answers.items()
        if (advanced := snapshot.records[name].advanced) is not None
    ]
    idle = min(idles, default=None)
    trusted = {name: sample for name, sample in answers.items() if name not in forks.minority}
    unreachable = consensus.egress_broken(snapshot.records, oldest, accepted)
    head = consensus.find_head(trusted, thresholds)
    whole = Judgement(
        wall=snapshot.wall,
        head=head,
        dated=_dated(head, previous, oldest),
        stalled=idle is not None and idle >= thresholds.stalled and len(idles) > 1,
        idle=idle,
        clock_offset=consensus.local_clock_offset(answers, thresholds),
        forks=forks,
        unreachable=unreachable,
        excused={} if unreachable else _excused(snapshot, previous),
        suspects=()
        if unreachable
        else consensus.egress_suspected(
            snapshot.records, accepted, snapshot.monotonic - EGRESS_DOUBT * probe.interval
        ),
        verdicts={},
    )
    judged = _Judge(
        snapshot, previous, whole, zerostate, thresholds, probe, gates, oldest, len(answers)
    )
    verdicts = {
        name: judged.target(record, accepted.get(name)) for name, record in snapshot.records.items()
    }
    return replace(whole, verdicts=verdicts)


def _dated(
    head: consensus.ChainHead | None, previous: Judgement | None, oldest: float
) -> consensus.ChainHead | None:
    """The head that distances in seconds are measured from.

    Not every answer has a block time: the last head with one is kept while it is recent enough.
    """
    if head is None or head.gen_utime is not None:
        return head
    before = previous.dated if previous is not None else None
    return before if before is not None and before.seen >= oldest else None


def _excused(snapshot: Snapshot, previous: Judgement | None) -> dict[str, float]:
    """Targets unreachable with all others, last probed before the first was reached again."""
    if previous is None:
        return {}
    reached_at = previous.excused or dict.fromkeys(previous.unreachable, snapshot.monotonic)
    return {
        name: at
        for name, at in reached_at.items()
        if (record := snapshot.records.get(name)) is not None
        and (newest := record.latest.get(Probe.HEAD)) is not None
        and not newest.ok
        and newest.asked < at
    }


@dataclass(frozen=True, slots=True)
class _Judge:
    """What the verdict on a single target depends on."""

    snapshot: Snapshot
    previous: Judgement | None
    whole: Judgement
    zerostate: bytes
    thresholds: Thresholds
    probe: ProbeConfig
    gates: Gates
    oldest: float
    answering: int

    def target(self, record: Record, sample: Sample | None) -> Verdict:
        newest = record.latest.get(Probe.HEAD)
        if newest is None:
            return self._verdict(record, State.UNKNOWN, detail="not probed yet")
        if sample is None:
            why = "its last answer is too old"
            return self._verdict(record, State.UNKNOWN, detail=why, newest=newest.finished)
        window = self.snapshot.monotonic - self.thresholds.flapping_window
        interruptions = history.interruptions(record, window)
        flapping = (
            interruptions >= self.thresholds.flapping
            and history.down_for(record) < self.thresholds.flapping_window * _SETTLED
        )
        if sample.ok and sample.head is not None:
            refused = history.new_connections_refused(record)
            if refused is None:
                return self._standing(record, sample, sample.head, newest, interruptions, flapping)
            state, reason = failure(refused.reason).state, refused.reason
            detail = f"on a new connection: {refused.detail}"
        else:
            state = failure(sample.reason).state
            reason, detail = sample.reason, sample.detail
        return self._verdict(
            record,
            State.FLAPPING if flapping and MEANINGS[state].flaps else state,
            reason=reason,
            detail=detail,
            interruptions=interruptions,
            newest=newest.finished,
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
        limits, gates, whole = self.thresholds, self.gates, self.whole
        wrong_network = head.zerostate is not None and head.zerostate != self.zerostate
        forked = record.target.name in whole.forks.minority
        # The lag to the blocks of another chain means nothing.
        other_chain = wrong_network or forked
        lag = None if other_chain else self._lag_seconds(record, sample, head)
        lag_blocks = None if other_chain else self._lag_blocks(sample, head)
        gap = None
        if head.shard_client_seqno is not None:
            gap = max(0, max(head.seqno, head.known_seqno or 0) - head.shard_client_seqno)
        idle = None if record.advanced is None else sample.finished - record.advanced
        stuck = self._is_stuck(record, sample, head, idle)
        skew = 0.0 if whole.clock_offset is not None else abs(head.clock_offset or 0.0)
        latency = history.latency(record, self.oldest)
        slow = (latency or 0.0) >= limits.slow
        now = self.snapshot.monotonic
        false_claim = history.false_claim(record, now - lifetime(Probe.COMPARE, self.probe))
        invalid = false_claim is not None and false_claim.reason is Reason.PROOF_INVALID
        disproved = false_claim is not None and not invalid
        refusal = history.refusing_messages(record, now - lifetime(Probe.WRITE, self.probe))
        rate = None
        lags = (lag or 0.0) >= self._lagging_from(record)
        if lags:
            rate = history.catch_up_rate(record, limits.lag_warn)
        # In the order of blame: a lagging shard client explains why served blocks are old.
        found = {
            State.WRONG_NETWORK: wrong_network,
            State.FORKED: forked,
            State.PROOF_INVALID: invalid,
            State.DISPROVED: disproved,
            State.STALLED: stuck,
            State.SHARD_LAGGING: (gap or 0) >= limits.shard_client_lag_warn,
            State.LAGGING: lags,
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
            and (gap or 0) >= limits.shard_client_lag_unready,
            State.LAGGING: gates.lagging and (lag or 0.0) >= limits.lag_unready,
            State.WRITE_BROKEN: gates.write_broken and refusal is not None,
            State.FLAPPING: gates.flapping and flapping,
            State.CLOCK_SKEWED: gates.clock_skewed and skew >= limits.clock_critical,
            State.SLOW: gates.slow and slow,
        }
        barred = {state for state, holds in bars.items() if holds}
        if not newest.ok:
            barred.add(failure(newest.reason).state)
        state = next((state for state, holds in found.items() if holds), State.OK)
        blamed = {
            State.PROOF_INVALID: false_claim,
            State.DISPROVED: false_claim,
            State.WRITE_BROKEN: refusal,
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
            shard_client_lag=gap,
            latency=latency,
            idle=idle,
            interruptions=interruptions,
            newest=newest.finished,
        )

    def _is_stuck(self, record: Record, sample: Sample, head: Head, idle: float | None) -> bool:
        """Whether it has had no new block for too long, by its own fault or the chain's.

        After a stall of the chain, targets that have not been probed since are not to blame: none
        was ahead of them when they answered.
        """
        if idle is None or idle < self.thresholds.stalled:
            return False
        if self.whole.stalled or self.answering == 1:
            return True
        return any(
            other.head is not None
            and other.head.seqno > head.seqno
            and other.finished <= sample.finished
            for name, rest in self.snapshot.records.items()
            if name != record.target.name
            for other in rest.heads
        )

    def _lag_seconds(self, record: Record, sample: Sample, head: Head) -> float | None:
        """Lag to the head at its last answer with a block time, seconds.

        Answers are some seconds apart, in which the chain goes on unless it is stalled: so the
        ages of blocks are compared, not their times.
        """
        chain = self.whole.dated
        answered, made = sample.finished, head.gen_utime
        if made is None:
            answered, made = next(history.block_times(record), (answered, None))
        if chain is None or chain.gen_utime is None or made is None or answered < self.oldest:
            return None
        lag = float(chain.gen_utime - made)
        if not self.whole.stalled:
            lag -= chain.seen - answered
        if lag >= self.thresholds.lag_warn:
            # The chain may have been stalled when it answered: no target was ahead of it then.
            lag = min(lag, self._ahead_then(record, answered) - made)
        return max(0.0, lag)

    def _lagging_from(self, record: Record) -> float:
        """Seconds of lag from which on it is lagging: fewer where it is already.

        Block times are whole seconds, so that it would flap at the threshold.
        """
        warn = self.thresholds.lag_warn
        before = self.previous.verdicts.get(record.target.name) if self.previous else None
        lagged = before is not None and before.state is State.LAGGING
        return warn * _LAG_HYSTERESIS if lagged else warn

    def _ahead_then(self, record: Record, answered: float) -> float:
        """The newest block time that others had reported when this target answered.

        What they reported a little earlier is extrapolated to that moment.
        """
        newest = -math.inf
        oldest = answered - (self.snapshot.monotonic - self.oldest)
        for name, rest in self.snapshot.records.items():
            if name == record.target.name:
                continue
            for observed, made in history.block_times(rest):
                if observed <= answered:
                    if observed >= oldest:
                        newest = max(newest, made + answered - observed)
                    break
        return newest if newest > -math.inf else math.inf

    def _lag_blocks(self, sample: Sample, head: Head) -> int | None:
        chain = self.whole.head
        if chain is None:
            return None
        since = max(0.0, chain.seen - sample.finished)
        made_since = since * history.block_rate(self.snapshot.records[chain.target])
        return max(0, round(chain.seqno - head.seqno - made_since))

    def _verdict(self, record: Record, state: State, **rest: Any) -> Verdict:
        name = record.target.name
        before = self.previous.verdicts.get(name) if self.previous else None
        same = before is not None and before.state is state
        since = before.since if before is not None and same else self.snapshot.wall
        rest.setdefault("barred", frozenset({state}))
        return Verdict(target=record.target, state=state, since=since, **rest)
