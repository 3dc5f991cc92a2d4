"""Judges each target: its state, compared with the time, the chain and the other targets.

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
from tonwatch.watch.lag import Lags
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.pace import USUAL_AGE, Pace, idle_by_clock, idle_times, measured
from tonwatch.watch.states import MEANINGS, State
from tonwatch.watch.store import Record, Snapshot
from tonwatch.watch.verdicts import Judgement, RolledBack, Verdict

EGRESS_DOUBT: Final = 2
"""Probe intervals within which all others have been probed: then egress is no longer suspected."""

_SETTLED: Final = 1 / 3
"""Part of the flapping window after which a lasting failure is not flapping any more."""

_ROLLED_BACK: Final = 30
"""Blocks by which the head must go back; those of a server that lags so far are not fresh."""

_FRESH: Final = 4.0
"""Seconds by which a block of a healthy chain may be older than usual."""

_ROLLBACK_IS_NEWS: Final = 3600.0
"""Seconds for which a chain that went back is a finding."""


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
    now, records = snapshot.monotonic, snapshot.records
    oldest = now - lifetime(Probe.HEAD, probe)
    epoch = snapshot.wall - now
    accepted = {
        name: history.by_present_clock(
            _standing_in(sample, record, now, probe, _was(State.SLOW, name, previous)), epoch
        )
        for name, record in records.items()
        if (sample := history.accepted(record, oldest)) is not None
    }
    answers = {
        name: sample
        for name, sample in accepted.items()
        if sample.ok and sample.head is not None and sample.head.zerostate in (None, zerostate)
    }
    sources = consensus.find_sources(records)
    before = previous.pace if previous is not None else Pace()
    youngest = min(
        (
            block_age
            for name in answers
            if (block_age := history.youngest_age(records[name], oldest, epoch)) is not None
        ),
        default=None,
    )
    offset = consensus.local_clock_offset(answers, youngest, thresholds)
    future = consensus.from_the_future(answers, offset, thresholds)
    back = previous.rolled_back if previous is not None else None
    forks = consensus.find_forks(
        records,
        answers.keys(),
        sources,
        zerostate,
        max(now - lifetime(Probe.FORK, probe), back.at if back is not None else -math.inf),
    )
    trusted = {
        name: sample
        for name, sample in answers.items()
        if name not in forks.minority and name not in future
    }
    pace = measured([records[name] for name in trusted], before, now)
    idles = idle_times(records, answers, epoch, offset, probe)
    unreachable = consensus.egress_broken(records, oldest, accepted)
    head = consensus.find_head(trusted, sources, offset, thresholds)
    back, peak = _rollback(snapshot, previous, head, trusted, offset, pace)
    # What lags says nothing about new blocks.
    at_head = [name for name in idles if not _lags_head(answers[name], head, thresholds)]
    if len({sources[name] for name in at_head}) > 1:
        idles |= idle_by_clock(at_head, records, answers, epoch, offset, pace)
    idle = min((idles[name] for name in at_head), default=None)
    # Two sources show a stall; the others were asked a little earlier, and must not contradict.
    waiting = {sources[name] for name in at_head if pace.is_stalled(idles[name], thresholds)}
    agree = idle is not None and pace.is_stalled(idle + probe.interval, thresholds)
    sources_at_head = len({sources[name] for name in at_head})
    whole = Judgement(
        wall=snapshot.wall,
        head=head,
        dated=_dated(head, previous, oldest),
        stalled=agree and len(waiting) > 1,
        idle=idle,
        pace=pace,
        peak=peak,
        rolled_back=back,
        sources=len({sources[name] for name in answers}),
        sources_at_head=sources_at_head,
        clock_offset=offset,
        forks=forks,
        unreachable=unreachable,
        excused={} if unreachable else _excused(snapshot, previous),
        suspects=()
        if unreachable
        else consensus.egress_suspected(records, accepted, now - EGRESS_DOUBT * probe.interval),
        lossy=() if unreachable else consensus.egress_lossy(records, now),
        no_resources=_no_resources(snapshot, oldest),
        state_dir_error=snapshot.state_dir_error,
        queue=_queue(snapshot, now - lifetime(Probe.ACCOUNT, probe)),
        zerostate=zerostate,
        verdicts={},
    )
    seen = [
        first
        for name, sample in trusted.items()
        if head is not None and sample.head is not None and sample.head.seqno == head.seqno
        if (first := history.age_when_new(records[name], sample, epoch)) is not None
    ]
    newest = min(seen, default=math.inf)
    lags = Lags(snapshot, previous, whole, thresholds, probe, oldest, epoch, newest)
    judged = _Judge(
        snapshot,
        previous,
        whole,
        zerostate,
        thresholds,
        probe,
        gates,
        lags,
        future,
        idles,
        any(_is_fresh(sample, offset, pace, thresholds.lag_warn) for sample in trusted.values()),
    )
    verdicts = {name: judged.target(record, accepted.get(name)) for name, record in records.items()}
    return replace(whole, verdicts=verdicts)


def _was(state: State, name: str, previous: Judgement | None) -> bool:
    before = previous.verdicts.get(name) if previous is not None else None
    return before is not None and before.state is state


def _standing_in(
    sample: Sample, record: Record, now: float, probe: ProbeConfig, was_slow: bool
) -> Sample:
    """The sample itself, or an answer that stands although the newest probe failed.

    What was known before a rate limit, or before this machine ran out of something, is still known
    for a while. What a query with more patience learnt counts as well.
    """
    if sample.reason in (Reason.RATE_LIMITED, Reason.LOCAL_RESOURCES):
        good = next((each for each in reversed(record.heads) if each.ok), None)
        oldest = now - lifetime(Probe.HEAD, probe)
        return good if good is not None and good.finished >= oldest else sample
    oldest = now - lifetime(Probe.CONNECT, probe)
    return history.slow_answer(record, oldest, probe.timeout, was_slow=was_slow) or sample


def _lags_head(sample: Sample, head: consensus.ChainHead | None, thresholds: Thresholds) -> bool:
    """Whether a target's block is far older than the head."""
    if head is None or head.gen_utime is None:
        return False
    if sample.head is None or sample.head.gen_utime is None:
        return False
    return head.gen_utime - sample.head.gen_utime >= thresholds.lag_warn


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


def _rollback(
    snapshot: Snapshot,
    previous: Judgement | None,
    head: consensus.ChainHead | None,
    trusted: dict[str, Sample],
    offset: float | None,
    pace: Pace,
) -> tuple[RolledBack | None, int | None]:
    """Whether the chain went back lately, and the highest seqno since.

    All targets with a fresh block must be far below the highest one that was.
    """
    peak = previous.peak if previous is not None else None
    back = previous.rolled_back if previous is not None else None
    if back is not None and snapshot.wall - back.since >= _ROLLBACK_IS_NEWS:
        back = None
    if head is None:
        return back, peak
    if peak is None or head.seqno >= peak - _ROLLED_BACK:
        return back, max(head.seqno, peak or 0)
    fresh = [
        sample.head.seqno
        for sample in trusted.values()
        if sample.head is not None and _is_fresh(sample, offset, pace, _FRESH)
    ]
    if not fresh or max(fresh) >= peak - _ROLLED_BACK:
        return back, peak
    return RolledBack(snapshot.wall, snapshot.monotonic, peak, head.seqno), head.seqno


def _is_fresh(sample: Sample, offset: float | None, pace: Pace, late: float) -> bool:
    """Whether its block was not older than usual by `late` seconds."""
    block_age = consensus.age(sample, offset)
    return block_age is not None and block_age < late + USUAL_AGE + pace.expected


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


def _no_resources(snapshot: Snapshot, oldest: float) -> str:
    """What this machine has run out of, where a probe failed for that; empty otherwise."""
    lacking = [
        failing.last
        for record in snapshot.records.values()
        for failing in record.failing.values()
        if failing.last.reason is Reason.LOCAL_RESOURCES and failing.last.finished >= oldest
    ]
    return max(lacking, key=lambda sample: sample.finished).detail if lacking else ""


def _queue(snapshot: Snapshot, oldest: float) -> tuple[str, int, int] | None:
    """The first target that reports an outbound queue above its limit; the size and the limit."""
    for name, record in snapshot.records.items():
        read = record.latest.get(Probe.ACCOUNT)
        if read is None or read.finished < oldest or read.out_queue is None:
            continue
        size, limit = read.out_queue
        if size > limit:
            return name, size, limit
    return None


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
    lags: Lags
    future: dict[str, float]
    idles: dict[str, float]
    any_fresh: bool

    def target(self, record: Record, sample: Sample | None) -> Verdict:
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
        if whole.stalled and not _lags_head(sample, whole.head, self.thresholds):
            return True
        if idle is None or not whole.pace.is_stalled(idle, self.thresholds):
            return False
        alone = whole.sources_at_head == 1 and not _lags_head(sample, whole.head, self.thresholds)
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
