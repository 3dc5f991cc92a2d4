"""Bugs of tonwatch itself: caught where they cost least, counted, and logged once.

A guard costs the part that failed one sample, one group of metrics or one page; all else goes on.
What an exception says could quote anything, so it goes into the log alone: metrics and pages name
the component, how often and when.
"""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

log = structlog.get_logger(__name__)

QUIET: Final = 60.0
"""Seconds without a failure after which a part that works again is said to be mended. One that
fails every other time would otherwise log two lines each time."""

_SHORT: Final = 100
"""Characters that tell failures apart which have no traceback."""

_PLACES: Final = 20
"""Places of failure that are logged of one part before the rest is only counted."""


class Component(StrEnum):
    """What can fail: the values of the label ``component``."""

    PROBES = "probes"
    """Asking: a question raised an exception, or did not end."""

    PAYOUTS = "payouts"
    """Counting transactions, and keeping what is counted."""

    STORE = "store"
    """Keeping what was learnt."""

    JUDGE = "judge"
    """Judging what is known; while it fails no new judgement is made."""

    LOG = "log"
    """Logging what has changed."""

    SECRETS = "secrets"
    """Reading secret files."""

    METRICS = "metrics"
    """Reading and writing what /metrics shows."""

    HTTP = "http"
    """Answering a request."""

    LOOP = "loop"
    """Anything else that runs in the event loop."""


@dataclass(frozen=True, slots=True)
class InternalError:
    """What is known of the failures of one component.

    Attributes:
        component: which.
        count: failures since tonwatch started.
        since: when they began, Unix seconds; where they had ended, when they began again.
        last: when the last one was, Unix seconds.
        ongoing: whether some part of it has not worked again for long enough.
    """

    component: Component
    count: int
    since: float
    last: float
    ongoing: bool


@dataclass(slots=True)
class _Trouble:
    """A part that fails. `failed` is when it failed last, on the event loop's clock."""

    failed: float
    count: int = 0
    places: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Total:
    """Of one component. `parts` are those that fail."""

    count: int = 0
    since: float = 0.0
    last: float = 0.0
    parts: dict[str, _Trouble] = field(default_factory=dict)


class InternalErrors:
    """Counts failures by component, and logs each when it begins and when it has ended.

    All methods may be called from any thread.

    Args:
        wall: local clock, Unix seconds.
        monotonic: the event loop's clock, seconds.
    """

    def __init__(self, *, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._totals = {component: _Total() for component in Component}

    @contextmanager
    def guard(self, component: Component, part: str = "") -> Iterator[None]:
        """Swallow and count any exception of the block; being cancelled or ended is none.

        Args:
            component: what the block belongs to.
            part: which part of it, for the log. There must be a bounded number of these.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - this is what a guard is for
            self.failed(component, part, error)
        else:
            self.worked(component, part)

    def failed(
        self, component: Component, part: str, error: BaseException | str, *, of: str = ""
    ) -> None:
        """Count a failure; logged where the part has not failed before in this place.

        Args:
            component: what failed.
            part: which part of it.
            error: the exception, or a traceback that was written down where it was caught.
            of: what it was about, for the log: a target, a wallet.
        """
        text = error if isinstance(error, str) else "".join(traceback.format_exception(error))
        place = _place(text)
        with self._lock:
            now, total = self._monotonic(), self._totals[component]
            total.last = self._wall()
            if not total.parts:
                total.since = total.last
            total.count += 1
            trouble = total.parts.setdefault(part, _Trouble(now))
            trouble.failed = now
            trouble.count += 1
            is_new = place not in trouble.places and len(trouble.places) < _PLACES
            if is_new:
                trouble.places.add(place)
        if is_new:
            about = {"of": of} if of else {}
            log.error("bug in tonwatch", component=component, part=part, exception=text, **about)

    def worked(self, component: Component, part: str = "") -> None:
        """Note that a part did what it should."""
        parts = self._totals[component].parts
        if part not in parts:  # nearly always; so it takes no lock
            return
        with self._lock:
            trouble = parts.get(part)
            if trouble is None or self._monotonic() - trouble.failed < QUIET:
                return
            del parts[part]
        log.info("works again", component=component, part=part, failures=trouble.count)

    def counts(self) -> dict[Component, int]:
        """Failures since the start, of every component."""
        return {component: total.count for component, total in self._totals.items()}

    def seen(self) -> tuple[InternalError, ...]:
        """The components that have failed since the start."""
        with self._lock:
            return tuple(
                InternalError(component, total.count, total.since, total.last, bool(total.parts))
                for component, total in self._totals.items()
                if total.count
            )


def _place(text: str) -> str:
    """Where an exception was raised: what tells two bugs of one part apart."""
    places = [line for line in text.splitlines() if line.lstrip().startswith("File ")]
    return places[-1] if places else text[:_SHORT]
