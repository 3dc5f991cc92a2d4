"""Turns the board into one View after another: judged, diagnosed, ready or not.

The only part of `watch` with a memory of its own: the view before, which tells
since when things are as they are. Everything that is served is read off a View.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tonwatch.config.models import Config
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.watch import diagnosis, readiness
from tonwatch.watch.changes import Changes
from tonwatch.watch.diagnosis import Diagnosis
from tonwatch.watch.findings import Finding
from tonwatch.watch.judge import judge
from tonwatch.watch.readiness import Phase, Readiness
from tonwatch.watch.store import Board, Snapshot
from tonwatch.watch.verdicts import Judgement
from tonwatch.watch.wallet_verdicts import judge_wallets

BEAT: Final = 0.5
"""Seconds between two views."""

LIVE_WITHIN: Final = 10.0
"""Seconds within which a view must have been made for us to count as alive."""


HISTORY: Final = 20
"""Ended diagnoses that are remembered."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A diagnosis of the past; times in Unix seconds."""

    finding: Finding
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class View:
    """All that is known and thought at one moment.

    Attributes:
        started: when tonwatch started, Unix seconds.
        history: diagnoses that have ended, the last one first.
    """

    started: float
    snapshot: Snapshot
    judgement: Judgement
    readiness: Readiness
    diagnosis: Diagnosis
    history: tuple[Ended, ...] = ()


class Watcher:
    """Looks at the board on a beat.

    Args:
        config: thresholds and policies.
        board: what to look at.
        wall: our clock, Unix seconds.
        monotonic: the event loop's clock, seconds.
        errors: counts what goes wrong in us.
    """

    def __init__(
        self,
        config: Config,
        board: Board,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        errors: InternalErrors,
    ) -> None:
        self._config = config
        self._board = board
        self._wall = wall
        self._monotonic = monotonic
        self._started = wall()
        self._draining = False
        self.errors = errors
        self.view = self._look(None)
        self._changes = Changes(
            self.view.judgement.verdicts.values(),
            self.view.diagnosis.cause,
            self.view.readiness.phase,
        )

    @property
    def alive(self) -> bool:
        """Whether views are still made; says nothing of any target."""
        return self.age(self.view) < LIVE_WITHIN

    def age(self, view: View) -> float:
        """Seconds since a view was made."""
        return self._monotonic() - view.snapshot.monotonic

    def look(self) -> View:
        """Make the view of this moment, and log what has changed since the last.

        Raises:
            Exception: of whatever kind, for a bug in judging; the last view then stays.
        """
        self.view = self._look(self.view)
        self._log_changes(self.view, self.view.snapshot.monotonic)
        return self.view

    def drain(self) -> View:
        """From now on not ready, whatever the targets do, and whether we can judge them or not."""
        self._draining = True
        with self.errors.guard(Component.JUDGE):
            self.look()
        if self.view.readiness.phase is not Phase.DRAINING:
            left = replace(self.view.readiness, phase=Phase.DRAINING, since=self._wall())
            self.view = replace(self.view, readiness=left)
        return self.view

    async def run(self) -> None:
        """Look on every beat until cancelled. Where that fails for long, we are not alive."""
        while True:
            with self.errors.guard(Component.JUDGE):
                self.look()
            await asyncio.sleep(BEAT)

    def _look(self, before: View | None) -> View:
        config = self._config
        snapshot = self._board.snapshot(wall=self._wall(), monotonic=self._monotonic())
        judged = judge(
            snapshot,
            before.judgement if before else None,
            zerostate=config.zerostate,
            thresholds=config.thresholds,
            probe=config.probe,
            gates=config.readiness.gates,
        )
        was = before.judgement.purses if before else None
        judgement = replace(judged, purses=judge_wallets(snapshot, config, was))
        ready = readiness.step(
            before.readiness if before else None,
            judgement,
            config.readiness,
            started=self._started,
            draining=self._draining,
        )
        named = diagnosis.diagnose(
            judgement, before.diagnosis if before else None, config.thresholds
        )
        past = _history(before, named, snapshot.wall) if before else ()
        return View(self._started, snapshot, judgement, ready, named, past)

    def _log_changes(self, view: View, now: float) -> None:
        changes, named = self._changes, view.diagnosis
        with self.errors.guard(Component.LOG, "targets"):
            changes.targets(view.judgement.verdicts.values(), now)
        with self.errors.guard(Component.LOG, "findings"):
            changes.findings((named.finding, *named.also), now)
        with self.errors.guard(Component.LOG, "diagnosis"):
            changes.diagnosis(named, now)
        with self.errors.guard(Component.LOG, "readiness"):
            changes.readiness(view.readiness, now)


def _history(before: View, now: Diagnosis, wall: float) -> tuple[Ended, ...]:
    was = before.diagnosis
    if was.cause is now.cause:
        return before.history
    return (Ended(was.finding, was.since, wall), *before.history)[:HISTORY]
