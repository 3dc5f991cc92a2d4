"""Whether the deciding targets are in sync, with hysteresis: what /ready answers.

Pure: each step depends on the one before and the newest judgement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from tonwatch.config.models import ReadinessConfig
from tonwatch.ton.errors import Reason
from tonwatch.watch.states import State
from tonwatch.watch.verdicts import Judgement, Verdict

Quorum = Literal["majority", "any", "all"]


class Phase(StrEnum):
    """What /ready answers."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Standing:
    """A target's count of good and bad probes in a row.

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
        phase: since `since`, Unix seconds.
        needed: how many primaries must be ready.
        standings: of the primaries, by name.
        references: likewise, of the targets that do not decide.
        held_by_wallets: only a low wallet keeps it from being ready.
    """

    phase: Phase
    since: float
    needed: int
    standings: Mapping[str, Standing] = field(default_factory=dict)
    references: Mapping[str, Standing] = field(default_factory=dict)
    held_by_wallets: bool = False

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY

    def standing(self, target: str) -> Standing | None:
        """Of any target, by name; None of one that is not configured."""
        return self.standings.get(target) or self.references.get(target)


def step(
    previous: Readiness | None,
    judgement: Judgement,
    config: ReadinessConfig,
    *,
    started: float,
    draining: bool,
) -> Readiness:
    """The readiness after one more judgement.

    Targets with role primary decide; where none is configured, all do.

    Args:
        previous: the readiness before; None at the start.
        judgement: the newest.
        config: quorum, hysteresis, grace.
        started: when tonwatch started, Unix seconds.
        draining: whether it is about to stop.
    """
    deciding = _deciding(judgement)
    every = {
        name: _count((previous and previous.standing(name)) or Standing(), verdict, config)
        for name, verdict in judgement.verdicts.items()
    }
    standings = {verdict.target.name: every.pop(verdict.target.name) for verdict in deciding}
    needed = _needed(config.quorum, len(deciding))
    phase = Phase.DRAINING if draining else _phase(standings, needed)
    low = any(wallet.low for wallet in judgement.wallet_status.wallets.values())
    held = phase is Phase.READY and low and config.gates.wallet_low
    if held:
        phase = Phase.UNREADY
    in_grace = judgement.wall - started < config.startup_grace
    if phase is Phase.UNREADY and in_grace and (not previous or previous.phase is Phase.STARTING):
        phase = Phase.STARTING
    since = judgement.wall
    if previous is not None and previous.phase is phase:
        since = previous.since
    return Readiness(phase, since, needed, standings, every, held)


@dataclass(frozen=True, slots=True)
class Asked:
    """The result of a request with limits of its own: as of now, without hysteresis.

    Attributes:
        ready: whether the quorum is met.
        needed: how many primaries it takes.
        barred: the states that bar each primary by these limits, by name.
    """

    ready: bool
    needed: int
    barred: Mapping[str, frozenset[State]]


def ask(
    judgement: Judgement,
    quorum: Quorum,
    *,
    lag: float | None = None,
    shard_client_lag: int | None = None,
) -> Asked:
    """Whether the primaries are ready by the limits of a request.

    Args:
        judgement: the newest.
        quorum: how many primaries it takes.
        lag: seconds of lag to the head from which a target is not ready; None leaves that to the
            configured threshold.
        shard_client_lag: likewise, blocks.
    """
    barred = {
        verdict.target.name: barred_by(verdict, lag=lag, shard_client_lag=shard_client_lag)
        for verdict in _deciding(judgement)
    }
    needed = _needed(quorum, len(barred))
    ready = sum(not states for states in barred.values())
    return Asked(ready >= needed > 0, needed, barred)


def barred_by(
    verdict: Verdict, *, lag: float | None = None, shard_client_lag: int | None = None
) -> frozenset[State]:
    """The states that bar a target by the limits of a request; see `ask`."""
    states = set(verdict.barred)
    if lag is not None and verdict.up:
        states.discard(State.LAGGING)
        if (verdict.lag_seconds or 0.0) >= lag:
            states.add(State.LAGGING)
    unreadable = verdict.reason is Reason.SHARD_LAG  # however far its shards lag
    if shard_client_lag is not None and verdict.up and not unreadable:
        states.discard(State.SHARD_LAGGING)
        if (verdict.shard_client_lag or 0) >= shard_client_lag:
            states.add(State.SHARD_LAGGING)
    return frozenset(states)


def _deciding(judgement: Judgement) -> list[Verdict]:
    verdicts = list(judgement.verdicts.values())
    return [verdict for verdict in verdicts if verdict.target.role == "primary"] or verdicts


def _needed(quorum: Quorum, deciding: int) -> int:
    return {"any": 1, "all": deciding, "majority": deciding // 2 + 1}[quorum]


def _count(standing: Standing, verdict: Verdict, config: ReadinessConfig) -> Standing:
    if verdict.state is State.UNKNOWN:
        # Too old: not ready. Never probed: undecided.
        return Standing(ready=None if standing.ready is None else False)
    if verdict.newest is None or verdict.newest == standing.counted:
        return standing
    good = standing.good + 1 if verdict.usable else 0
    bad = 0 if verdict.usable else standing.bad + 1
    ready = standing.ready
    if bad >= config.fail_after:
        ready = False
    elif good >= config.recover_after or (good and ready is None):
        # At the start one good answer is enough: there is nothing to recover from.
        ready = True
    return Standing(ready, good, bad, verdict.newest)


def _phase(standings: Mapping[str, Standing], needed: int) -> Phase:
    ready = sum(standing.ready is True for standing in standings.values())
    undecided = sum(standing.ready is None for standing in standings.values())
    if ready >= needed > 0:
        return Phase.READY
    return Phase.STARTING if ready + undecided >= needed else Phase.UNREADY
