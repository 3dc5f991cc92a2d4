"""What a place for state does, and how it fails."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tonwatch.samples.account import AccountKey
from tonwatch.samples.incident import Incident, IncidentQuery


class Unreadable(Exception):
    """State cannot be read or written for now; the text says why. What is stored is intact."""


class DiskHangs(Unreadable):
    """The disk does not answer."""


class Newer(Unreadable):
    """State of a newer tonwatch, which this one cannot read; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What of the incidents is kept.

    Attributes:
        since: those that last or ended later, Unix seconds.
        number: so many of them, the newest.
    """

    since: float
    number: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What is written in one transaction.

    Attributes:
        checkpoints: encoded, by account.
        set_aside: accounts whose checkpoint is moved out of the way, and why; before the others.
        key_blocks: the last verified key block, encoded, by the root hash of the network's
            zerostate.
        incidents: that begin, last or end.
        retention: what of the incidents is kept from now on; None for all.
    """

    checkpoints: Mapping[AccountKey, bytes] = field(default_factory=dict)
    set_aside: Mapping[AccountKey, str] = field(default_factory=dict)
    key_blocks: Mapping[bytes, bytes] = field(default_factory=dict)
    incidents: Sequence[Incident] = ()
    retention: Retention | None = None


def together(all_changes: Iterable[Changes]) -> Changes:
    """What all of them change in this order: of each entry the last one counts."""
    checkpoints: dict[AccountKey, bytes] = {}
    set_aside: dict[AccountKey, str] = {}
    key_blocks: dict[bytes, bytes] = {}
    incidents: list[Incident] = []
    retention: Retention | None = None
    for changes in all_changes:
        checkpoints |= changes.checkpoints
        set_aside |= changes.set_aside
        key_blocks |= changes.key_blocks
        incidents += changes.incidents
        retention = changes.retention or retention
    return Changes(checkpoints, set_aside, key_blocks, incidents, retention)


class StateStore(Protocol):
    """Where state is kept. All methods block, and are called in one thread at a time."""

    @property
    def lost(self) -> int:
        """How often what was stored was lost since the start, in part at least."""

    def open(self) -> None:
        """Get ready, and end the incidents that lasted when tonwatch ended.

        Where that fails for now it is logged, and the other methods try again.

        Raises:
            Newer: it is of a newer tonwatch.
        """

    def close(self) -> None:
        """Release everything; what was written stays."""

    def checkpoint(self, key: AccountKey) -> bytes | None:
        """An account's checkpoint, encoded; None where there is none.

        Raises:
            Unreadable: unknown whether there is one.
        """

    def key_block(self, network: bytes) -> bytes | None:
        """The last verified key block, encoded; None where there is none.

        Args:
            network: root hash of the network's zerostate.

        Raises:
            Unreadable: unknown whether there is one.
        """

    def incidents(self, query: IncidentQuery) -> list[Incident]:
        """Those of the record, the newest first.

        Raises:
            Unreadable: it cannot be read for now.
        """

    def write(self, changes: Changes) -> None:
        """Write all of it or nothing; on disk when it returns.

        Raises:
            Unreadable: nothing was written.
        """
