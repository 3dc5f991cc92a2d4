"""The latest samples of every target, a short history, and the totals since start.

The store only records; the judge evaluates. Judge, metrics and pages read its `snapshot` alone.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from tonwatch.samples.account import AccountKey, Reading, Watched
from tonwatch.samples.payouts import PayoutProgress
from tonwatch.samples.sample import Probe, Sample
from tonwatch.samples.target import Target
from tonwatch.ton.errors import Reason
from tonwatch.watch.failures import failure

STEP_BACK_SPAN: Final = 5
"""Last answers above which a seqno is progress: load balancers alternate between nodes."""

ANEW: Final = 10
"""Blocks below its last answer at which a target starts anew; servers behind one address differ by
less."""

HISTORY: Final = 120
"""Head samples kept of each target: ten minutes at the default interval."""

FAILURES: Final = 10
"""Failed samples kept of each target, also those older than the history."""

CHANGES: Final = 5
"""Changes of its server kept of each target."""

_KNOWN_SERVERS: Final = 16
"""Last different values that are no change when they come again: balancers alternate."""

BUCKETS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the duration histogram, seconds."""


Observation = Sample | Reading | PayoutProgress
"""What probes return."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations of one probe: counts per bucket (the last is +Inf), not cumulative; their sum."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    sum: float = 0.0


@dataclass(frozen=True, slots=True)
class Failing:
    """A probe whose last samples failed.

    Attributes:
        count: samples since the last one that succeeded.
        first: the first of them.
        last: the last one.
    """

    count: int
    first: Sample
    last: Sample


class Trait(StrEnum):
    """What a target's server is recognised by."""

    SERVER = "server"
    """Its key or its address; see `Sample.server`."""

    PROTOCOL_VERSION = "protocol_version"
    """Of the liteserver protocol, such as 1.1."""


@dataclass(frozen=True, slots=True)
class ServerChange:
    """Another server answers for a target than before, or another version of it.

    Attributes:
        target: its configured name.
        trait: which of its traits differs.
        was: the value before.
        now: the value since then.
        at: when that was first seen, Unix seconds.
    """

    target: str
    trait: Trait
    was: str
    now: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one target.

    Attributes:
        latest: the last sample of each probe.
        heads: head samples, oldest first.
        forks: the last two answers to the fork probe, oldest first.
        claims: the last sample of each probe that was a correct or a false answer; a lost answer
            is neither.
        failing: the probes whose last sample failed.
        failures: the last failed samples of any probe, oldest first.
        results: how many samples ended in each reason, by probe.
        durations: histogram of each probe.
        overruns: ticks that were skipped because a probe took too long, by probe.
        changes: the last ones of its server, oldest first.
        answered: start of its last successful probe, Unix seconds.
        advanced: event loop time at which its seqno last grew, or it first reported one.
        steps_back: how often its seqno went back (load balancers do that).
        dropped_answers: answers that came late or unasked.
    """

    target: Target
    latest: Mapping[Probe, Sample]
    heads: tuple[Sample, ...]
    forks: tuple[Sample, ...]
    claims: Mapping[Probe, Sample]
    failing: Mapping[Probe, Failing]
    failures: tuple[Sample, ...]
    results: Mapping[tuple[Probe, Reason], int]
    durations: Mapping[Probe, Histogram]
    overruns: Mapping[Probe, int]
    changes: tuple[ServerChange, ...]
    answered: float | None
    advanced: float | None
    steps_back: int
    dropped_answers: int


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What is known of one account. None for what has not been observed.

    Attributes:
        reading: the newest one that succeeded.
        failed: the newest one that failed since then.
        progress: how far its transactions are counted, and their totals.
    """

    reading: Reading | None = None
    failed: Reading | None = None
    progress: PayoutProgress | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is known at one moment.

    Attributes:
        wall: the local clock, Unix seconds.
        monotonic: the event loop's clock, seconds.
        records: by target name, in the order of the configuration.
        accounts: of wallets and contracts, in the order of the configuration.
        payout_overruns: intervals at which payouts were still being counted since the one before.
        state_dir_error: why the last state could not be written; empty where it was.
    """

    wall: float
    monotonic: float
    records: Mapping[str, Record]
    accounts: Mapping[AccountKey, AccountRecord] = field(default_factory=dict)
    payout_overruns: int = 0
    state_dir_error: str = ""


@dataclass(slots=True)
class _Entry:
    """The mutable part of a target's record."""

    latest: dict[Probe, Sample] = field(default_factory=dict)
    heads: deque[Sample] = field(default_factory=lambda: deque(maxlen=HISTORY))
    forks: deque[Sample] = field(default_factory=lambda: deque(maxlen=2))
    claims: dict[Probe, Sample] = field(default_factory=dict)
    failing: dict[Probe, Failing] = field(default_factory=dict)
    failures: deque[Sample] = field(default_factory=lambda: deque(maxlen=FAILURES))
    results: Counter[tuple[Probe, Reason]] = field(default_factory=Counter)
    durations: dict[Probe, Histogram] = field(default_factory=dict)
    overruns: Counter[Probe] = field(default_factory=Counter)
    traits: dict[Trait, deque[str]] = field(default_factory=dict)
    changes: deque[ServerChange] = field(default_factory=lambda: deque(maxlen=CHANGES))
    seqnos: deque[int] = field(default_factory=lambda: deque(maxlen=STEP_BACK_SPAN))
    answered: float | None = None
    advanced: float | None = None
    steps_back: int = 0


class Store:
    """Takes samples in, gives snapshots out.

    Args:
        targets: all that is watched.
        accounts: of wallets and contracts, all that are read.
        dropped_answers: reads a target's counter of dropped answers.
    """

    def __init__(
        self,
        targets: Iterable[Target] = (),
        accounts: Iterable[Watched] = (),
        dropped_answers: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._targets: dict[str, Target] = {}
        self._entries: dict[str, _Entry] = {}
        self._watched: dict[AccountKey, Watched] = {}
        self._accounts: dict[AccountKey, AccountRecord] = {}
        self._payout_overruns = 0
        self._state_dir_error = ""
        self._dropped_answers = dropped_answers
        self.change(targets, accounts)

    def change(
        self,
        targets: Iterable[Target],
        accounts: Iterable[Watched],
        *,
        forget: Collection[str] = (),
        counted: Collection[str] = (),
    ) -> None:
        """Watch these from now on. What is known of those that stay is kept.

        Args:
            targets: all that is watched.
            accounts: all that are read; one whose address is another is not the same.
            forget: names of targets that are not the same as before.
            counted: names of wallets whose counting of payouts goes on.
        """
        known = self._entries
        self._targets = {target.name: target for target in targets}
        self._entries = {
            name: known[name] if name in known and name not in forget else _Entry()
            for name in self._targets
        }
        watched = {each.key: each for each in accounts}
        records = {
            key: self._accounts[key] if self._watched.get(key) == each else AccountRecord()
            for key, each in watched.items()
        }
        self._accounts = {
            key: record
            if record.progress is None or key.name in counted
            else replace(record, progress=None)
            for key, record in records.items()
        }
        self._watched = watched

    def add(self, observed: Observation) -> None:
        """Record a sample, a reading or how far payouts were counted.

        Raises:
            KeyError: it is of a target or an account that is not configured.
        """
        if isinstance(observed, Sample):
            self._add(observed)
            return
        before = self._accounts[observed.key]
        if isinstance(observed, PayoutProgress):
            after = replace(before, progress=observed)
        elif observed.ok:
            after = replace(before, reading=observed, failed=None)
        else:
            after = replace(before, failed=observed)
        self._accounts[observed.key] = after

    def _add(self, sample: Sample) -> None:
        entry = self._entries[sample.target]
        entry.latest[sample.probe] = sample
        entry.results[sample.probe, sample.reason] += 1
        entry.durations[sample.probe] = _observe(
            entry.durations.get(sample.probe, Histogram()), sample.duration
        )
        if sample.ok or failure(sample.reason).false_claim:
            entry.claims[sample.probe] = sample
        if sample.ok:
            entry.answered = sample.started
            entry.failing.pop(sample.probe, None)
        else:
            entry.failures.append(sample)
            before = entry.failing.get(sample.probe, Failing(0, sample, sample))
            entry.failing[sample.probe] = replace(before, count=before.count + 1, last=sample)
        if sample.probe is Probe.HEAD:
            is_back = len(entry.heads) > 1 and not entry.heads[-1].ok and not entry.heads[-2].ok
            if is_back and sample.head is not None:
                # Up again after an outage, perhaps at an older block: progress starts anew. The
                # block that it had before is no progress.
                last = [seqno for seqno in entry.seqnos if seqno == sample.head.seqno]
                entry.seqnos.clear()
                entry.seqnos.extend(last)
            entry.heads.append(sample)
            _recognise(entry, sample)
            if sample.head is not None:
                _advance(entry, sample.head.seqno, sample.finished)
        elif sample.probe is Probe.FORK and sample.ok:
            entry.forks.append(sample)

    def overrun(self, target: str, probe: Probe, ticks: int) -> None:
        """Count ticks that were skipped because the previous probe was still running."""
        self._entries[target].overruns[probe] += ticks

    def overrun_of_payouts(self, ticks: int) -> None:
        """Count ticks at which payouts were still being counted."""
        self._payout_overruns += ticks

    def state_dir_failed(self, why: str) -> None:
        """State could not be written; an empty text: it was."""
        self._state_dir_error = why

    def snapshot(self, *, wall: float, monotonic: float) -> Snapshot:
        """Everything known now; immutable."""
        return Snapshot(
            wall,
            monotonic,
            {
                name: Record(
                    target=self._targets[name],
                    latest=dict(entry.latest),
                    heads=tuple(entry.heads),
                    forks=tuple(entry.forks),
                    claims=dict(entry.claims),
                    failing=dict(entry.failing),
                    failures=tuple(entry.failures),
                    results=dict(entry.results),
                    durations=dict(entry.durations),
                    overruns=dict(entry.overruns),
                    changes=tuple(entry.changes),
                    answered=entry.answered,
                    advanced=entry.advanced,
                    steps_back=entry.steps_back,
                    dropped_answers=self._dropped_answers(name),
                )
                for name, entry in self._entries.items()
            },
            dict(self._accounts),
            self._payout_overruns,
            self._state_dir_error,
        )


def _advance(entry: _Entry, seqno: int, at: float) -> None:
    """Count regressions; note progress: above all recent answers, or two steps up in a row.

    Far below them it starts anew.
    """
    before = entry.seqnos
    if before and seqno < before[-1]:
        entry.steps_back += 1
        if seqno < before[-1] - ANEW:
            before.clear()
    climbing = len(before) > 1 and seqno > before[-1] > before[-2]
    if climbing or seqno > max(before, default=-1):
        entry.advanced = at
    before.append(seqno)


def _recognise(entry: _Entry, sample: Sample) -> None:
    """Note traits of the server that were not seen lately."""
    version = sample.head.version if sample.head is not None else None
    seen = {
        Trait.SERVER: sample.server,
        Trait.PROTOCOL_VERSION: "" if version is None else f"{version >> 8}.{version & 255}",
    }
    for trait, value in seen.items():
        known = entry.traits.setdefault(trait, deque(maxlen=_KNOWN_SERVERS))
        if not value:
            continue
        if value in known:
            known.remove(value)
        elif known:
            change = ServerChange(sample.target, trait, known[-1], value, sample.started)
            entry.changes.append(change)
        known.append(value)


def _observe(histogram: Histogram, seconds: float) -> Histogram:
    counts = list(histogram.counts)
    counts[bisect_left(BUCKETS, seconds)] += 1
    return Histogram(tuple(counts), histogram.sum + seconds)
