"""Judges each target: its state, compared with the time, the chain and the other targets.

Pure: the same snapshot and the same previous judgement give the same result.
"""

import math
from dataclasses import replace
from typing import Final

from tonwatch.config.models import Gates, ProbeConfig, Thresholds
from tonwatch.samples.sample import Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch import consensus, history
from tonwatch.watch.lag import Lags, lags_head
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.pace import USUAL_AGE, Pace, idle_by_clock, idle_times, measured
from tonwatch.watch.states import State
from tonwatch.watch.store import Record, Snapshot
from tonwatch.watch.target_judge import TargetJudge
from tonwatch.watch.verdicts import Judgement, RolledBack

EGRESS_DOUBT: Final = 2
"""Probe intervals within which all others have been probed: then egress is no longer suspected."""

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
    ages = {
        name: block_age
        for name in answers
        if (block_age := history.youngest_age(records[name], oldest, epoch)) is not None
    }
    youngest = consensus.confirmed_age(ages, sources)
    offset = consensus.local_clock_offset(answers, youngest, thresholds)
    future = consensus.from_the_future(answers, offset, thresholds)
    back = previous.rolled_back if previous is not None else None
    forks = consensus.find_forks(
        records,
        _voters(answers, previous),
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
    at_head = [name for name in idles if not lags_head(answers[name], head, thresholds)]
    if len({sources[name] for name in at_head}) > 1:
        idles |= idle_by_clock(at_head, records, answers, epoch, offset, pace)
    idle = min((idles[name] for name in at_head), default=None)
    # Two sources show a stall; the others were asked a little earlier, or have lost an answer
    # since, and must not contradict.
    waiting = {sources[name] for name in at_head if pace.is_stalled(idles[name], thresholds)}
    agree = all(
        pace.is_stalled(idles[name] + max(probe.interval, now - answers[name].finished), thresholds)
        for name in at_head
    )
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
    judged = TargetJudge(
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


def _voters(answers: dict[str, Sample], previous: Judgement | None) -> list[str]:
    """The targets that have the blocks by which they are compared."""
    head = previous.head if previous is not None else None
    lowest = head.seqno - consensus.NEAR_HEAD if head is not None else -math.inf
    return [
        name
        for name, sample in answers.items()
        if sample.head is not None and sample.head.seqno >= lowest
    ]


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
