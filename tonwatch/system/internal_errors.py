"""Internal errors: caught where they cost least, counted, and logged once.

A guarded failure costs one sample, one group of metrics or one page; all else goes on. An
exception's text may have secrets, so it is only logged: metrics and pages show the component, count
and time.
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
"""Seconds without a failure after which a part counts as working again. One that fails every
other time would otherwise log two lines each time."""

_SHORT: Final = 100
"""Characters that identify a failure without a traceback."""

_PLACES: Final = 20
"""Places of failure that are logged for one part; further ones are only counted."""


class Component(StrEnum):
    """Values of the label ``component``."""

    PROBES = "probes"
    """Probing: a query raised an exception, or did not end."""

    PAYOUTS = "payouts"
    """Counting transactions, and saving checkpoints."""

    STORE = "store"
    """Storing samples."""

    JUDGE = "judge"
    """Judging the store; while it fails there is no new judgement."""

    LOG = "log"
    """Logging changes."""

    SECRETS = "secrets"
    """Reading secret files."""

    METRICS = "metrics"
    """Rendering /metrics."""

    HTTP = "http"
    """Answering a request."""

    LOOP = "loop"
    """Anything else that runs in the event loop."""


@dataclass(frozen=True, slots=True)
class InternalError:
    """Failures of one component.

    Attributes:
        component: which one.
        count: failures since tonwatch started.
        since: when they last began, Unix seconds.
        last: when the last one was, Unix seconds.
        ongoing: whether some part of it is still failing.
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
    """Failures of one component. `parts` are those that are failing."""

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
        """Count any exception of the block and go on; cancellation is passed on.

        Args:
            component: what the block belongs to.
            part: which part of it, for the log; of bounded cardinality.
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
            error: the exception, or its traceback as text.
            of: the target or wallet, for the log.
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
        """Record that a part worked."""
        parts = self._totals[component].parts
        if part not in parts:  # the common case, without a lock
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
    """Where an exception was raised: distinguishes two bugs of one part."""
    places = [line for line in text.splitlines() if line.lstrip().startswith("File ")]
    return places[-1] if places else text[:_SHORT]
