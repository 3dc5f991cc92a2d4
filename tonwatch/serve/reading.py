"""What a metric is, and how its values are read off a scene.

Readers yield nothing for what is not known: a value past its time to live
leaves the exposition.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, Literal, TypeVar

from tonwatch.probes.sample import Probe
from tonwatch.serve.scene import Scene, Seen
from tonwatch.serve.thresholds import Unit, unit_of
from tonwatch.ton.errors import Reason
from tonwatch.watch.board import Histogram
from tonwatch.watch.judge import WALLET_ROUNDS
from tonwatch.watch.states import State

Point = tuple[tuple[str, ...], float | Histogram]
"""Label values and a value."""

Told = Iterable[Point] | float | None
"""Points where a metric has labels of its own, otherwise its one value; None where not known."""

Of = TypeVar("Of")
"""What values are read off: a scene, or one of the things in it."""

_TIMED: Final = frozenset({Probe.HEAD, Probe.CONNECT})
"""Probes whose durations are told: the others ask the same over again, or many at a time."""


@dataclass(frozen=True, slots=True)
class Metric(Generic[Of]):
    """One family.

    Attributes:
        name: as exposed, with `_total` and `_info`.
        type: what Prometheus calls it.
        help: what it says and in which unit.
        labels: after those of its group, which come first.
        read: yields label values and value, an info's value being 1; without `labels` it
            returns the value alone, None where it is not known.
        lasting: stays true when the watcher no longer beats, as counters and histograms do;
            all else is then left out.
    """

    name: str
    type: Literal["gauge", "counter", "histogram", "info"]
    help: str
    read: Callable[[Of], Told]
    labels: tuple[str, ...] = ()
    lasting: bool = False

    @property
    def unit(self) -> str:
        """The base unit that ends the name; empty where it has none."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "blocks") if stem.endswith(f"_{unit}")), "")


@dataclass(frozen=True, slots=True)
class Group(Generic[Of]):
    """Families that are read off the same things.

    Attributes:
        title: heads their section in the documentation.
        labels: that tell the things apart; the first of every family.
        metrics: the families.
        sources: the things in a scene, each with the values of `labels`.
    """

    title: str
    labels: tuple[str, ...]
    metrics: tuple[Metric[Of], ...]
    sources: Callable[[Scene], Iterable[tuple[tuple[str, ...], Of]]]


def one_of(members: type[StrEnum], current: StrEnum) -> tuple[Point, ...]:
    """A state set: 1 for the one that holds, 0 for every other."""
    return tuple(((str(member),), float(member == current)) for member in members)


def current_state(current: str, *always: str) -> tuple[Point, ...]:
    """The part of a state set that somebody uses: 1 for the state that holds, and 0 for those of
    the others that alert rules select, which must find them from the first scrape."""
    others = (((str(state),), 0.0) for state in always if state != current)
    return (((str(current),), 1.0), *others)


def of_known(seen: Seen, value: float) -> float | None:
    """A value that means something only while the target's state is known."""
    return None if seen.verdict.state is State.UNKNOWN else value


def egress(scene: Scene) -> float | None:
    """Known while all external targets have been asked, two at least."""
    judgement = scene.view.judgement
    outside = [verdict for verdict in judgement.verdicts.values() if not verdict.target.local]
    if len(outside) > 1 and all(verdict.state is not State.UNKNOWN for verdict in outside):
        return float(bool(judgement.unreachable))
    return None


def info(seen: Seen) -> Iterable[Point]:
    """What a target is, as labels."""
    target = seen.record.target
    yield (target.kind, target.role, str(target.local).lower()), 1


def version(seen: Seen) -> Iterable[Point]:
    """The liteserver protocol's, as a label."""
    told = seen.verdict.head.version if seen.verdict.head else None
    if told is not None:
        yield (f"{told >> 8}.{told & 255}",), 1


def probes(seen: Seen) -> Iterable[Point]:
    """By probe and outcome, all from 0."""
    record = seen.record
    for probe in record.target.probes:
        ok = record.results.get((probe, Reason.OK), 0)
        ended = sum(count for (asked, _), count in record.results.items() if asked is probe)
        yield (probe.value, "ok"), ok
        yield (probe.value, "failed"), ended - ok


def failures(seen: Seen) -> Iterable[Point]:
    """By probe and reason, as far as they have occurred."""
    for (probe, reason), count in seen.record.results.items():
        if reason is not Reason.OK:
            yield (probe.value, reason.value), count


def durations(seen: Seen) -> Iterable[Point]:
    """By probe."""
    for probe in seen.record.target.probes:
        if probe in _TIMED:
            yield (probe.value,), seen.record.durations.get(probe, Histogram())


def phases(seen: Seen) -> Iterable[Point]:
    """By probe and phase, of probes that are young enough."""
    for probe, sample in seen.record.latest.items():
        if seen.scene.fresh(sample):
            for phase, seconds in sample.phases.items():
                yield (probe.value, phase), seconds


def write_path(seen: Seen) -> float | None:
    """Whether the newest message was refused as it must be, while that is young enough."""
    scene, sent = seen.scene, seen.record.latest.get(Probe.WRITE)
    limit = WALLET_ROUNDS * scene.config.probe.write_interval
    if sent is None or scene.view.snapshot.monotonic - sent.finished > limit:
        return None
    return float(sent.ok)


def thresholds(scene: Scene, unit: Unit) -> Iterable[Point]:
    """The configured ones that are measured in `unit`."""
    for name, value in scene.config.thresholds:
        if unit_of(name) == unit:
            yield (name,), value
