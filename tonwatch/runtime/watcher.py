"""Makes one View after another of the store, and logs what has changed between them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tonwatch.config.models import Config
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.watch import view
from tonwatch.watch.changes import Changes
from tonwatch.watch.readiness import Phase
from tonwatch.watch.store import Store
from tonwatch.watch.view import INTERVAL, LIVE_WITHIN, View


class Watcher:
    """Judges the store at short intervals.

    Args:
        config: thresholds and policies.
        store: what to judge.
        wall: local clock, Unix seconds.
        monotonic: the event loop's clock, seconds.
        errors: counts what goes wrong in us.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        errors: InternalErrors,
    ) -> None:
        self._config = config
        self._store = store
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

    def change(self, config: Config) -> None:
        """Judge by another configuration from the next look on.

        What was judged of another network is forgotten.
        """
        is_other = config.zerostate != self._config.zerostate
        self._config = config
        if is_other:
            self.view = self._look(None)

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
        """Look at each interval until cancelled. Where that fails for long, we are not alive."""
        while True:
            with self.errors.guard(Component.JUDGE):
                self.look()
            await asyncio.sleep(INTERVAL)

    def _look(self, before: View | None) -> View:
        return view.evaluate(
            self._store.snapshot(wall=self._wall(), monotonic=self._monotonic()),
            self._config,
            before,
            started=self._started,
            draining=self._draining,
        )

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
