"""Which root hashes were told of the blocks that targets disagree on."""

from dataclasses import dataclass

from tonwatch.watch.consensus import FORK_HISTORY
from tonwatch.watch.store import Record
from tonwatch.watch.view import View


@dataclass(frozen=True, slots=True)
class Dispute:
    """One seqno for which there is more than one block.

    Attributes:
        told: the root hash that each target told for it, by name.
        minority: the targets that stand against a majority; empty where there is none.
    """

    seqno: int
    told: dict[str, bytes]
    minority: tuple[str, ...]

    @property
    def sides(self) -> dict[bytes, list[str]]:
        """Who told each root hash, the most supported one first."""
        sides: dict[bytes, list[str]] = {}
        for name, root_hash in self.told.items():
            sides.setdefault(root_hash, []).append(name)
        return dict(sorted(sides.items(), key=lambda side: -len(side[1])))


def disputes(view: View, zerostate: bytes) -> list[Dispute]:
    """The blocks that the judgement of forks rests on, newest first.

    Args:
        view: whose judgement it is.
        zerostate: of the network; who serves another has no say.
    """
    forks = view.judgement.forks
    found = []
    for seqno in sorted({*forks.minority.values(), *forks.undecided.values()}, reverse=True):
        told = {
            name: root_hash
            for name, record in view.snapshot.records.items()
            if (root_hash := _told(record, seqno, zerostate)) is not None
        }
        minority = tuple(name for name, at in forks.minority.items() if at == seqno)
        found.append(Dispute(seqno, told, minority))
    return found


def _told(record: Record, seqno: int, zerostate: bytes) -> bytes | None:
    """The root hash that a target told for `seqno` the last time."""
    found = None
    for sample in (*record.forks, *record.heads[-FORK_HISTORY:]):
        head = sample.head
        if head is not None and head.seqno == seqno and head.zerostate in (None, zerostate):
            found = head.root_hash
    return found
