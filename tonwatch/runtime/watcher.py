"""Evaluates the store at short intervals into a `View`, and logs changes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tonwatch.config.models import Config
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.watch import view
from tonwatch.watch.changes import Changes
from tonwatch.watch.readiness import Phase
from tonwatch.watch.store import Store
from tonwatch.watch.view import INTERVAL, LIVE_WITHIN, Ended, View


class Watcher:
    """Evaluates the store at short intervals.

    Args:
        config: thresholds and policies.
        store: what to evaluate.
        wall: local clock, Unix seconds.
        monotonic: the event loop's clock, seconds.
        errors: counts internal errors.
        history: diagnoses of earlier processes, the last one first.
        observe: called with each view.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        errors: InternalErrors,
        history: tuple[Ended, ...] = (),
        observe: Callable[[View], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._store = store
        self._wall = wall
        self._monotonic = monotonic
        self._started = wall()
        self._draining = False
        self.errors = errors
        self._observe = observe
        self.view = replace(self._evaluate(None), history=history)
        self._changes = Changes(
            self.view.judgement.verdicts.values(),
            self.view.diagnosis.cause,
            self.view.readiness.phase,
        )

    @property
    def alive(self) -> bool:
        """Whether views are still made, whatever the targets do."""
        return self.age(self.view) < LIVE_WITHIN

    def age(self, view: View) -> float:
        """Seconds since a view was made."""
        return self._monotonic() - view.snapshot.monotonic

    def change(self, config: Config, history: tuple[Ended, ...] = ()) -> None:
        """Use another configuration from the next evaluation on.

        Verdicts about another network are dropped.

        Args:
            config: thresholds and policies.
            history: of the other network.
        """
        is_other = config.zerostate != self._config.zerostate
        self._config = config
        if is_other:
            self.view = replace(self._evaluate(None), history=history)

    def evaluate(self) -> View:
        """Make the current view, and log what has changed since the last one.

        Raises:
            Exception: of any kind, for a bug; the last view stays then.
        """
        self.view = self._evaluate(self.view)
        self._log_changes(self.view, self.view.snapshot.monotonic)
        with self.errors.guard(Component.LOG, "incidents"):
            self._observe(self.view)
        return self.view

    def drain(self) -> View:
        """Not ready from now on, whatever the targets do, and also if the evaluation fails."""
        self._draining = True
        with self.errors.guard(Component.JUDGE):
            self.evaluate()
        if self.view.readiness.phase is not Phase.DRAINING:
            left = replace(self.view.readiness, phase=Phase.DRAINING, since=self._wall())
            self.view = replace(self.view, readiness=left)
        return self.view

    async def run(self) -> None:
        """Evaluate at each interval until cancelled. `alive` ends where that keeps failing."""
        while True:
            with self.errors.guard(Component.JUDGE):
                self.evaluate()
            await asyncio.sleep(INTERVAL)

    def _evaluate(self, before: View | None) -> View:
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
        with self.errors.guard(Component.LOG, "servers"):
            changes.servers(reversed(view.server_changes))
        with self.errors.guard(Component.LOG, "findings"):
            changes.findings((named.finding, *named.also), now)
        with self.errors.guard(Component.LOG, "diagnosis"):
            changes.diagnosis(named, now)
        with self.errors.guard(Component.LOG, "readiness"):
            changes.readiness(view.readiness, now)
