"""Judges all targets together: where the chain's head is, and how each target stands to it.

Pure: the same snapshot and the same previous judgement give the same result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from statistics import median
from typing import Any, Final

from tonwatch.config import ProbeConfig, Thresholds
from tonwatch.probes.sample import Head, Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch.board import Record, Snapshot, Target


class State(StrEnum):
    """How a target stands: exactly one, the most basic that is wrong."""

    OK = "ok"
    UNKNOWN = "unknown"
    DOWN = "down"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    NOT_SYNCED = "not_synced"
    WRONG_NETWORK = "wrong_network"
    STALLED = "stalled"
    LAGGING = "lagging"
    SHARD_LAGGING = "shard_lagging"
    CLOCK_SKEWED = "clock_skewed"
    SLOW = "slow"


_STATE_OF_FAILURE: Final = {
    Reason.UNAUTHORIZED: State.UNAUTHORIZED,
    Reason.RATE_LIMITED: State.THROTTLED,
    Reason.NOT_SYNCED: State.NOT_SYNCED,
    Reason.NOT_READY: State.NOT_SYNCED,
    Reason.SHARD_LAG: State.SHARD_LAGGING,
}
"""What a failed sample makes of its target; every other reason makes it `down`."""

_TURNED_AWAY: Final = frozenset(
    {
        Reason.RESOLVE_FAILED,
        Reason.CONNECT_REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.CONNECT_FAILED,
        Reason.HANDSHAKE_FAILED,
        Reason.HANDSHAKE_TIMEOUT,
        Reason.PROOF_INVALID,
    }
)
"""Failures of the connect probe that condemn a target although its kept connection works."""

LATENCY_SAMPLES: Final = 3
"""Answers whose median is a target's latency: one slow answer changes nothing."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The highest masterchain block that two witnesses support.

    Attributes:
        seqno: of the block.
        gen_utime: when it was made, Unix seconds; None where no supporter told.
        target: who told of it.
        seen: event loop time of that answer.
    """

    seqno: int
    gen_utime: int | None
    target: str
    seen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one target stands.

    Attributes:
        state: and `since` when, Unix seconds.
        up: it answers our questions.
        usable: in sync within the limits of readiness.
        reason: of the sample that the state is drawn from, or ``wrong_network``.
        detail: that sample's words; empty when ok.
        head: what the target said of itself; None when not known or too old.
        behind_seconds: its block's age less the head's, at the time each was told; never negative.
        behind_blocks: blocks missing to the head at that time; never negative.
        shard_gap: blocks that its shard client is behind its own masterchain.
        latency: median seconds of its last answers.
        idle: seconds from the growth of its seqno to its last answer.
        newest: event loop time of the newest head sample; None before the first.
    """

    target: Target
    state: State
    since: float
    up: bool = False
    usable: bool = False
    reason: Reason = Reason.OK
    detail: str = ""
    head: Head | None = None
    behind_seconds: float | None = None
    behind_blocks: int | None = None
    shard_gap: int | None = None
    latency: float | None = None
    idle: float | None = None
    newest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts at one moment.

    Attributes:
        wall: when it was passed, Unix seconds.
        head: of the chain; None where nobody tells.
        stalled: at least two targets answer and none has had a new block for too long.
        idle: the least `idle` of all targets that answer, seconds;
            None where none answers.
        clock_offset: the servers' clocks less ours where they agree on it, seconds;
            then it is our clock that is off. None where they do not.
        verdicts: by target name, in the order of the configuration.
    """

    wall: float
    head: ChainHead | None
    stalled: bool
    idle: float | None
    clock_offset: float | None
    verdicts: Mapping[str, Verdict]


def judge(
    snapshot: Snapshot,
    previous: Judgement | None,
    *,
    zerostate: bytes,
    thresholds: Thresholds,
    probe: ProbeConfig,
    gate_on_stall: bool,
) -> Judgement:
    """Judge every target of a snapshot.

    Args:
        snapshot: the board.
        previous: the judgement before, which says since when states last.
        zerostate: root hash of the network that ought to be served.
        thresholds: where numbers become states.
        probe: how old a sample may be.
        gate_on_stall: whether targets of a stalled chain are unusable.
    """
    believed = {
        name: sample
        for name, record in snapshot.records.items()
        if (sample := _believed(record, snapshot.monotonic - probe.stale_after)) is not None
    }
    answers = {
        name: sample
        for name, sample in believed.items()
        if sample.ok and sample.head is not None and sample.head.zerostate in (None, zerostate)
    }
    head = find_head(answers, thresholds)
    idles = [
        sample.finished - advanced
        for name, sample in answers.items()
        if (advanced := snapshot.records[name].advanced) is not None
    ]
    idle = min(idles, default=None)
    stalled = idle is not None and idle >= thresholds.stalled and len(idles) > 1
    clock_offset = _our_clock(answers, thresholds)
    judged = _Judged(
        snapshot=snapshot,
        previous=previous,
        zerostate=zerostate,
        thresholds=thresholds,
        head=head,
        stalled=stalled,
        alone=len(answers) == 1,
        clock_offset=clock_offset,
        gate_on_stall=gate_on_stall,
        stale_after=probe.stale_after,
    )
    return Judgement(
        wall=snapshot.wall,
        head=head,
        stalled=stalled,
        idle=idle,
        clock_offset=clock_offset,
        verdicts={
            name: judged.target(record, believed.get(name))
            for name, record in snapshot.records.items()
        },
    )


def find_head(answers: Mapping[str, Sample], thresholds: Thresholds) -> ChainHead | None:
    """The highest seqno that two witnesses support, or one where only one answers.

    Two targets that told of a block at least as high are two witnesses, so that
    no single liar moves the head. Our own clock is a witness too, but only for a
    block that is fresh by it while the others' blocks are old: of two targets
    with one behind, the seqnos alone could not say which.
    """
    heads = sorted(
        (
            ChainHead(sample.head.seqno, sample.head.gen_utime, name, sample.finished)
            for name, sample in answers.items()
            if sample.head is not None
        ),
        key=lambda head: head.seqno,
        reverse=True,
    )
    if len(heads) < 2:
        return heads[0] if heads else None
    first, second = heads[0], heads[1]
    if first.gen_utime is None or second.gen_utime is None:
        return second
    age = answers[first.target].started - first.gen_utime
    fresh = -thresholds.clock_critical <= age < thresholds.behind_warn
    ahead = first.gen_utime - second.gen_utime >= thresholds.behind_warn
    return first if fresh and ahead else second


@dataclass(frozen=True, slots=True)
class _Judged:
    """What is already known of the whole when a single target is judged."""

    snapshot: Snapshot
    previous: Judgement | None
    zerostate: bytes
    thresholds: Thresholds
    head: ChainHead | None
    stalled: bool
    alone: bool
    clock_offset: float | None
    gate_on_stall: bool
    stale_after: float

    def target(self, record: Record, sample: Sample | None) -> Verdict:
        newest = record.latest.get(Probe.HEAD)
        if sample is None:
            return self._verdict(record, State.UNKNOWN, detail=_why_unknown(newest))
        if not sample.ok or sample.head is None:
            state = _STATE_OF_FAILURE.get(sample.reason, State.DOWN)
            return self._verdict(
                record,
                state,
                reason=sample.reason,
                detail=sample.detail,
                newest=newest.finished if newest else None,
            )
        assert newest is not None, "a believed sample is in the history that newest ends"
        refused = _turned_away(record)
        if refused is not None:
            return self._verdict(
                record,
                State.DOWN,
                reason=refused.reason,
                detail=f"on a new connection: {refused.detail}",
                newest=newest.finished,
            )
        return self._standing(record, sample, sample.head, newest)

    def _standing(self, record: Record, sample: Sample, head: Head, newest: Sample) -> Verdict:
        """The verdict on a target that answers."""
        limits = self.thresholds
        wrong_network = head.zerostate is not None and head.zerostate != self.zerostate
        # The distance to another network's blocks means nothing.
        behind = None if wrong_network else self._behind_seconds(sample, head)
        behind_blocks = None if wrong_network else self._behind_blocks(sample, head)
        gap = None
        if head.shard_client_seqno is not None:
            gap = max(head.seqno, head.known_seqno or 0) - head.shard_client_seqno
            gap = max(0, gap)
        idle = None if record.advanced is None else sample.finished - record.advanced
        latency = _latency(record, self.snapshot.monotonic - self.stale_after)
        stuck = self._is_stuck(record, sample, head, idle)
        skew = 0.0 if self.clock_offset is not None else abs(head.clock_offset or 0.0)
        state = State.OK
        if wrong_network:
            state = State.WRONG_NETWORK
        elif stuck:
            state = State.STALLED
        elif (gap or 0) >= limits.shard_gap_warn:
            state = State.SHARD_LAGGING  # before lagging: it is why the block served is old
        elif (behind or 0.0) >= limits.behind_warn:
            state = State.LAGGING
        elif skew >= limits.clock_warn:
            state = State.CLOCK_SKEWED
        elif (latency or 0.0) >= limits.slow:
            state = State.SLOW
        usable = (
            newest.ok
            and not wrong_network
            and (behind or 0.0) < limits.behind_unready
            and (gap or 0) < limits.shard_gap_unready
            and (not stuck or (self.stalled and not self.gate_on_stall))
        )
        return self._verdict(
            record,
            state,
            up=True,
            usable=usable,
            reason=Reason.WRONG_NETWORK if wrong_network else Reason.OK,
            head=head,
            behind_seconds=behind,
            behind_blocks=behind_blocks,
            shard_gap=gap,
            latency=latency,
            idle=idle,
            newest=newest.finished,
        )

    def _is_stuck(self, record: Record, sample: Sample, head: Head, idle: float | None) -> bool:
        """Whether it has had no new block for too long, by its own fault or the chain's.

        Where the chain goes on again after a stall, targets that have not been
        asked since are not to blame: nobody was ahead of them when they answered.
        """
        if idle is None or idle < self.thresholds.stalled:
            return False
        if self.stalled or self.alone:
            return True
        return any(
            other.head is not None
            and other.head.seqno > head.seqno
            and other.finished <= sample.finished
            for name, rest in self.snapshot.records.items()
            if name != record.target.name
            for other in rest.heads
        )

    def _behind_seconds(self, sample: Sample, head: Head) -> float | None:
        """How far behind the head it was when it answered.

        Answers are some seconds apart, in which the chain goes on. Of the two
        ways to allow for that the smaller result is taken: block against block
        overstates where the target was asked first, age against age where the
        chain stands still.
        """
        if self.head is None or self.head.gen_utime is None or head.gen_utime is None:
            return None
        blocks_apart = self.head.gen_utime - head.gen_utime
        ages_apart = blocks_apart - (self.head.seen - sample.finished)
        return float(max(0.0, min(blocks_apart, ages_apart)))

    def _behind_blocks(self, sample: Sample, head: Head) -> int | None:
        if self.head is None:
            return None
        since = max(0.0, self.head.seen - sample.finished)
        made_since = since * _block_rate(self.snapshot.records[self.head.target])
        return max(0, round(self.head.seqno - head.seqno - made_since))

    def _verdict(self, record: Record, state: State, **rest: Any) -> Verdict:
        name = record.target.name
        before = self.previous.verdicts.get(name) if self.previous else None
        same = before is not None and before.state is state
        since = before.since if before is not None and same else self.snapshot.wall
        return Verdict(target=record.target, state=state, since=since, **rest)


def _believed(record: Record, oldest: float) -> Sample | None:
    """The sample to judge by: the newest, unless it is a single failure after a success."""
    heads = [sample for sample in record.heads[-2:] if sample.finished >= oldest]
    if not heads:
        return None
    if len(heads) == 2 and heads[0].ok and not heads[1].ok:
        return heads[0]
    return heads[-1]


def _turned_away(record: Record) -> Sample | None:
    """The last connect sample, where it and the one before say that nobody new is let in."""
    if len(record.connects) == 2 and all(
        sample.reason in _TURNED_AWAY for sample in record.connects
    ):
        return record.connects[-1]
    return None


def _why_unknown(newest: Sample | None) -> str:
    return "not asked yet" if newest is None else "its last answer is too old"


def _latency(record: Record, oldest: float) -> float | None:
    answered = (
        sample.phases["query"]
        for sample in reversed(record.heads)
        if sample.ok and sample.finished >= oldest and "query" in sample.phases
    )
    times = list(islice(answered, LATENCY_SAMPLES))
    return median(times) if times else None


def _block_rate(record: Record) -> float:
    """Blocks per second that the target has reported over its history."""
    told = (sample for sample in record.heads if sample.head is not None)
    first = next(told, None)
    last = next((sample for sample in reversed(record.heads) if sample.head is not None), None)
    if first is None or last is None or first.head is None or last.head is None:
        return 0.0
    seconds = last.finished - first.finished
    return max(0, last.head.seqno - first.head.seqno) / seconds if seconds > 0 else 0.0


def _our_clock(answers: Mapping[str, Sample], thresholds: Thresholds) -> float | None:
    """How far all servers' clocks are from ours where they agree with each other."""
    offsets = [
        sample.head.clock_offset
        for sample in answers.values()
        if sample.head is not None and sample.head.clock_offset is not None
    ]
    if len(offsets) < 2 or max(offsets) - min(offsets) >= thresholds.clock_warn:
        return None
    middle = median(offsets)
    return middle if abs(middle) >= thresholds.clock_warn else None
