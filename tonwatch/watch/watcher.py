"""Turns the board into one View after another: judged, diagnosed, ready or not.

The only part of `watch` with a memory of its own: the view before, which tells
since when things are as they are. Everything that is served is read off a View.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tonwatch.config import Config
from tonwatch.watch import diagnosis, readiness
from tonwatch.watch.board import Board, Snapshot
from tonwatch.watch.diagnosis import Diagnosis
from tonwatch.watch.finding import Cause, Finding
from tonwatch.watch.judge import judge
from tonwatch.watch.readiness import Readiness
from tonwatch.watch.verdict import Judgement, State, Verdict
from tonwatch.watch.wallets import judge_wallets

log = structlog.get_logger(__name__)

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
    """

    def __init__(
        self,
        config: Config,
        board: Board,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._config = config
        self._board = board
        self._wall = wall
        self._monotonic = monotonic
        self._started = wall()
        self._draining = False
        self._looked = monotonic()
        self.view = self._look(None)

    @property
    def alive(self) -> bool:
        """Whether the beat goes on; says nothing of any target."""
        return self._monotonic() - self._looked < LIVE_WITHIN

    def look(self) -> View:
        """Make the view of this moment, and log what has changed since the last."""
        before, self.view = self.view, self._look(self.view)
        _log_changes(before, self.view)
        return self.view

    def drain(self) -> View:
        """From now on not ready, whatever the targets do."""
        self._draining = True
        return self.look()

    async def run(self) -> None:
        """Look on every beat until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(BEAT)

    def _look(self, before: View | None) -> View:
        config = self._config
        self._looked = self._monotonic()
        snapshot = self._board.snapshot(wall=self._wall(), monotonic=self._looked)
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


def _history(before: View, now: Diagnosis, wall: float) -> tuple[Ended, ...]:
    was = before.diagnosis
    if was.cause is now.cause:
        return before.history
    return (Ended(was.finding, was.since, wall), *before.history)[:HISTORY]


def _log_changes(before: View, after: View) -> None:
    """One line when something is lost, one when it is back."""
    for name, verdict in after.judgement.verdicts.items():
        was = before.judgement.verdicts[name]
        if was.state is not verdict.state:
            _log_target(was, verdict)
    if before.diagnosis.cause is not after.diagnosis.cause:
        healthy = after.diagnosis.cause is Cause.HEALTHY
        write = log.info if healthy else log.warning
        write("diagnosis", cause=after.diagnosis.cause, sentence=after.diagnosis.sentence)
    if before.readiness.phase is not after.readiness.phase:
        log.info("readiness", phase=after.readiness.phase, was=before.readiness.phase)


def _log_target(was: Verdict, verdict: Verdict) -> None:
    write = log.info if verdict.state is State.OK else log.warning
    write(
        "target",
        target=verdict.target.name,
        state=verdict.state,
        was=was.state,
        reason=verdict.reason,
        detail=verdict.detail,
    )
