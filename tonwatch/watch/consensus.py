"""What only all targets together show: the head, forks, whose clock is wrong, broken egress.

Pure functions over the samples that are believed, by target name.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from tonwatch.config.models import Thresholds
from tonwatch.samples.sample import Probe, Sample
from tonwatch.watch import history
from tonwatch.watch.failures import failure
from tonwatch.watch.store import Record

_USUAL_AGE: Final = 1.5
"""Seconds that a healthy chain's last block is old when somebody asks for it."""

FORK_HISTORY: Final = 24
"""Head samples of each target that are searched for blocks that others told of as well."""


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


@dataclass(frozen=True, slots=True)
class Forks:
    """Who told of another block than the others at the same seqno.

    Attributes:
        minority: the seqno at which each of these targets stands against a majority.
        undecided: the seqno at which each of these stands against as many others.
        hashes: the root hash that each of both told at its seqno.
    """

    minority: Mapping[str, int] = field(default_factory=dict)
    undecided: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, bytes] = field(default_factory=dict)


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
    fresh = -thresholds.clock_critical <= age < thresholds.lag_warn
    ahead = first.gen_utime - second.gen_utime >= thresholds.lag_warn
    return first if fresh and ahead else second


def find_forks(
    records: Mapping[str, Record], voters: Collection[str], zerostate: bytes, oldest: float
) -> Forks:
    """Compare root hashes wherever targets told of the same seqno; the newest comparison counts.

    A tie counts only where all have voted: otherwise the next round decides.

    Args:
        records: of all targets; those of another network have no say.
        voters: the targets that answer now.
        zerostate: of the right network.
        oldest: event loop time before which nothing counts.
    """
    claims: dict[int, dict[str, bytes]] = defaultdict(dict)
    for name, record in records.items():
        for sample in (*record.forks, *record.heads[-FORK_HISTORY:]):
            head = sample.head
            if sample.finished < oldest or head is None:
                continue
            if head.zerostate in (None, zerostate):
                claims[head.seqno][name] = head.root_hash
    minority: dict[str, int] = {}
    undecided: dict[str, int] = {}
    hashes: dict[str, bytes] = {}
    compared: set[str] = set()
    for seqno in sorted((seqno for seqno in claims if len(claims[seqno]) > 1), reverse=True):
        told = claims[seqno]
        votes = Counter(told.values()).most_common()
        tie = len(votes) > 1 and votes[0][1] == votes[1][1]
        if tie and not told.keys() >= set(voters):
            continue
        for name, root_hash in told.items():
            if name in compared:
                continue
            compared.add(name)
            if not tie and root_hash == votes[0][0]:
                continue
            (undecided if tie else minority)[name] = seqno
            hashes[name] = root_hash
    return Forks(minority, undecided, hashes)


def our_clock(answers: Mapping[str, Sample], thresholds: Thresholds) -> float | None:
    """Their time less ours where it is our clock that is wrong, seconds; None where it is not.

    Servers' clocks are witnesses, and so are the times in fresh blocks: no block
    comes from the future, and a chain that goes on makes one every second.
    """
    offsets = [
        sample.head.clock_offset
        for sample in answers.values()
        if sample.head is not None and sample.head.clock_offset is not None
    ]
    if not offsets:
        ahead = [-age for age in _ages(answers)]
        # Blocks are behind the time they are told at, so this is the least it can be.
        return min(ahead) if len(ahead) > 1 and min(ahead) >= thresholds.clock_warn else None
    middle = median(offsets)
    if abs(middle) < thresholds.clock_warn:
        return None
    if max(offsets) - min(offsets) >= thresholds.clock_warn:
        return None
    ages = _ages(answers)
    if not ages:
        return middle if len(offsets) > 1 else None
    # Servers that share a host share its clock: the newest block decides whose time it fits.
    by_ours = abs(min(ages) - _USUAL_AGE)
    by_theirs = abs(min(ages) + middle - _USUAL_AGE)
    return middle if by_theirs < by_ours else None


def egress_broken(
    records: Mapping[str, Record], oldest: float, believed: Mapping[str, Sample]
) -> tuple[str, ...]:
    """The external targets, where none of them can be reached: two at least, all at once.

    One of them has to be given up for being unreachable; of the others the
    newest answer is enough, so that none of them is blamed first.
    """
    external = _external(records)
    newest = {
        name: sample
        for name, record in external.items()
        if (sample := record.latest.get(Probe.HEAD)) is not None and sample.finished >= oldest
    }
    if len(external) < 2 or len(newest) < len(external):
        return ()
    all_silent = all(failure(sample.reason).silent for sample in newest.values())
    return tuple(external) if all_silent and _given_up(external, believed) else ()


def egress_suspected(
    records: Mapping[str, Record], believed: Mapping[str, Sample], patience: float
) -> tuple[str, ...]:
    """External targets that are given up, but perhaps for our egress: no other was asked since.

    The next answer from outside decides that they are to blame, or the next
    failures that it is our end.

    Args:
        records: of all targets.
        believed: the sample that each is judged by.
        patience: event loop time; whoever fails since before it is blamed in any case.
    """
    external = _external(records)
    reached = [
        newest.asked
        for record in external.values()
        if (newest := record.latest.get(Probe.HEAD)) is not None
        and not failure(newest.reason).silent
    ]
    # Without anybody left to be asked there is nothing to wait for.
    return tuple(
        name
        for name in _given_up(external, believed)
        if reached and history.failing_since(external[name]) >= max(*reached, patience)
    )


def _external(records: Mapping[str, Record]) -> dict[str, Record]:
    return {name: record for name, record in records.items() if not record.target.local}


def _given_up(external: Iterable[str], believed: Mapping[str, Sample]) -> list[str]:
    """Those that are believed to be out of reach."""
    return [
        name for name in external if name in believed and failure(believed[name].reason).unreachable
    ]


def _ages(answers: Mapping[str, Sample]) -> list[float]:
    """Seconds by our clock from each block's making to its being told."""
    return [
        sample.started - sample.head.gen_utime
        for sample in answers.values()
        if sample.head is not None and sample.head.gen_utime is not None
    ]
