"""Writes the record of incidents as views are made."""

import asyncio
from collections.abc import Callable
from typing import Final

from tonwatch.config.models import IncidentsConfig
from tonwatch.samples.incident import Incident, IncidentKind, IncidentQuery
from tonwatch.state.state import State
from tonwatch.state.store import Changes, Retention, Unreadable
from tonwatch.watch.findings import Cause
from tonwatch.watch.incidents import Incidents, past
from tonwatch.watch.view import HISTORY, Ended, View

MOST_WAITING: Final = 1000
"""Incidents that wait for a disk that cannot be written; of more the oldest are dropped."""

PRUNE_EVERY: Final = 600.0
"""Seconds between two removals of old incidents."""

_LAST_WRITE: Final = 1.0
"""Seconds for the last write at the end."""


class Recorder:
    """Keeps the record of incidents in a state.

    Args:
        state: an open one, which is closed with it.
        config: returns how long it is kept.
        monotonic: the event loop's clock, seconds.
    """

    def __init__(
        self, state: State, config: Callable[[], IncidentsConfig], monotonic: Callable[[], float]
    ) -> None:
        self.state = state
        self._config = config
        self._monotonic = monotonic
        self._incidents = Incidents()
        self._waiting: dict[str, Incident] = {}
        self._writing: asyncio.Task[None] | None = None
        self._pruned = monotonic()
        self._wall = 0.0
        self._clock_is_right = True

    async def history(self, network: bytes) -> tuple[Ended, ...]:
        """The last diagnoses that have ended, newest first; none where they cannot be read."""
        query = IncidentQuery(
            network=network, kind=IncidentKind.DIAGNOSIS, ended=True, limit=HISTORY
        )
        try:
            return past(await self.state.incidents(query))
        except Unreadable:
            return ()

    def observe(self, view: View) -> None:
        """Write what begins and ends with this view. Does not wait for the disk."""
        self._wall = view.snapshot.wall
        findings = (view.diagnosis.finding, *view.diagnosis.also)
        self._clock_is_right = all(each.cause is not Cause.LOCAL_CLOCK_SKEWED for each in findings)
        changed = self._incidents.of(view)
        if changed:
            self._add(changed)
            self._write()

    async def close(self) -> None:
        """Write when those that last were last seen, and close the state."""
        self._add(self._incidents.lasting())
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=_LAST_WRITE)
        self._write()
        # The state's thread writes before it closes.
        await asyncio.sleep(0)
        await self.state.close()

    def _add(self, incidents: list[Incident]) -> None:
        for incident in incidents:
            self._waiting.pop(incident.id, None)
            self._waiting[incident.id] = incident
        for ident in list(self._waiting)[:-MOST_WAITING]:
            del self._waiting[ident]

    def _write(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting(), name="incidents")

    async def _write_waiting(self) -> None:
        """Write all that waits; after a failure, with the next that is to be written."""
        while self._waiting:
            written = dict(self._waiting)
            if await self.state.write(
                Changes(incidents=tuple(written.values()), retention=self._retention())
            ):
                return
            for ident, incident in written.items():
                if self._waiting.get(ident) is incident:
                    del self._waiting[ident]

    def _retention(self) -> Retention | None:
        """What to keep, where it is time to remove the rest.

        A clock that is wrong would make everything old.
        """
        now = self._monotonic()
        if now - self._pruned < PRUNE_EVERY or not self._clock_is_right:
            return None
        self._pruned = now
        config = self._config()
        return Retention(self._wall - config.retention, config.limit)
