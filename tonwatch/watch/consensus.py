"""What the comparison of all targets shows: the head, forks, a wrong local clock, broken egress.

Pure functions over the accepted samples, by target name.
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
"""Age of a healthy chain's last block when it is queried, seconds."""

FORK_HISTORY: Final = 24
"""Head samples of each target that are searched for blocks that others reported as well."""


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
    """

    minority: Mapping[str, int] = field(default_factory=dict)
    undecided: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, bytes] = field(default_factory=dict)


def find_head(answers: Mapping[str, Sample], thresholds: Thresholds) -> ChainHead | None:
    """The highest seqno that two sources confirm; that of the only target where only one answers.

    Two targets that reported a block at least as high are two sources, so that a false answer of
    one target does not move the head. The local clock confirms a block too, but only one that is
    fresh by it while the others' blocks are old: of two targets of which one lags, the seqnos
    alone do not show which.
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
    """Compare root hashes wherever targets reported the same seqno; the newest comparison counts.

    A tie counts only where all voters reported: otherwise the next round decides.

    Args:
        records: of all targets; those of another network are ignored.
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
        reported = claims[seqno]
        votes = Counter(reported.values()).most_common()
        tie = len(votes) > 1 and votes[0][1] == votes[1][1]
        if tie and not reported.keys() >= set(voters):
            continue
        for name, root_hash in reported.items():
            if name in compared:
                continue
            compared.add(name)
            if not tie and root_hash == votes[0][0]:
                continue
            (undecided if tie else minority)[name] = seqno
            hashes[name] = root_hash
    return Forks(minority, undecided, hashes)


def local_clock_offset(answers: Mapping[str, Sample], thresholds: Thresholds) -> float | None:
    """Servers' time less local time where the local clock is wrong, seconds; None where it is not.

    Judged by servers' clocks and by the times in fresh blocks: no block comes from the future, and
    a chain that is not stalled makes one every second.
    """
    offsets = [
        sample.head.clock_offset
        for sample in answers.values()
        if sample.head is not None and sample.head.clock_offset is not None
    ]
    if not offsets:
        ahead = [-age for age in _ages(answers)]
        # A block is older than its answer, so this is the least offset.
        return min(ahead) if len(ahead) > 1 and min(ahead) >= thresholds.clock_warn else None
    middle = median(offsets)
    if abs(middle) < thresholds.clock_warn:
        return None
    if max(offsets) - min(offsets) >= thresholds.clock_warn:
        return None
    ages = _ages(answers)
    if not ages:
        return middle if len(offsets) > 1 else None
    # Servers on one host share its clock: the newest block decides which clock it fits.
    by_local = abs(min(ages) - _USUAL_AGE)
    by_servers = abs(min(ages) + middle - _USUAL_AGE)
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
        if (sample := record.latest.get(Probe.HEAD)) is not None and sample.finished >= oldest
    }
    if len(external) < 2 or len(newest) < len(external):
        return ()
    all_silent = all(failure(sample.reason).silent for sample in newest.values())
    return tuple(external) if all_silent and _unreachable(external, accepted) else ()


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


def _external(records: Mapping[str, Record]) -> dict[str, Record]:
    return {name: record for name, record in records.items() if not record.target.local}


def _unreachable(external: Iterable[str], accepted: Mapping[str, Sample]) -> list[str]:
    """Those whose accepted sample says that they cannot be reached."""
    return [
        name for name in external if name in accepted and failure(accepted[name].reason).unreachable
    ]


def _ages(answers: Mapping[str, Sample]) -> list[float]:
    """Seconds by the local clock from each block's time to its query."""
    return [
        sample.started - sample.head.gen_utime
        for sample in answers.values()
        if sample.head is not None and sample.head.gen_utime is not None
    ]
