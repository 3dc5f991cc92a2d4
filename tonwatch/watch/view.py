"""The evaluation of one snapshot: everything that is served is read from a View.

Pure: the same snapshot and the same previous view give the same view.
"""

from dataclasses import dataclass, replace
from typing import Final

from tonwatch.config.models import Config
from tonwatch.watch import diagnosis, readiness
from tonwatch.watch.diagnosis import Diagnosis
from tonwatch.watch.findings import Finding
from tonwatch.watch.judge import judge
from tonwatch.watch.readiness import Readiness
from tonwatch.watch.store import ServerChange, Snapshot
from tonwatch.watch.verdicts import Judgement
from tonwatch.watch.wallet_verdicts import judge_wallets

INTERVAL: Final = 0.5
"""Seconds between two views."""

LIVE_WITHIN: Final = 10.0
"""Age of the newest view up to which tonwatch counts as alive, seconds."""

HISTORY: Final = 20
"""Ended diagnoses that are kept, and changes of servers that are shown."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A diagnosis of the past; times in Unix seconds."""

    finding: Finding
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class View:
    """All that is known and evaluated at one moment.

    Attributes:
        started: when tonwatch started, Unix seconds.
        config: by which it was evaluated.
        history: ended diagnoses, the last one first.
    """

    started: float
    config: Config
    snapshot: Snapshot
    judgement: Judgement
    readiness: Readiness
    diagnosis: Diagnosis
    history: tuple[Ended, ...] = ()

    @property
    def server_changes(self) -> list[ServerChange]:
        """Of all targets, the last one first."""
        changes = (change for record in self.snapshot.records.values() for change in record.changes)
        return sorted(changes, key=lambda change: change.at, reverse=True)[:HISTORY]


def evaluate(
    snapshot: Snapshot, config: Config, before: View | None, *, started: float, draining: bool
) -> View:
    """Evaluate a snapshot.

    Args:
        snapshot: what is known.
        config: thresholds and policies.
        before: the previous view, for the times since when states last.
        started: when tonwatch started, Unix seconds.
        draining: whether it is about to stop.
    """
    judged = judge(
        snapshot,
        before.judgement if before else None,
        zerostate=config.zerostate,
        thresholds=config.thresholds,
        probe=config.probe,
        gates=config.readiness.gates,
    )
    was = before.judgement.wallet_status if before and before.config is config else None
    judgement = replace(judged, wallet_status=judge_wallets(snapshot, config, was))
    ready = readiness.step(
        before.readiness if before else None,
        judgement,
        config.readiness,
        started=started,
        draining=draining,
    )
    named = diagnosis.diagnose(judgement, before.diagnosis if before else None, config.thresholds)
    past = _history(before, named, snapshot.wall) if before else ()
    return View(started, config, snapshot, judgement, ready, named, past)


def _history(before: View, now: Diagnosis, wall: float) -> tuple[Ended, ...]:
    was = before.diagnosis
    if was.cause is now.cause:
        return before.history
    return (Ended(was.finding, was.since, wall), *before.history)[:HISTORY]
