"""How fast the chain makes blocks, and since when it made none, by what targets report.

Pure functions over records.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import median_low
from typing import Final

from tonwatch.config.models import ProbeConfig, Thresholds
from tonwatch.samples.sample import Probe, Sample
from tonwatch.watch import history
from tonwatch.watch.store import ANEW, Record

USUAL_AGE: Final = 1.5
"""Age of a healthy chain's last block when it is queried, seconds, besides the chain's pace."""

_HEALTHY: Final = 5.0
"""Seconds a block; no healthy TON chain has been slower."""

_ASSUMED: Final = 2.5
"""Seconds a block that count as usual where the chain was never seen at a healthy pace."""

_FAR_SLOWER: Final = 3.0
"""Times the usual seconds a block from which on the chain is slow."""

_SLOW_FROM: Final = 4.0
"""Seconds a block below which a chain is never slow."""

_STEPS: Final = 3
"""Last steps of the chain whose median is its pace, so that one late block is not a slow chain."""

_GAPS: Final = 2.0
"""Times its present seconds a block after which a chain is stalled."""

_JITTER: Final = 0.1
"""Seconds; probes are not exactly an interval apart."""

_LONGEST: Final = 10.0
"""Times the threshold up to which a slow chain delays that it counts as stalled."""

_FASTER_IN: Final = 60.0
"""Seconds in which the usual pace follows a faster one."""

_SLOWER_IN: Final = 86400.0
"""Seconds in which the usual pace follows a slower one: a slow day is not usual."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast blocks come.

    Attributes:
        usual: learnt seconds a block; None where nothing is known yet.
        recent: seconds a block over the last steps; None likewise.
        at: event loop time when it was measured.
    """

    usual: float | None = None
    recent: float | None = None
    at: float = -math.inf

    @property
    def expected(self) -> float:
        """Seconds a block at which the chain runs now, as far as that is usual or known."""
        return max(self.usual or 0.0, self.recent or 0.0)

    @property
    def slow(self) -> bool:
        """Whether blocks come far slower than usual."""
        if self.recent is None or self.usual is None:
            return False
        return self.recent >= max(_SLOW_FROM, _FAR_SLOWER * self.usual)

    def is_stalled(self, idle: float, thresholds: Thresholds) -> bool:
        """Whether so many seconds without a block are a stall: a slow chain has more time."""
        longest = _LONGEST * thresholds.stalled
        after = max(thresholds.stalled, min(longest, _GAPS * (self.recent or 0.0)))
        return idle >= after - _JITTER


def measured(records: Iterable[Record], previous: Pace | None, now: float) -> Pace:
    """The pace by the target that reports the newest block.

    Args:
        records: of targets that are trusted.
        previous: what was known before.
        now: event loop time, seconds.
    """
    before = previous or Pace()
    newest = max(records, key=_last_seqno, default=None)
    blocks = islice(_blocks(newest), _STEPS + 1) if newest is not None else ()
    steps = []
    for (late, late_time), (early, early_time) in pairwise(blocks):
        if late_time < early_time:
            break  # the times are of two histories, or one is false
        steps.append((late_time - early_time) / (late - early))
    if not steps:
        return Pace(before.usual, before.recent, now)
    recent = median_low(steps)
    return Pace(_usual(before, recent, now), recent, now)


def idle_times(
    records: Mapping[str, Record],
    answers: Mapping[str, Sample],
    epoch: float,
    offset: float | None,
    probe: ProbeConfig,
) -> dict[str, float]:
    """Seconds without a new block at each target that answers, by its last answer.

    A block is seen up to an interval after it was made, which its age shows. A target that is back
    from an outage with a block that others had before has no new one.

    Args:
        records: of all targets.
        answers: the samples that targets are judged by.
        epoch: the local wall clock less the event loop's, seconds.
        offset: true time less local time; None where the local clock is right.
        probe: how often targets are probed.
    """
    waits, seqnos = {}, {}
    for name, sample in answers.items():
        record = records[name]
        if sample.probe is not Probe.HEAD or record.advanced is None or sample.head is None:
            continue
        age = history.age_when_new(record, sample, epoch)
        seen_late = 0.0 if age is None else max(0.0, age + (offset or 0.0) - USUAL_AGE)
        if seen_late > probe.interval:
            seen_late = 0.0  # it lags: when its next block is due is not known
        waits[name], seqnos[name] = record.advanced - seen_late, sample.head.seqno
    # Who had the same block earlier shows since when there is no newer one.
    earliest: dict[int, float] = {}
    for name, since in waits.items():
        seqno = seqnos[name]
        earliest[seqno] = min(since, earliest.get(seqno, since))
    idles = {}
    for name, seqno in seqnos.items():
        first = earliest[seqno]
        if history.is_back(records[name], seqno):
            first = min(since for above, since in earliest.items() if above >= seqno)
        idles[name] = answers[name].finished - first
    return idles


def idle_by_clock(
    names: Iterable[str],
    records: Mapping[str, Record],
    answers: Mapping[str, Sample],
    epoch: float,
    offset: float | None,
    pace: Pace,
) -> dict[str, float]:
    """Seconds without a new block at targets that are back, by the age of the block that they have.

    They have not been seen before and after a block, so that only their agreement on an old one
    shows that the chain is stalled.

    Args:
        names: of targets at the head of the chain, of two sources at least.
        records: as `idle_times`, and so the others.
        answers: likewise.
        epoch: likewise.
        offset: likewise.
        pace: of the chain.
    """
    idles = {}
    for name in names:
        head = answers[name].head
        if head is None or head.gen_utime is None or not history.is_back(records[name], head.seqno):
            continue
        sample = history.by_present_clock(answers[name], epoch)
        idles[name] = sample.started + (offset or 0.0) - head.gen_utime - USUAL_AGE - pace.expected
    return idles


def _usual(before: Pace, recent: float, now: float) -> float:
    if before.usual is None:
        return recent if recent <= _HEALTHY else _ASSUMED
    patience = _FASTER_IN if recent < before.usual else _SLOWER_IN
    share = 1 - math.exp(-max(0.0, now - before.at) / patience)
    return before.usual + share * (recent - before.usual)


def _last_seqno(record: Record) -> int:
    return next((seqno for seqno, _ in _blocks(record)), -1)


def _blocks(record: Record) -> Iterator[tuple[int, int]]:
    """Blocks that a target reported while they went up: seqno and time, the newest first."""
    last: int | None = None
    network: bytes | None = None
    for sample in reversed(record.heads):
        head = sample.head
        if head is None or head.gen_utime is None:
            continue
        if network is not None and head.zerostate not in (None, network):
            return
        network = network or head.zerostate
        if last is not None and head.seqno > last + ANEW:
            return
        if last is None or head.seqno < last:
            yield head.seqno, head.gen_utime
            last = head.seqno
