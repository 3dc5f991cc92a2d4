"""Merkle proofs and updates. They are fast: a simulated day has 200,000 blocks.

A proof has pruned branches for all that it does not keep.

Source: TON's whitepaper 3.1.
"""

from typing import Final

from tonwatch.ton.cells.cell import Cell

_EXOTIC: Final = 8
_LEVEL_1: Final = 32


def pruned(branch: Cell) -> Cell:
    """The pruned branch of a cell: its hash and depth."""
    data = b"\x01\x01" + branch.hash + branch.depth.to_bytes(2, "big")
    return Cell(bytes((_EXOTIC + _LEVEL_1, 2 * len(data))) + data)


def merkle_update(old: Cell, new: Cell) -> Cell:
    """The Merkle update from one state to the next, both given as `pruned` branches."""
    data = b"\x04" + old.body[4:36] + new.body[4:36] + old.body[36:] + new.body[36:]
    return Cell(bytes((_EXOTIC + 2, 2 * len(data))) + data, (old, new))


class Keep(dict[int, "Keep"]):
    """The references of a cell that a proof keeps: index to what is kept below.

    All others are pruned; ``ALL`` keeps everything below.
    """


ALL: Final = Keep()


def merkle_proof(root: Cell, keep: Keep) -> Cell:
    """A Merkle proof of `root` with the cells that `keep` names."""
    data = b"\x03" + root.hash + root.depth.to_bytes(2, "big")
    return Cell(bytes((_EXOTIC + 1, 2 * len(data))) + data, (_prune(root, keep),))


def _prune(branch: Cell, keep: Keep) -> Cell:
    if keep is ALL:
        return branch
    refs = tuple(
        # A cell without references is kept, as the node does: it is shorter than a branch.
        _prune(ref, keep[index]) if index in keep else pruned(ref) if ref.refs else ref
        for index, ref in enumerate(branch.refs)
    )
    level = _LEVEL_1 if any(ref.body[0] & _LEVEL_1 for ref in refs) else 0
    return Cell(bytes((branch.body[0] | level,)) + branch.body[1:], refs)
