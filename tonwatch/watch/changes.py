"""Logs what changes from one view to the next: a line when something begins, one when it ends.

Flapping must not flood the log: a change of one subject to the same value is logged `MOST` times
within `WINDOW` seconds, the last time with `comes_and_goes`, then not until the window has room
again. The value that lasts is always logged.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import structlog

from tonwatch.watch.diagnosis import Diagnosis
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.readiness import Phase, Readiness
from tonwatch.watch.states import State
from tonwatch.watch.store import ServerChange
from tonwatch.watch.verdicts import Verdict
from tonwatch.watch.wallet_findings import NAMED

log = structlog.get_logger(__name__)

MOST: Final = 3
"""Lines within `WINDOW` for changes of one subject to the same value."""

WINDOW: Final = 600.0
"""Seconds."""

_NOT_WRONG: Final = frozenset({Cause.STARTING, Cause.HEALTHY})
"""Causes of no problem: nothing is wrong, or nothing is known yet. Not logged as findings."""

_Key = tuple[Cause, str, str]
"""Cause, target, account: identifies a finding; each wallet of a shared one has its own."""


class _Change(NamedTuple):
    """A change that is to be logged.

    Attributes:
        was: the value logged before; None for the first.
        more: further fields of the line.
    """

    was: Any
    more: dict[str, bool]


@dataclass(slots=True)
class _Subject:
    """The last logged value of one subject, and when each value was logged within the window."""

    logged: Any
    times: dict[Any, list[float]] = field(default_factory=dict)


class _Subjects:
    """Decides which changes are logged."""

    def __init__(self) -> None:
        self._subjects: dict[Hashable, _Subject] = {}

    def begin(self, key: Hashable, value: Any) -> None:
        """Take a value as logged already."""
        self._subjects[key] = _Subject(value)

    def change(self, key: Hashable, value: Any, now: float) -> _Change | None:
        """The change of a subject to `value`; None where it is not to be logged."""
        subject = self._subjects.setdefault(key, _Subject(None))
        if subject.logged == value:
            return None
        times = [time for time in subject.times.get(value, ()) if now - time < WINDOW]
        if len(times) >= MOST:
            return None
        was, subject.logged = subject.logged, value
        subject.times[value] = [*times, now]
        return _Change(was, {"comes_and_goes": True} if len(times) + 1 == MOST else {})

    def forget(self, key: Hashable, now: float) -> bool:
        """Forget a subject without a line within the window; whether there was none."""
        times = [time for times in self._subjects[key].times.values() for time in times]
        if any(now - time < WINDOW for time in times):
            return False
        del self._subjects[key]
        return True


class Changes:
    """The log of targets' states, of findings, of the diagnosis and of readiness.

    Args:
        verdicts: what is known at the start, which is no change.
        cause: likewise, of the diagnosis.
        phase: likewise, of readiness.
    """

    def __init__(self, verdicts: Iterable[Verdict], cause: Cause, phase: Phase) -> None:
        self._states = _Subjects()
        for verdict in verdicts:
            self._states.begin(verdict.target.name, verdict.state)
        self._overall = _Subjects()
        self._overall.begin("diagnosis", cause)
        self._overall.begin("readiness", phase)
        self._findings = _Subjects()
        self._last: dict[_Key, Finding] = {}
        self._servers: dict[ServerChange, None] = {}

    def targets(self, verdicts: Iterable[Verdict], now: float) -> None:
        """Log which targets are in another state; `now` is the event loop's clock, seconds."""
        for verdict in verdicts:
            self._target(verdict, now)

    def diagnosis(self, diagnosis: Diagnosis, now: float) -> None:
        """Log another cause."""
        change = self._overall.change("diagnosis", diagnosis.cause, now)
        if change is not None:
            write = log.info if diagnosis.cause is Cause.HEALTHY else log.warning
            write("diagnosis", cause=diagnosis.cause, sentence=diagnosis.sentence, **change.more)

    def readiness(self, readiness: Readiness, now: float) -> None:
        """Log another phase."""
        change = self._overall.change("readiness", readiness.phase, now)
        if change is not None:
            write = log.warning if readiness.phase is Phase.UNREADY else log.info
            write("readiness", phase=readiness.phase, was=change.was, **change.more)

    def findings(self, findings: Sequence[Finding], now: float) -> None:
        """Log which findings begin and which have ended; a changed sentence is no change."""
        present = {key: finding for finding in findings for key in _keys(finding)}
        begun, ended = [], []
        for key, finding in present.items():
            change = self._findings.change(key, True, now)
            if change is not None:
                begun.append((key, finding, change))
        for key in [key for key in self._last if key not in present]:
            change = self._findings.change(key, False, now)
            if change is not None:
                ended.append((key, self._last[key], change))
            elif self._findings.forget(key, now):
                del self._last[key]
        self._last |= present
        _write(begun, "finding begins", log.warning, with_impact=True)
        _write(ended, "finding ended", log.info, with_impact=False)

    def servers(self, changes: Iterable[ServerChange]) -> None:
        """Log each change of a target's server once, in the order given."""
        known, self._servers = self._servers, dict.fromkeys(changes)
        for change in self._servers:
            if change not in known:
                named = {"target": change.target, "trait": change.trait}
                log.warning("server", **named, was=change.was, now=change.now)

    def _target(self, verdict: Verdict, now: float) -> None:
        change = self._states.change(verdict.target.name, verdict.state, now)
        if change is not None:
            write = log.info if verdict.state is State.OK else log.warning
            write(
                "target",
                target=verdict.target.name,
                state=verdict.state,
                was=change.was,
                reason=verdict.reason,
                detail=verdict.detail,
                **change.more,
            )


def _keys(finding: Finding) -> Iterable[_Key]:
    if finding.cause in _NOT_WRONG:
        return ()
    if finding.others:
        return [(finding.cause, "", name) for name in finding.others]
    return (finding.key,)


def _write(
    changed: Sequence[tuple[_Key, Finding, _Change]], event: str, write: Any, *, with_impact: bool
) -> None:
    """A line for each; where many have the same cause at once, one line for all but the first."""
    lines: dict[Cause, int] = {}
    others: dict[Cause, list[str]] = {}
    for (cause, target, account), finding, change in changed:
        lines[cause] = lines.get(cause, 0) + 1
        if lines[cause] > NAMED or finding.others:
            others.setdefault(cause, []).append(target or account)
            continue
        whose = {"target": target, "account": account}
        meant = {"impact": finding.impact if with_impact else ""}
        rest = {name: value for name, value in (whose | meant).items() if value}
        write(event, cause=cause, sentence=finding.sentence, **rest, **change.more)
    for cause, names in others.items():
        write(event, cause=cause, count=len(names), also_of=names)
