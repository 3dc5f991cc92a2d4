"""Plays the situations of many seeds, and reports what was wrong."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

import structlog

from tests.campaign import made, sockets
from tests.campaign.checks import Checks, Invariant
from tests.campaign.minimal import minimal, written
from tests.campaign.situation import Situation, Unplayable, generated

TIERS: Final[dict[str, Callable[[Situation], Checks]]] = {
    "judge": made.played,
    "sockets": sockets.played,
}
"""How situations are played: the judge alone on made samples, or all of tonwatch on sockets."""

_CHUNK: Final = 50

_SHOWN: Final = 2
"""Wrong situations of each invariant that are simplified and printed."""


@dataclass(frozen=True)
class Failure:
    """What was wrong with a seed."""

    seed: int
    invariant: Invariant
    what: str
    faults: tuple[str, ...]


@dataclass
class Report:
    """What came of a campaign.

    Attributes:
        played: situations.
        left_out: situations that the simulator cannot play.
        hurt: those in which users of a primary are hurt.
        wrong: those in which an invariant was violated.
        failures: all violations.
        faults: situations with each fault, by its name.
    """

    played: int = 0
    left_out: int = 0
    hurt: int = 0
    wrong: int = 0
    failures: list[Failure] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Report") -> None:
        """Add the results of other seeds."""
        self.played += other.played
        self.left_out += other.left_out
        self.hurt += other.hurt
        self.wrong += other.wrong
        self.failures += other.failures
        self.faults += other.faults

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.played:8,} situations played, {self.left_out:,} cannot be"
        yield f"{self.hurt:8,} hurt users of a primary"
        yield f"{self.wrong:8,} judged wrong"
        for invariant, count in Counter(f.invariant for f in self.failures).most_common():
            yield f"{count:12,} not so: {invariant}"
        with_fault = Counter(fault for f in self.failures for fault in set(f.faults))
        for fault, count in with_fault.most_common():
            yield f"{count:12,} violations with {fault}, which was in {self.faults[fault]:,}"


def campaign(tier: str, seeds: Iterable[int], jobs: int = 1) -> Report:
    """Play the situations of `seeds` in `jobs` processes."""
    whole = Report()
    play = partial(_part, tier)
    if jobs == 1:
        whole.add(play(list(seeds)))
        return whole
    with ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(play, _chunks(seeds)):
            whole.add(part)
    return whole


def _chunks(seeds: Iterable[int]) -> Iterator[list[int]]:
    left = iter(seeds)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk


def _part(tier: str, seeds: list[int]) -> Report:
    report = Report()
    for seed in seeds:
        situation = generated(seed)
        try:
            with _quiet():
                checks = TIERS[tier](situation)
        except Unplayable:
            report.left_out += 1
            continue
        report.played += 1
        report.hurt += checks.hurts
        report.wrong += bool(checks.wrong)
        report.faults.update({episode.fault for episode in situation.episodes})
        report.failures += [
            Failure(seed, invariant, wrong.what, wrong.faults)
            for invariant, wrong in checks.wrong.items()
        ]
    return report


@contextmanager
def _quiet() -> Iterator[None]:
    """Log nothing of what the daemon notices: it is of no use for thousands of faults."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def shown(tier: str, report: Report) -> Iterator[str]:
    """A minimal scenario for some violations of each invariant."""
    counts: Counter[tuple[Invariant, tuple[str, ...]]] = Counter()
    per_invariant: Counter[Invariant] = Counter()
    for failure in sorted(report.failures, key=lambda each: len(each.faults)):
        alike = failure.invariant, failure.faults
        if counts[alike] or per_invariant[failure.invariant] >= _SHOWN:
            continue
        counts[alike] += 1
        per_invariant[failure.invariant] += 1
        yield explained(tier, failure)


def explained(tier: str, failure: Failure) -> str:
    """A violation and the simplest situation that has it."""
    play = TIERS[tier]
    with _quiet():
        simplest = minimal(generated(failure.seed), failure.invariant, play)
        wrong = play(simplest).wrong.get(failure.invariant)
    text = str(wrong) if wrong is not None else failure.what
    return f"seed {failure.seed}: {text}\n{simplest}\n\n{written(simplest)}"
