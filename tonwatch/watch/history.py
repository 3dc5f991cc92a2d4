"""What one target's history shows: its latency, whether it catches up, whether it flaps.

Pure functions over a `Record`.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, islice, takewhile
from statistics import median
from typing import Final

from tonwatch.samples.sample import Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch.failures import failure
from tonwatch.watch.store import Record

LATENCY_SAMPLES: Final = 3
"""Answers whose median is a target's latency: a single slow answer does not change it."""

_CLOCK_SET: Final = 0.5
"""Seconds by which the local clock must jump to count as set; slewing and rounding stay below."""

_LONE_FAILURE: Final = 1 / 3
"""What a single lost answer counts as an interruption: three of them make one."""

_CATCH_UP: Final = 3.0
"""Seconds by which lag must have shrunk to count as catching up; block times are whole."""

_CATCHES_UP_WITHIN: Final = 60.0
"""Seconds over which lag must have shrunk: a node that syncs moves in steps."""

LOSSY_FOR: Final = 180.0
"""Seconds within which lost answers explain each other."""

_LOSSES: Final = 3
"""Times that answers are lost from which on that is no chance."""

_OFTEN: Final = 3
"""Failures in a row of readings of configured accounts that are not those of one account."""

_FOR_LONG: Final = 10.0
"""Seconds that they must last."""

_EXCUSED: Final = frozenset(
    {
        Reason.RATE_LIMITED,
        Reason.PRUNED,
        Reason.UNSUPPORTED,
        Reason.LOCAL_RESOURCES,
        Reason.PROBE_FAILED,
        # These have findings of their own.
        Reason.PROOF_INVALID,
        Reason.DISPROVED,
    }
)
"""Reasons for which a reading of an account fails although accounts can be read."""

_OF_ACCOUNTS: Final = ((Probe.BALANCE, Probe.COMPARE), (Probe.ACCOUNT,))
"""Probes about the same accounts, of which the newest answer counts."""


def accepted(record: Record, oldest: float) -> Sample | None:
    """The sample to judge by: the newest, unless it is a single failure after a success.

    Args:
        record: of the target.
        oldest: event loop time before which nothing counts.
    """
    heads = [sample for sample in record.heads[-2:] if sample.finished >= oldest]
    if not heads:
        return None
    if len(heads) == 2 and heads[0].ok and not heads[1].ok:
        return heads[0]
    return heads[-1]


def by_present_clock(sample: Sample, epoch: float) -> Sample:
    """The sample as it would be had the local clock been set then as it is now.

    Args:
        sample: as it was taken.
        epoch: the local wall clock less the event loop's, now, seconds.
    """
    if sample.epoch is None or abs(epoch - sample.epoch) < _CLOCK_SET:
        return sample
    shift = epoch - sample.epoch
    head = sample.head
    if head is not None and head.clock_offset is not None:
        head = replace(head, clock_offset=head.clock_offset - shift)
    return replace(sample, started=sample.started + shift, epoch=epoch, head=head)


def fails_twice(record: Record, probe: Probe, oldest: float) -> Sample | None:
    """The last sample of a probe, where it and the one before failed; None otherwise.

    Args:
        record: of the target.
        probe: which one.
        oldest: event loop time before which nothing counts.
    """
    failing = record.failing.get(probe)
    if failing is None or failing.count < 2 or failing.last.finished < oldest:
        return None
    return None if failure(failing.last.reason).proves_nothing else failing.last


def new_connections_fail(record: Record, oldest: float) -> Sample | None:
    """The last connect sample, where it and the one before failed; args as `false_claim`.

    A head probe that connected anew since then disproves them; where only the answer did not come,
    any head probe does.
    """
    last = fails_twice(record, Probe.CONNECT, oldest)
    if last is None or last.reason is Reason.RATE_LIMITED:
        return None
    only_late = got_no_answer(last)
    disproved = any(
        sample.ok and sample.finished > last.finished and (only_late or "connect" in sample.phases)
        for sample in record.heads
    )
    return None if disproved else last


def accounts_fail(record: Record, oldest: float, recent: float) -> Sample | None:
    """The sample that shows that accounts cannot be read; None otherwise.

    An account that every target has is enough; others may fail for reasons of their own, so that
    they have to fail more often, and lately: they are not always read again.

    Args:
        record: of the target.
        oldest: event loop time before which nothing counts.
        recent: likewise, of configured accounts.
    """
    newest = fails_twice(record, Probe.ACCOUNT, oldest)
    if newest is not None and not _explained(record, newest):
        return newest
    for probe in (Probe.BALANCE, Probe.COMPARE):
        failing = record.failing.get(probe)
        if failing is None or failing.count < _OFTEN or failing.last.finished < recent:
            continue
        if failing.last.finished - failing.first.finished < _FOR_LONG:
            continue
        read = record.latest.get(Probe.ACCOUNT)
        read_since = read is not None and read.ok and read.finished > failing.last.finished
        if got_no_answer(failing.last) and read_since:
            continue
        if failing.last.reason not in _EXCUSED and not _explained(record, failing.last):
            return failing.last
    return None


def _explained(record: Record, failed: Sample) -> bool:
    """Whether accounts could not be read for the reason that the head could not be."""
    if _not_connected(failed) or failed.asked < _answering_since(record):
        return True
    return got_no_answer(failed) and loses_answers(record, failed.finished - LOSSY_FOR)


def _answering_since(record: Record) -> float:
    """Event loop time of the first of the answers since the last outage.

    A single lost answer is no outage.
    """
    since = math.inf
    failed = False
    for sample in reversed(record.heads):
        if sample.ok:
            since = sample.finished
        elif failed:
            return since
        failed = not sample.ok
    return -math.inf


def _not_connected(sample: Sample) -> bool:
    """Whether a query was not sent: that is about connections, not about accounts."""
    of_way = failure(sample.reason)
    handshake = sample.reason in (Reason.HANDSHAKE_FAILED, Reason.HANDSHAKE_TIMEOUT)
    return of_way.unreachable or handshake or sample.reason is Reason.CONNECTION_LOST


def got_no_answer(sample: Sample) -> bool:
    """Whether no answer came, on a connection that stood."""
    return sample.reason in (Reason.NOT_SYNCED, Reason.QUERY_TIMEOUT)


def slow_answer(record: Record, oldest: float, timeout: float, *, was_slow: bool) -> Sample | None:
    """The last connect sample, where it waited for an answer that the head probe did not get.

    None where no answer came there either, or at once.

    Args:
        record: of the target.
        oldest: event loop time before which nothing counts.
        timeout: of the head probe, seconds; its query has at least half of it.
        was_slow: it was known to be slow; otherwise the head must not be answered after it either,
            since an outage ends with one slow answer.
    """
    failing = record.failing.get(Probe.HEAD)
    answered = record.latest.get(Probe.CONNECT)
    if failing is None or answered is None or not answered.ok or answered.head is None:
        return None
    if not got_no_answer(failing.last):
        return None
    if answered.phases.get("query", 0.0) < timeout / 2:
        return None
    if not was_slow and failing.last.finished < answered.finished:
        return None
    return answered if answered.finished >= max(oldest, failing.first.asked) else None


def youngest_age(record: Record, oldest: float, epoch: float) -> float | None:
    """Least age of a block when it was asked for, by the present local clock; seconds.

    None without block times. Args as `by_present_clock`; nothing before `oldest` counts.
    """
    ages = []
    for sample in reversed(record.heads):
        if sample.finished < oldest:
            break
        if sample.head is not None and sample.head.gen_utime is not None:
            ages.append(by_present_clock(sample, epoch).started - sample.head.gen_utime)
    return min(ages, default=None)


def is_back(record: Record, seqno: int) -> bool:
    """Whether it has had no block but this one since it answers again, or since the start.

    Blocks of another network are no answers.
    """
    network: bytes | None = None
    for sample in reversed(record.heads):
        if not sample.ok:
            return True
        if sample.head is None or sample.head.seqno == seqno:
            network = sample.head.zerostate if sample.head is not None else None
            continue
        return network is not None and sample.head.zerostate not in (None, network)
    return True


def age_when_new(record: Record, sample: Sample, epoch: float) -> float | None:
    """Age of a sample's block when the target first reported it, by the local clock; seconds.

    While a chain or target is stalled its block gets older, which is not lag. None without a
    block time.

    Args:
        record: of the target.
        sample: by the present local clock.
        epoch: see `by_present_clock`.
    """
    first = sample
    seqno = sample.head.seqno if sample.head is not None else None
    for earlier in reversed(record.heads):
        if earlier.finished >= sample.finished or earlier.head is None:
            continue
        if earlier.head.seqno != seqno:
            break
        first = earlier
    first = by_present_clock(first, epoch)
    if first.head is None or first.head.gen_utime is None:
        return None
    return first.started - first.head.gen_utime


def false_claim(record: Record, oldest: float) -> Sample | None:
    """The sample with a false answer about an account, until a correct answer follows.

    Args:
        record: of the target.
        oldest: event loop time before which nothing counts.
    """
    compared = record.claims.get(Probe.COMPARE)
    if compared is not None and compared.reason is Reason.DISPROVED:
        return compared if compared.finished >= oldest else None
    for probes in _OF_ACCOUNTS:
        claims = [record.claims[probe] for probe in probes if probe in record.claims]
        newest = max(claims, key=lambda sample: sample.finished, default=None)
        if newest is not None and newest.reason is Reason.PROOF_INVALID:
            return newest if newest.finished >= oldest else None
    return None


def refusing_messages(record: Record, oldest: float) -> Sample | None:
    """The sample that shows that external messages are not accepted; args as `false_claim`.

    A lost answer has to be lost twice; the target's own answer counts at once.
    """
    failing = record.failing.get(Probe.WRITE)
    if failing is None or failing.last.finished < oldest:
        return None
    last = failing.last
    why = failure(last.reason)
    if last.reason is Reason.RATE_LIMITED or why.proves_nothing or why.unreachable:
        return None
    if last.finished < _answering_since(record):
        return None  # it did not answer other queries either
    if (why.silent or got_no_answer(last)) and interruptions(record, last.finished - LOSSY_FOR):
        return None  # answers to other queries are lost as well
    return last if failing.count > 1 or why.of_messages else None


def latency(record: Record, oldest: float) -> float | None:
    """Median seconds of the last answers since `oldest`; None without any."""
    answered = (
        sample.phases["query"]
        for sample in reversed(record.heads)
        if sample.ok and sample.finished >= oldest and "query" in sample.phases
    )
    times = list(islice(answered, LATENCY_SAMPLES))
    return median(times) if times else None


def block_rate(record: Record) -> float:
    """Blocks per second that the target has reported over its history."""
    answered = (sample for sample in record.heads if sample.head is not None)
    first = next(answered, None)
    last = next((sample for sample in reversed(record.heads) if sample.head is not None), None)
    if first is None or last is None or first.head is None or last.head is None:
        return 0.0
    seconds = last.finished - first.finished
    return max(0, last.head.seqno - first.head.seqno) / seconds if seconds > 0 else 0.0


def catch_up_rate(record: Record, lag_warn: float, epoch: float) -> float | None:
    """Seconds of lag that a target makes up each second; None where it does not.

    Only the last samples of the present lag count: answers in a row whose block was older than
    `lag_warn` seconds.
    """
    ages: list[tuple[float, float]] = []
    for sample in reversed(record.heads):
        if len(ages) > 2 and ages[0][0] - sample.finished > _CATCHES_UP_WITHIN:
            break
        if not sample.ok or sample.head is None or sample.head.gen_utime is None:
            break
        age = by_present_clock(sample, epoch).started - sample.head.gen_utime
        if age < lag_warn:
            break
        ages.append((sample.finished, age))
    if len(ages) < 2:
        return None
    (now, age), (then, age_then) = ages[0], ages[-1]
    gained = age_then - age
    return gained / (now - then) if gained >= _CATCH_UP and now > then else None


def interruptions(record: Record, oldest: float) -> float:
    """How often the target stopped answering since `oldest`, a lost answer counting a third.

    A run of failures counts once it has ended: until then the target is down.
    """
    if not _failed_since(record, oldest):
        return 0.0
    recent = [sample for sample in record.heads if sample.finished >= oldest]
    runs = [(ok, len(list(run))) for ok, run in groupby(recent, key=lambda sample: sample.ok)]
    ended = runs[:-1] if runs and not runs[-1][0] else runs
    return sum(1.0 if length > 1 else _LONE_FAILURE for ok, length in ended if not ok)


def loses_answers(record: Record, oldest: float) -> bool:
    """Whether answers were lost since `oldest`, and again after others had come.

    A single outage is no loss of answers.
    """
    if not _failed_since(record, oldest):
        return False
    runs = [
        lost
        for lost, _ in groupby(
            (sample for sample in record.heads if sample.finished >= oldest),
            key=lambda sample: failure(sample.reason).silent or got_no_answer(sample),
        )
    ]
    return runs.count(True) >= _LOSSES


def down_for(record: Record) -> float:
    """Seconds from the first to the last of the failures that the history ends with."""
    failures = _failures(record)
    return failures[0].finished - failures[-1].finished if failures else 0.0


def failing_since(record: Record) -> float:
    """Event loop time of the first query of the failures that the history ends with."""
    failures = _failures(record)
    return failures[-1].asked if failures else math.inf


def block_times(record: Record) -> Iterator[tuple[float, int]]:
    """Of each answer with a block time: when it came (event loop time), and that time (Unix).

    The newest comes first; seconds.
    """
    for sample in reversed(record.heads):
        if sample.head is not None and sample.head.gen_utime is not None:
            yield sample.finished, sample.head.gen_utime


def _failed_since(record: Record, oldest: float) -> bool:
    """Whether any probe failed since `oldest`; most never do."""
    return bool(record.failures) and record.failures[-1].finished >= oldest


def _failures(record: Record) -> list[Sample]:
    """The failures that the history ends with, the newest first."""
    return list(takewhile(lambda sample: not sample.ok, reversed(record.heads)))
