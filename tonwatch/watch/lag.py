"""How far a target is behind: the head, the clock, and its shards behind its own masterchain.

Pure: see `tonwatch.watch.judge`.
"""

import math
from dataclasses import dataclass
from typing import Final

from tonwatch.config.models import ProbeConfig, Thresholds
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.watch import history
from tonwatch.watch.consensus import ChainHead
from tonwatch.watch.lifetimes import lifetime
from tonwatch.watch.pace import USUAL_AGE
from tonwatch.watch.states import State
from tonwatch.watch.store import Record, Snapshot
from tonwatch.watch.verdicts import Judgement

_LAG_HYSTERESIS: Final = 0.8
"""Part of `lag_warn` down to which a lagging target stays so."""

_IDLE_SHARD: Final = 30.0
"""Seconds; the last block of a shard without messages may be as old."""

_FAR: Final = 30
"""Blocks from which on a gap may also be a chain that went back."""

_USUAL_GAP: Final = 2
"""Blocks that the shard client of a healthy node may lag its masterchain."""


def lags_head(sample: Sample, head: ChainHead | None, thresholds: Thresholds) -> bool:
    """Whether a target's block is far older than the head."""
    if head is None or head.gen_utime is None:
        return False
    if sample.head is None or sample.head.gen_utime is None:
        return False
    return head.gen_utime - sample.head.gen_utime >= thresholds.lag_warn


@dataclass(frozen=True, slots=True)
class ShardLag:
    """Lag of the shards to the masterchain.

    Attributes:
        blocks: of the masterchain; None where not known.
        seconds: None where not known.
        served: seconds by which the block that the target serves is older for it.
    """

    blocks: int | None
    seconds: float | None
    served: float

    def lags(self, blocks: int, seconds: float) -> bool:
        """Whether it lags by so many blocks, or by so many seconds."""
        return (self.blocks or 0) >= blocks or (self.seconds or 0.0) >= seconds


@dataclass(frozen=True, slots=True)
class Lags:
    """What the lag of a target depends on.

    Attributes:
        snapshot: of the store.
        previous: the judgement before.
        whole: what is judged of all targets together.
        thresholds: limits of the states.
        probe: how old a sample may be.
        oldest: event loop time before which no head counts.
        epoch: the local wall clock less the event loop's, seconds.
        newest: age of the head when a target reported it first, by the local clock, seconds;
            infinite where not known.
    """

    snapshot: Snapshot
    previous: Judgement | None
    whole: Judgement
    thresholds: Thresholds
    probe: ProbeConfig
    oldest: float
    epoch: float
    newest: float

    def seconds(self, record: Record, sample: Sample, head: Head) -> float | None:
        """Lag at its last answer with a block time, seconds: to the head, or to the clock.

        The distance to the head shows even a small lag; the clock shows one of all targets.
        """
        behind = self._behind_head(record, sample, head)
        late = self._behind_clock(record, sample)
        if late is None:
            return behind
        return max(behind or 0.0, late if late >= self.warned_from(record) else 0.0)

    def _behind_clock(self, record: Record, sample: Sample) -> float | None:
        """Age of its block when it was new, less what is usual; None without a block time."""
        if sample.head is None or sample.head.gen_utime is None:
            answered, made = next(history.block_times(record), (-math.inf, 0))
            if answered < self.oldest:
                return None
            late = answered + self.epoch - made
        else:
            age = history.age_when_new(record, sample, self.epoch)
            if age is None:
                return None
            late = age
            at_head = self.whole.head is not None and self.whole.head.seqno <= sample.head.seqno
            if at_head and self.whole.stalled:
                return None  # the head is old, and the newest there is
            if self.whole.head is not None and self.whole.head.seqno == sample.head.seqno:
                # It may have had the head late; others show when that was new.
                late = min(late, self.newest)
            if at_head and history.is_back(record, sample.head.seqno):
                # It was not seen with a block that was new.
                late = sample.started - sample.head.gen_utime
        usual = USUAL_AGE + self.whole.pace.expected
        return late + (self.whole.clock_offset or 0.0) - usual

    def _behind_head(self, record: Record, sample: Sample, head: Head) -> float | None:
        """Lag to the head, seconds.

        Answers are some seconds apart, in which the chain goes on unless it is stalled: so the
        ages of blocks are compared, not their times.
        """
        chain = self.whole.dated
        answered, made = sample.finished, head.gen_utime
        if made is None:
            answered, made = next(history.block_times(record), (answered, None))
        is_old = answered < self.oldest and sample.probe is Probe.HEAD
        if chain is None or chain.gen_utime is None or made is None or is_old:
            return None
        lag = float(chain.gen_utime - made)
        if not self.whole.stalled:
            lag -= chain.seen - answered
        # Between two blocks the age of the last one grows by the pace.
        lag -= max(0.0, self.whole.pace.expected - 1.0)
        if lag >= self.thresholds.lag_warn:
            # The chain may have been stalled when it answered: no target was ahead of it then.
            lag = min(lag, self._ahead_then(record, answered, made + lag) - made)
        return max(0.0, lag)

    def warned_from(self, record: Record) -> float:
        """Seconds of lag from which on it is lagging: fewer where it is already.

        Block times are whole seconds, so that it would flap at the threshold.
        """
        warn = self.thresholds.lag_warn
        before = self.previous.verdicts.get(record.target.name) if self.previous else None
        lagged = before is not None and before.state is State.LAGGING
        return warn * _LAG_HYSTERESIS if lagged else warn

    def _ahead_then(self, record: Record, answered: float, enough: float) -> float:
        """The newest block time that others had reported when this target answered, or `enough`.

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
            if newest >= enough:
                break
        return newest if newest > -math.inf else math.inf

    def blocks(self, sample: Sample, head: Head) -> int | None:
        chain = self.whole.head
        if chain is None:
            return None
        since = max(0.0, chain.seen - sample.finished)
        made_since = since * history.block_rate(self.snapshot.records[chain.target])
        return max(0, round(chain.seqno - head.seqno - made_since))

    def of_shards(self, record: Record, head: Head) -> ShardLag:
        """Lag of what accounts are read from, to the target's own masterchain.

        Args:
            record: of the target.
            head: its last one.
        """
        pace = self.whole.pace.expected
        gaps, seconds, served = [], [], 0.0
        if head.shard_client_seqno is not None:
            known = max(head.seqno, head.known_seqno or 0)
            gaps.append(max(0, known - head.shard_client_seqno))
            if head.shard_client_seqno == head.seqno:
                served = (known - head.seqno) * pace
            if head.gen_utime is not None and head.shard_client_time is not None:
                seconds.append(head.gen_utime - head.shard_client_time - _USUAL_GAP * pace)
        read = record.latest.get(Probe.ACCOUNT)
        oldest = self.snapshot.monotonic - lifetime(Probe.ACCOUNT, self.probe)
        if read is not None and read.ok and read.finished >= oldest:
            before = _head_before(record, read, head, self.probe.stale_after)
            if before is not None and read.head is not None:
                gaps.append(self._account_gap(record, read, before.seqno - read.head.seqno))
            if before is not None and before.gen_utime is not None and read.state_time is not None:
                # A head from the future says nothing about the age of shards.
                read = history.by_present_clock(read, self.epoch)
                made = min(before.gen_utime, read.started + (self.whole.clock_offset or 0.0))
                old = made - (read.state_time or 0)
                if old >= _IDLE_SHARD:
                    seconds.append(old)
        if not gaps and not seconds:
            return ShardLag(None, None, 0.0)
        blocks = max(gaps, default=0)
        seconds.append(max(0, blocks - _USUAL_GAP) * pace)
        return ShardLag(blocks if gaps else None, max(0.0, *seconds), served)

    def _account_gap(self, record: Record, read: Sample, gap: int) -> int:
        """Blocks by which accounts were read below the head that was known then.

        Where that is far, the chain may have gone back since: the next head shows that, and until
        then what was known before counts.
        """
        if gap < _FAR or record.heads[-1].finished > read.finished:
            return max(0, gap)
        before = self.previous.verdicts.get(record.target.name) if self.previous else None
        return (before.shard_client_lag or 0) if before is not None else 0


def _head_before(record: Record, read: Sample, now: Head, longest: float) -> Head | None:
    """The last head that the target had reported when accounts were read.

    None where later ones show that the chain has gone back since, and where it was of another
    network than it is `now`, or came `longest` seconds earlier.
    """
    lowest = math.inf
    for sample in reversed(record.heads):
        if sample.head is None:
            continue
        if sample.finished <= read.finished:
            if sample.finished < read.finished - longest:
                return None
            is_other = sample.head.zerostate not in (None, now.zerostate)
            return None if is_other or lowest < sample.head.seqno - _FAR else sample.head
        lowest = min(lowest, sample.head.seqno)
    return None
