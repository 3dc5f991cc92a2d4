"""When a kept connection is to be replaced, though it still works.

A kept connection may lead to where its name led long ago, or to a server that a balancer has taken
out of service: only a new one shows what a new client gets.
"""

import zlib
from typing import Final

GREATEST_AGE: Final = 300.0
"""Seconds after which a connection is replaced, give or take `_SPREAD`."""

_SPREAD: Final = 0.2
"""Share of the age by which targets differ, so that not all connect again at once."""

WITHOUT_PROGRESS: Final = 9.9
"""Seconds without a higher seqno on a connection, after which it is replaced: two intervals of
probes by default, whose ticks are not exact."""

STEPS_BACK: Final = 5
"""Blocks by which the servers of one balancer may differ."""


class Kept:
    """Judges one kept connection after another, all of one target.

    Args:
        name: of the target or its address; its greatest age depends on that.
    """

    def __init__(self, name: str) -> None:
        share = zlib.crc32(name.encode()) / 0xFFFFFFFF
        self.greatest_age = GREATEST_AGE * (1 - _SPREAD + 2 * _SPREAD * share)
        self.opened(0.0)

    def opened(self, now: float) -> None:
        """A new connection is kept, since `now` on the event loop's clock."""
        self._since = now
        self._highest = -1
        self._seen_elsewhere = -1
        self._advanced = now
        self._is_stale = False

    def saw(self, seqno: int | None, now: float) -> None:
        """The kept connection has reported this last block, or none."""
        if seqno is not None and seqno > self._highest:
            self._highest, self._advanced = seqno, now
        is_behind = seqno is not None and seqno < self._seen_elsewhere - STEPS_BACK
        if is_behind or now - self._advanced >= WITHOUT_PROGRESS:
            self._is_stale = True

    def saw_elsewhere(self, seqno: int) -> None:
        """A new connection has reported this last block: the kept one must follow."""
        self._seen_elsewhere = seqno

    @property
    def is_stale(self) -> bool:
        """Whether what the connection reports is old."""
        return self._is_stale

    def is_due(self, now: float) -> bool:
        """Whether the connection is to be replaced."""
        return self._is_stale or now - self._since >= self.greatest_age
