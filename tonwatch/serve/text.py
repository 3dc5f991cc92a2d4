"""States and numbers as text, the same on the page, in /health and in ?verbose."""

from collections.abc import Sequence
from typing import Final

from tonwatch.config.models import ReadinessConfig
from tonwatch.watch.findings import Finding
from tonwatch.watch.readiness import Readiness, Standing
from tonwatch.watch.sentences import duration, moment, sentence
from tonwatch.watch.states import State
from tonwatch.watch.verdicts import Verdict

UNKNOWN: Final = "–"


def plain(name: str) -> str:
    """A state, cause or reason as words: ``not_synced`` is not synced."""
    return name.replace("_", " ")


def short_time(seconds: float) -> str:
    """A latency: 0.34 ms, 12 ms, 1.3 s."""
    if seconds < 0.001:
        return f"{seconds * 1000:.2f} ms"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else duration(seconds)


def offset(seconds: float) -> str:
    """A clock's offset with its sign: +0.3 s, −12 s."""
    sign = "−" if seconds < -0.05 else "+" if seconds > 0.05 else "±"
    return f"{sign}{duration(abs(seconds))}"


def date(wall: float) -> str:
    """The day, in UTC."""
    at = moment(wall)
    return UNKNOWN if at is None else f"{at:%Y-%m-%d}"


def time_of_day(wall: float) -> str:
    """The time of day, in UTC."""
    at = moment(wall)
    return UNKNOWN if at is None else f"{at:%H:%M:%S}"


def why(verdict: Verdict) -> str:
    """The sentence about a target, in one line whatever its peer sent; empty when ok."""
    return "" if verdict.state is State.OK else " ".join(sentence(verdict).split())


def evidence(finding: Finding, most: int) -> list[str]:
    """The first lines of a finding's evidence, and how many more there are.

    The first line is the target itself; the others are in the table of targets as well.
    """
    lines = list(finding.evidence[:most])
    left = len(finding.evidence) - len(lines)
    return [*lines, f"and {left} more"] if left else lines


def progress(standing: Standing | None, config: ReadinessConfig) -> str:
    """How many probes count for leaving readiness or returning; empty when none do."""
    if standing is None:
        return ""
    if standing.ready and standing.bad:
        return f"{standing.bad} of {config.fail_after} bad probes to leave."
    if standing.ready is False and standing.good:
        return f"Recovering, {standing.good} of {config.recover_after} good probes."
    return ""


def by_gates(gates: Sequence[str]) -> str:
    """By which gates of readiness a target cannot be used; empty where by none."""
    return f"Not usable by {', '.join(f'`{gate}`' for gate in gates)}." if gates else ""


def count(ready: int, of: int, needed: int) -> str:
    return f"{ready} of {of} in sync, {needed} needed"


def readiness_count(readiness: Readiness) -> str:
    ready = sum(standing.ready is True for standing in readiness.standings.values())
    return count(ready, len(readiness.standings), readiness.needed)
