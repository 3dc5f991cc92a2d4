"""Whether the targets that matter are in sync, with hysteresis: what /ready answers.

Pure: each step takes the one before and the newest judgement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tonwatch.config import ReadinessConfig
from tonwatch.watch.judge import Judgement, State, Verdict


class Phase(StrEnum):
    """What /ready says."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Standing:
    """A primary's count of good and bad probes in a row.

    Attributes:
        ready: None until the first decision.
        good: probes in a row that found it usable.
        bad: probes in a row that did not.
        counted: event loop time of the last sample that was counted.
    """

    ready: bool | None = None
    good: int = 0
    bad: int = 0
    counted: float | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of /ready.

    Attributes:
        phase: and `since` when, Unix seconds.
        needed: how many primaries must be ready.
        standings: of the primaries, by name.
    """

    phase: Phase
    since: float
    needed: int
    standings: Mapping[str, Standing] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY


def step(
    previous: Readiness | None,
    judgement: Judgement,
    config: ReadinessConfig,
    *,
    draining: bool,
) -> Readiness:
    """The readiness after one more judgement.

    Targets with role primary decide; where none is configured, all do.
    """
    primaries = [v for v in judgement.verdicts.values() if v.target.role == "primary"]
    deciding = primaries or list(judgement.verdicts.values())
    before = previous.standings if previous else {}
    standings = {
        verdict.target.name: _count(before.get(verdict.target.name, Standing()), verdict, config)
        for verdict in deciding
    }
    needed = {"any": 1, "all": len(deciding), "majority": len(deciding) // 2 + 1}[config.quorum]
    phase = Phase.DRAINING if draining else _phase(standings, needed)
    since = judgement.wall
    if previous is not None and previous.phase is phase:
        since = previous.since
    return Readiness(phase, since, needed, standings)


def _count(standing: Standing, verdict: Verdict, config: ReadinessConfig) -> Standing:
    if verdict.state is State.UNKNOWN:
        # Too old: it has had its time to live already. Never asked: nothing to decide yet.
        return Standing(ready=None if standing.ready is None else False)
    if verdict.newest is None or verdict.newest == standing.counted:
        return standing
    good = standing.good + 1 if verdict.usable else 0
    bad = 0 if verdict.usable else standing.bad + 1
    ready = standing.ready
    if bad >= config.fail_after:
        ready = False
    elif good >= config.recover_after or (good and ready is None):
        # At the start one good answer is enough: there is no trouble to recover from.
        ready = True
    return Standing(ready, good, bad, verdict.newest)


def _phase(standings: Mapping[str, Standing], needed: int) -> Phase:
    ready = sum(standing.ready is True for standing in standings.values())
    undecided = sum(standing.ready is None for standing in standings.values())
    if ready >= needed > 0:
        return Phase.READY
    return Phase.STARTING if ready + undecided >= needed else Phase.UNREADY
