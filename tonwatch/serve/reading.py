"""What a metric is, and how its values are read off a scene.

Readers yield nothing for what is not known: a value past its time to live
leaves the exposition.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from tonwatch.probes.sample import Probe
from tonwatch.serve.reasons import REASONS
from tonwatch.serve.scene import Scene, Seen
from tonwatch.serve.thresholds import Unit, unit_of
from tonwatch.watch.board import Histogram
from tonwatch.watch.verdict import State

Point = tuple[tuple[str, ...], float | Histogram]
"""Label values and a value."""

Of = TypeVar("Of", Scene, Seen)


@dataclass(frozen=True, slots=True)
class Metric(Generic[Of]):
    """One family.

    Attributes:
        name: as exposed, with `_total` and `_info`.
        type: what Prometheus calls it.
        help: what it says and in which unit.
        labels: after `target`, which comes first on every metric of a target.
        read: yields label values and value.
        lasting: stays true when the watcher no longer beats, as counters and histograms do;
            all else is then left out.
    """

    name: str
    type: Literal["gauge", "counter", "histogram", "info"]
    help: str
    read: Callable[[Of], Iterable[Point]]
    labels: tuple[str, ...] = ()
    lasting: bool = False

    @property
    def unit(self) -> str:
        """The base unit that ends the name; empty where it has none."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "blocks") if stem.endswith(f"_{unit}")), "")


def known(value: float | None) -> Iterable[Point]:
    """One point without labels, where there is a value."""
    if value is not None:
        yield (), value


def one_of(members: type[StrEnum], current: StrEnum) -> Iterable[Point]:
    """A state set: 1 for the one that holds, 0 for every other."""
    for member in members:
        yield (member.value,), float(member is current)


def of_known(seen: Seen, value: float) -> Iterable[Point]:
    """A value that means something only while the target's state is known."""
    if seen.verdict.state is not State.UNKNOWN:
        yield (), value


def egress(scene: Scene) -> Iterable[Point]:
    """Known while all external targets have been asked, two at least."""
    judgement = scene.view.judgement
    outside = [verdict for verdict in judgement.verdicts.values() if not verdict.target.local]
    if len(outside) > 1 and all(verdict.state is not State.UNKNOWN for verdict in outside):
        yield (), float(bool(judgement.unreachable))


def version(seen: Seen) -> Iterable[Point]:
    """The liteserver protocol's, as a label."""
    told = seen.verdict.head.version if seen.verdict.head else None
    if told is not None:
        yield (f"{told >> 8}.{told & 255}",), 1


def results(seen: Seen) -> Iterable[Point]:
    """By probe and reason: all that there can be, and any that there was."""
    record = seen.record
    possible = REASONS.get(record.target.kind, {})
    for probe in record.target.probes:
        reasons = dict.fromkeys(possible.get(probe, ()))
        reasons.update(dict.fromkeys(reason for asked, reason in record.results if asked is probe))
        for reason in reasons:
            yield (probe.value, reason.value), record.results.get((probe, reason), 0)


def durations(seen: Seen) -> Iterable[Point]:
    """By probe; the fork probe tells no time that the others do not."""
    for probe in seen.record.target.probes:
        if probe is not Probe.FORK:
            yield (probe.value,), seen.record.durations.get(probe, Histogram())


def phases(seen: Seen) -> Iterable[Point]:
    """By probe and phase, of probes that are young enough."""
    for probe, sample in seen.record.latest.items():
        if seen.scene.fresh(sample):
            for phase, seconds in sample.phases.items():
                yield (probe.value, phase), seconds


def thresholds(scene: Scene, unit: Unit) -> Iterable[Point]:
    """The configured ones that are measured in `unit`."""
    for name, value in scene.config.thresholds:
        if unit_of(name) == unit:
            yield (name,), value
