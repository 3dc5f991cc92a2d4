"""The root hashes that targets reported for blocks on which they disagree."""

from dataclasses import dataclass

from tonwatch.watch.consensus import reported_blocks
from tonwatch.watch.store import Record
from tonwatch.watch.view import View


@dataclass(frozen=True, slots=True)
class ForkEvidence:
    """One seqno for which targets reported more than one block.

    Attributes:
        root_hashes: what each target reported for it, by name.
        minority: the targets that differ from a majority; empty where there is none.
    """

    seqno: int
    root_hashes: dict[str, bytes]
    minority: tuple[str, ...]

    @property
    def sides(self) -> dict[bytes, list[str]]:
        """The targets that reported each root hash, the most frequent one first."""
        sides: dict[bytes, list[str]] = {}
        for name, root_hash in self.root_hashes.items():
            sides.setdefault(root_hash, []).append(name)
        return dict(sorted(sides.items(), key=lambda side: -len(side[1])))


def fork_evidence(view: View, zerostate: bytes) -> list[ForkEvidence]:
    """The blocks that the judgement of forks rests on, newest first.

    Args:
        view: with the judgement.
        zerostate: of the network; samples of another network are ignored.
    """
    forks = view.judgement.forks
    found = []
    for seqno in sorted({*forks.minority.values(), *forks.undecided.values()}, reverse=True):
        root_hashes = {
            name: root_hash
            for name, record in view.snapshot.records.items()
            if (root_hash := _reported(record, seqno, zerostate)) is not None
        }
        minority = tuple(name for name, at in forks.minority.items() if at == seqno)
        found.append(ForkEvidence(seqno, root_hashes, minority))
    return found


def _reported(record: Record, seqno: int, zerostate: bytes) -> bytes | None:
    """The root hash that a target last reported for `seqno`; None where it did not."""
    found = None
    for sample in reported_blocks(record):
        head = sample.head
        if head is not None and head.seqno == seqno and head.zerostate in (None, zerostate):
            found = head.root_hash
    return found
