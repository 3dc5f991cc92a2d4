"""A metric family, and a group of families that are read from the same objects."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.watch.store import Histogram

Point = tuple[tuple[str, ...], float | Histogram]
"""Label values and a value."""

Values = Iterable[Point] | float | None
"""Points where a metric has labels of its own, otherwise its one value; None where not known."""

Of = TypeVar("Of")
"""What values are read from: a context of `contexts`, or a verdict."""


@dataclass(frozen=True, slots=True)
class Metric(Generic[Of]):
    """One family.

    Attributes:
        name: as exposed, with `_total` and `_info`.
        type: of OpenMetrics.
        help: meaning and unit.
        labels: after those of its group, which come first.
        read: yields label values and value, an info's value being 1; without `labels` it
            returns the value alone, None where it is not known.
        lasting: stays true while nothing is evaluated, as counters and histograms do; others are
            then left out.
    """

    name: str
    type: Literal["gauge", "counter", "histogram", "info"]
    help: str
    read: Callable[[Of], Values]
    labels: tuple[str, ...] = ()
    lasting: bool = False

    @property
    def unit(self) -> str:
        """The base unit that ends the name; empty where it has none."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "blocks") if stem.endswith(f"_{unit}")), "")


@dataclass(frozen=True, slots=True)
class Group(Generic[Of]):
    """Families that are read from the same objects.

    Attributes:
        title: of their section in the documentation.
        labels: that identify the objects; the first labels of every family.
        metrics: the families.
        sources: the objects to read from, each with the values of `labels`.
    """

    title: str
    labels: tuple[str, ...]
    metrics: tuple[Metric[Of], ...]
    sources: Callable[[ScrapeContext], Iterable[tuple[tuple[str, ...], Of]]]


def one_of(members: type[StrEnum], current: StrEnum) -> tuple[Point, ...]:
    """A state set: 1 for the one that holds, 0 for every other."""
    return tuple(((str(member),), float(member == current)) for member in members)


def current_state(current: str, *always: str) -> tuple[Point, ...]:
    """The used part of a state set: 1 for the state that holds, and 0 for those of the others that
    alert rules select, which must exist from the first scrape."""
    others = (((str(state),), 0.0) for state in always if state != current)
    return (((str(current),), 1.0), *others)
