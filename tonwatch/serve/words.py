"""How states and numbers read to people, the same on the page, in /health and in ?verbose."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from tonwatch.config import ReadinessConfig
from tonwatch.ton.errors import one_line
from tonwatch.watch.diagnosis import duration
from tonwatch.watch.judge import State, Verdict
from tonwatch.watch.readiness import Phase, Readiness, Standing

UNKNOWN: Final = "–"

_BLOCKS: Final[Mapping[bool, str]] = {True: "block", False: "blocks"}


def plain(name: str) -> str:
    """A state, cause or reason as words: ``not_synced`` is not synced."""
    return name.replace("_", " ")


def blocks(count: int) -> str:
    return f"{count} {_BLOCKS[count == 1]}"


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


def rfc3339(wall: float) -> str:
    """Unix seconds as RFC 3339, in UTC."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def explain(verdict: Verdict) -> str:
    """Why a target is in its state, with the number that decided; empty when ok."""
    match verdict.state:
        case State.OK:
            return ""
        case State.LAGGING if verdict.behind_seconds is not None:
            return f"{duration(verdict.behind_seconds)} behind the head"
        case State.STALLED if verdict.idle is not None:
            return f"no new block for {duration(verdict.idle)}"
        case State.SHARD_LAGGING if verdict.shard_gap is not None:
            return f"shard client {blocks(verdict.shard_gap)} behind"
        case State.CLOCK_SKEWED if verdict.head and verdict.head.clock_offset is not None:
            return f"its clock is {offset(verdict.head.clock_offset)} off ours"
        case State.SLOW if verdict.latency is not None:
            return f"{short_time(verdict.latency)} for an answer"
        case State.WRONG_NETWORK:
            return "serves another network"
    detail = one_line(verdict.detail)
    if verdict.reason in ("ok", verdict.state.value):
        return detail
    return f"{plain(verdict.reason)}: {detail}" if detail else plain(verdict.reason)


def progress(standing: Standing | None, config: ReadinessConfig) -> str:
    """How far a target is on its way out of readiness or back; empty when it stays."""
    if standing is None:
        return ""
    if standing.ready and standing.bad:
        return f"{standing.bad} of {config.fail_after} bad probes to leave"
    if standing.ready is False and standing.good:
        return f"recovering, {standing.good} of {config.recover_after} good probes"
    return ""


def standing_words(standing: Standing, verdict: Verdict, config: ReadinessConfig) -> str:
    """One target's part in readiness: its state, why, and on which way it is."""
    parts = [plain(verdict.state), explain(verdict), progress(standing, config)]
    return ": ".join(part for part in parts if part)


def readiness_count(readiness: Readiness) -> str:
    ready = sum(standing.ready is True for standing in readiness.standings.values())
    return f"{ready} of {len(readiness.standings)} in sync, {readiness.needed} needed"


def readiness_sum(readiness: Readiness) -> str:
    """The last line of ``/ready?verbose``."""
    if readiness.phase is Phase.DRAINING:
        return "draining: tonwatch is about to stop"
    return f"{readiness.phase}: {readiness_count(readiness)}"
