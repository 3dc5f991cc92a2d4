"""What the comparison of all targets shows: the head, forks, a wrong local clock, broken egress.

Pure functions over the accepted samples, by target name.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Final

from tonwatch.config.models import Thresholds
from tonwatch.samples.sample import Probe, Sample
from tonwatch.watch import history
from tonwatch.watch.failures import failure
from tonwatch.watch.store import ANEW, Record

_YOUNGEST_AGE: Final = 0.7
"""Age of the youngest of several blocks of a healthy chain, seconds."""

_FORK_HISTORY: Final = 24
"""Head samples of each target that are searched for blocks that others reported as well."""

NEAR_HEAD: Final = 25
"""Blocks of lag above which a target does not have what others are compared by: they are compared
without it as well, at blocks that it does not have yet."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The highest masterchain block that two sources confirm.

    Attributes:
        seqno: of the block.
        gen_utime: when it was made, Unix seconds; None where the target did not report it.
        target: which reported it.
        seen: event loop time of that answer.
    """

    seqno: int
    gen_utime: int | None
    target: str
    seen: float


@dataclass(frozen=True, slots=True)
class Forks:
    """Targets that reported another block than others at the same seqno.

    Attributes:
        minority: the seqno at which each of these targets differs from a majority.
        undecided: the seqno at which each of these differs from as many others.
        hashes: the root hash that each of both reported at its seqno.
        unsettled: whether some differ in a comparison that does not count yet.
    """

    minority: Mapping[str, int] = field(default_factory=dict)
    undecided: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, bytes] = field(default_factory=dict)
    unsettled: bool = False


def find_sources(records: Mapping[str, Record]) -> Mapping[str, str]:
    """The independent source that each target is: the name of the first target of it.

    Targets of one operator, or on one server, have one vote.
    """
    source_of: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    for name, record in records.items():
        traits: list[Hashable] = [("operator", record.target.operator or name)]
        newest = record.latest.get(Probe.HEAD)
        if newest is not None and newest.server:
            traits.append(("server", newest.server))
        known = sorted({source_of[first[trait]] for trait in traits if trait in first})
        source = known[0] if known else name
        for other in known[1:]:
            source_of = {each: source if of == other else of for each, of in source_of.items()}
        source_of[name] = source
        for trait in traits:
            first.setdefault(trait, name)
    return source_of


def age(sample: Sample, clock_offset: float | None) -> float | None:
    """Age of a sample's block when it was asked for, seconds; None without a block time.

    Args:
        sample: by the present local clock.
        clock_offset: true time less local time; None where the local clock is right.
    """
    if sample.head is None or sample.head.gen_utime is None:
        return None
    return sample.started + (clock_offset or 0.0) - sample.head.gen_utime


def _age_at_answer(sample: Sample, clock_offset: float | None) -> float | None:
    """Age of a sample's block when the answer was there: it may be made after the question."""
    asked = age(sample, clock_offset)
    return None if asked is None else asked + sample.duration


def from_the_future(
    answers: Mapping[str, Sample], clock_offset: float | None, thresholds: Thresholds
) -> dict[str, float]:
    """Seconds by which targets' last blocks are later than the time: no true block is."""
    ages = {name: _age_at_answer(sample, clock_offset) for name, sample in answers.items()}
    return {
        name: -block_age
        for name, block_age in ages.items()
        if block_age is not None and block_age < -thresholds.clock_critical
    }


def find_head(
    answers: Mapping[str, Sample],
    sources: Mapping[str, str],
    clock_offset: float | None,
    thresholds: Thresholds,
) -> ChainHead | None:
    """The highest seqno that two sources confirm; that of the only source where only one answers.

    Two sources that reported a block at least as high confirm it, so that a false answer of one
    does not move the head. The clock confirms a block too, but only one that is fresh by it while
    the others' blocks are old: of two targets of which one lags, the seqnos alone do not show
    which.

    Args:
        answers: of targets that are trusted.
        sources: see `find_sources`.
        clock_offset: true time less local time; None where the local clock is right.
        thresholds: how old a fresh block is.
    """
    heads: dict[str, ChainHead] = {}
    for name, sample in answers.items():
        if sample.head is None:
            continue
        head = ChainHead(sample.head.seqno, sample.head.gen_utime, name, sample.finished)
        source = sources.get(name, name)
        if source not in heads or heads[source].seqno < head.seqno:
            heads[source] = head
    highest = sorted(heads.values(), key=lambda head: head.seqno, reverse=True)[:2]
    if len(highest) < 2:
        return highest[0] if highest else None
    first, second = highest
    if first.gen_utime is None or second.gen_utime is None:
        return second
    block_age = age(answers[first.target], clock_offset)
    fresh = block_age is not None and block_age < thresholds.lag_warn
    if fresh and first.gen_utime - second.gen_utime >= thresholds.lag_warn:
        return first
    if second.gen_utime > first.gen_utime:
        # No block is later than one above it: the times are of two histories, or false.
        second_age = age(answers[second.target], clock_offset)
        is_fresh = second_age is not None and second_age < thresholds.lag_warn
        return second if is_fresh else replace(second, gen_utime=first.gen_utime)
    return second


def reported_blocks(record: Record) -> list[Sample]:
    """The samples in which a target reported a block that it still stands for.

    Where its head went back by more than `ANEW` blocks, those from before are of a history that
    it has left: restored from a backup, or back from a fork.
    """
    heads = [sample for sample in record.heads[-_FORK_HISTORY:] if sample.head is not None]
    since = -math.inf
    for before, after in pairwise(heads):
        if after.head and before.head and after.head.seqno < before.head.seqno - ANEW:
            since = after.finished
    return [
        sample for sample in (*record.forks, *heads) if sample.head and sample.finished >= since
    ]


def find_forks(
    records: Mapping[str, Record],
    voters: Collection[str],
    sources: Mapping[str, str],
    zerostate: bytes,
    oldest: float,
) -> Forks:
    """Compare root hashes wherever targets reported the same seqno; the newest comparison counts.

    A tie counts only where all voters reported: otherwise the next round decides, which is soon.

    Args:
        records: of all targets; those of another network are ignored.
        voters: the targets that answer now.
        sources: see `find_sources`; each has one vote for a block.
        zerostate: of the right network.
        oldest: event loop time before which nothing counts.
    """
    reported_by = {name: reported_blocks(record) for name, record in records.items()}
    blocks = {
        (head.seqno, head.root_hash)
        for samples in reported_by.values()
        for sample in samples
        if (head := sample.head) is not None
    }
    if len(blocks) == len({seqno for seqno, _ in blocks}):
        return Forks()  # no block has two hashes
    claims: dict[int, dict[str, bytes]] = defaultdict(dict)
    for name, samples in reported_by.items():
        for sample in samples:
            head = sample.head
            if head is None or sample.finished < oldest:
                continue
            if head.zerostate in (None, zerostate):
                claims[head.seqno][name] = head.root_hash
    minority: dict[str, int] = {}
    undecided: dict[str, int] = {}
    hashes: dict[str, bytes] = {}
    compared: set[str] = set()
    unsettled = False
    for seqno in sorted((seqno for seqno in claims if len(claims[seqno]) > 1), reverse=True):
        reported = claims[seqno]
        ballots = {(sources.get(name, name), root) for name, root in reported.items()}
        votes = Counter(root for _, root in ballots).most_common()
        tie = len(votes) > 1 and votes[0][1] == votes[1][1]
        if tie and not reported.keys() >= set(voters):
            unsettled = unsettled or not compared >= reported.keys()
            continue
        for name, root_hash in reported.items():
            if name in compared:
                continue
            compared.add(name)
            if not tie and root_hash == votes[0][0]:
                continue
            (undecided if tie else minority)[name] = seqno
            hashes[name] = root_hash
    return Forks(minority, undecided, hashes, unsettled)


def confirmed_age(ages: Mapping[str, float], sources: Mapping[str, str]) -> float | None:
    """Age of the youngest block, seconds; of the second youngest where there are three sources.

    One source with false block times does not decide alone which clock is right.

    Args:
        ages: of the youngest block of each target, by the local clock.
        sources: see `find_sources`.
    """
    by_source: dict[str, float] = {}
    for name, block_age in ages.items():
        source = sources.get(name, name)
        by_source[source] = min(block_age, by_source.get(source, math.inf))
    youngest = sorted(by_source.values())[:2]
    if not youngest:
        return None
    return youngest[-1] if len(by_source) > 2 else youngest[0]


def local_clock_offset(
    answers: Mapping[str, Sample], youngest: float | None, thresholds: Thresholds
) -> float | None:
    """Servers' time less local time where the local clock is wrong, seconds; None where it is not.

    Judged by the clocks of most servers, and by the times in fresh blocks: no block comes from the
    future, and a chain that is not stalled makes one every second.

    Args:
        answers: of targets of this network.
        youngest: see `confirmed_age`; None without one.
        thresholds: from which offset on a clock is wrong.
    """
    offsets = [
        sample.head.clock_offset
        for sample in answers.values()
        if sample.head is not None and sample.head.clock_offset is not None
    ]
    if not offsets:
        ages = [a for each in answers.values() if (a := _age_at_answer(each, None)) is not None]
        # A block is older than its answer, so this is the least offset.
        return -max(ages) if ages and -max(ages) >= thresholds.clock_warn else None
    middle = median(offsets)
    if abs(middle) < thresholds.clock_warn:
        return None
    near = thresholds.clock_warn / 2
    agreeing = [offset for offset in offsets if abs(offset - middle) < near]
    if len(agreeing) * 2 <= len(offsets):
        return None
    if youngest is None:
        return middle if len(offsets) > 1 else None
    # Servers on one host share its clock: the youngest block decides which clock it fits.
    by_local = abs(youngest - _YOUNGEST_AGE)
    by_servers = abs(youngest + middle - _YOUNGEST_AGE)
    return middle if by_servers < by_local else None


def egress_broken(
    records: Mapping[str, Record], oldest: float, accepted: Mapping[str, Sample]
) -> tuple[str, ...]:
    """The external targets, where none of them can be reached: two at least, all at once.

    One of them must be judged unreachable; of the others the newest sample is enough, so that none
    of them is blamed first.
    """
    external = _external(records)
    newest = {
        name: sample
        for name, record in external.items()
        if (sample := _newest_way(record)) is not None and sample.finished >= oldest
    }
    if len(external) < 2 or len(newest) < len(external):
        return ()
    all_silent = all(failure(sample.reason).silent for sample in newest.values())
    judged = bool(_unreachable(external, accepted)) or any(
        history.fails_twice(record, Probe.CONNECT, oldest) for record in external.values()
    )
    return tuple(external) if all_silent and judged else ()


def egress_lossy(records: Mapping[str, Record], now: float) -> tuple[str, ...]:
    """The external targets, where each of them lately lost answers and gave others: two at least.

    Args:
        records: of all targets.
        now: event loop time, seconds.
    """
    external = _external(records)
    if len(external) < 2:
        return ()
    losing = all(
        history.loses_answers(record, now - history.LOSSY_FOR) for record in external.values()
    )
    return tuple(external) if losing else ()


def egress_suspected(
    records: Mapping[str, Record], accepted: Mapping[str, Sample], patience: float
) -> tuple[str, ...]:
    """External targets judged unreachable, perhaps for broken egress: no other was probed since.

    The next answer of an external target shows that they are to blame, the next failures that it
    is egress.

    Args:
        records: of all targets.
        accepted: the sample that each is judged by.
        patience: event loop time; a target that fails since before it is blamed in any case.
    """
    external = _external(records)
    reached = [
        newest.asked
        for record in external.values()
        if (newest := record.latest.get(Probe.HEAD)) is not None
        and not failure(newest.reason).silent
    ]
    # Without another external target there is nothing to wait for.
    return tuple(
        name
        for name in _unreachable(external, accepted)
        if reached and history.failing_since(external[name]) >= max(*reached, patience)
    )


def _newest_way(record: Record) -> Sample | None:
    """The newest sample that shows the way to a target.

    A connection that is kept says nothing about the way to a new one.
    """
    newest = record.latest.get(Probe.HEAD)
    failing = record.failing.get(Probe.CONNECT)
    if newest is None or not newest.ok or failing is None:
        return newest
    if "connect" in newest.phases and newest.finished > failing.last.finished:
        return newest
    return failing.last


def _external(records: Mapping[str, Record]) -> dict[str, Record]:
    return {name: record for name, record in records.items() if not record.target.local}


def _unreachable(external: Iterable[str], accepted: Mapping[str, Sample]) -> list[str]:
    """Those whose accepted sample says that they cannot be reached."""
    return [
        name for name in external if name in accepted and failure(accepted[name].reason).unreachable
    ]
