"""What of each view goes into the record of incidents.

Pure: the record itself is kept by `tonwatch.state`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from tonwatch.samples.incident import Incident, IncidentKind
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.view import Ended, View

REFRESH: Final = 30.0
"""Seconds after which those that last are written again: when they were last seen, and with which
numbers. Begins and ends are written at once."""

MOST_OTHERS: Final = 1000
"""Names of accounts that are kept of an incident that stands for many."""

_MOST_TEXT: Final = 1000
_MOST_EVIDENCE: Final = 10
"""Characters of a text, and lines of evidence, that are kept."""

_NO_FINDING: Final = frozenset({Cause.STARTING, Cause.HEALTHY})

_Key = tuple[bytes, IncidentKind, Cause, str, str]
"""Network, and what identifies a diagnosis or a finding from one view to the next."""


class Incidents:
    """Follows the incidents of one view after another."""

    def __init__(self) -> None:
        self._lasting: dict[_Key, Incident] = {}
        self._written = 0.0

    def of(self, view: View) -> list[Incident]:
        """Those to be written after this view: that begin or end, and at times those that last."""
        wall, monotonic = view.snapshot.wall, view.snapshot.monotonic
        before, self._lasting = self._lasting, dict(_present(view))
        is_due = monotonic - self._written >= REFRESH
        if is_due:
            self._written = monotonic
        changed = [
            _ended(incident, wall) for key, incident in before.items() if key not in self._lasting
        ]
        for key, was in before.items():
            if (now := self._lasting.get(key)) is not None:
                self._lasting[key] = replace(
                    now, id=was.id, since=was.since, seen=max(was.seen, now.seen)
                )
        changed += [each for key, each in self._lasting.items() if is_due or key not in before]
        return changed

    def lasting(self) -> list[Incident]:
        """Those that have not ended."""
        return list(self._lasting.values())


def past(incidents: Iterable[Incident]) -> tuple[Ended, ...]:
    """Diagnoses of the record as views show them; without causes that are unknown today."""
    known = frozenset(Cause)
    return tuple(
        Ended(
            Finding(
                Cause(each.cause),
                each.sentence,
                each.since,
                each.target,
                each.account,
                each.others,
                each.primary,
                each.impact,
                each.evidence,
            ),
            each.since,
            each.until,
        )
        for each in incidents
        if each.until is not None and each.cause in known
    )


def _present(view: View) -> Iterator[tuple[_Key, Incident]]:
    named, network = view.diagnosis, view.config.zerostate
    key: _Key = (network, IncidentKind.DIAGNOSIS, named.cause, "", "")
    yield key, _incident(view, key, named.finding, named.since)
    for finding in (named.finding, *named.also):
        if finding.cause not in _NO_FINDING:
            key = (network, IncidentKind.FINDING, *finding.key)
            yield key, _incident(view, key, finding, finding.since)


def _incident(view: View, key: _Key, finding: Finding, since: float) -> Incident:
    network, kind, *names = key
    # A clock that was set back must not make it end before it began.
    since = min(since, view.snapshot.wall)
    return Incident(
        id=":".join((kind, *names, network.hex()[:8], f"{since * 1000:.0f}")),
        network=network,
        kind=kind,
        cause=finding.cause,
        since=since,
        seen=view.snapshot.wall,
        target=finding.target,
        account=finding.account,
        others=finding.others[:MOST_OTHERS],
        primary=finding.primary,
        sentence=finding.sentence[:_MOST_TEXT],
        impact=finding.impact[:_MOST_TEXT],
        evidence=tuple(line[:_MOST_TEXT] for line in finding.evidence[:_MOST_EVIDENCE]),
    )


def _ended(incident: Incident, wall: float) -> Incident:
    # The clock may have been set back.
    until = max(incident.since, wall)
    return replace(incident, seen=until, until=until)
