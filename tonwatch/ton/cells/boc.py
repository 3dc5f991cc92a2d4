"""Parser of bags of cells: one pass, each cell hashed once, every size bounded.

A Merkle proof that was parsed has been checked against the hash that it carries; what that hash
belongs to is checked by `tonwatch.ton.liteserver.proofs`. pytoniq's parser is not used for
untrusted input: it takes three times as long and has no limits.

Source: TON's whitepaper 3.1 and the node's ``crypto/tl/boc.tlb``.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from tonwatch.ton.cells.cell import LIBRARY, MERKLE_PROOF, MERKLE_UPDATE, PRUNED, Cell
from tonwatch.ton.errors import BadAnswer, ProofInvalid, Reason

MAX_CELLS: Final = 4096
"""Cells of a bag; proofs of an account and of a block's state have under 200."""

_MAGIC: Final = b"\xb5\xee\x9c\x72"
_EXOTIC: Final = 8
_HASHED: Final = 16
_EXOTIC_SHAPES: Final = {LIBRARY: (66, 0), MERKLE_PROOF: (70, 1), MERKLE_UPDATE: (138, 2)}
"""Second descriptor byte, which is twice the size in bytes, and number of references."""


def read_boc(data: bytes, *, max_cells: int = MAX_CELLS) -> tuple[Cell, ...]:
    """The roots of a bag of cells.

    Args:
        data: exactly one bag.
        max_cells: more than these are refused before any is parsed.

    Raises:
        BadAnswer: it is not a bag of cells, or is cut short or too long; reason
            ``answer_too_large`` where it has more cells.
        ProofInvalid: a Merkle proof or update in it does not have the hash that it claims.
    """
    try:
        return _read(data, max_cells)
    except IndexError:
        raise BadAnswer(f"a bag of cells is cut short after {len(data)} bytes") from None
    except RecursionError:
        raise BadAnswer("proofs nested too deep") from None


def read_one(data: bytes, *, max_cells: int = MAX_CELLS) -> Cell:
    """The only root of a bag of cells; errors as `read_boc`."""
    roots = read_boc(data, max_cells=max_cells)
    if len(roots) != 1:
        raise BadAnswer(f"a bag of cells has {len(roots)} roots where one is needed")
    return roots[0]


def _read(data: bytes, max_cells: int) -> tuple[Cell, ...]:
    if data[:4] != _MAGIC:
        raise BadAnswer("not a bag of cells")
    flags, offset_size = data[4], data[5]
    size = flags & 7
    if not 1 <= size <= 4 or not 1 <= offset_size <= 8:
        raise BadAnswer("a bag of cells has a header that makes no sense")

    def number(at: int, length: int) -> int:
        return int.from_bytes(data[at : at + length], "big")

    count, root_count = number(6, size), number(6 + size, size)
    absent, length = number(6 + 2 * size, size), number(6 + 3 * size, offset_size)
    if absent or not 1 <= root_count <= count or 2 * count > len(data):
        raise BadAnswer(f"a bag of {count} cells with {root_count} roots")
    if count > max_cells:
        raise BadAnswer(f"a bag of {count} cells", Reason.ANSWER_TOO_LARGE)
    at = 6 + 3 * size + offset_size
    roots = [number(at + index * size, size) for index in range(root_count)]
    at += root_count * size
    if flags & 128:  # an index of offsets, not needed to parse in order
        at += count * offset_size
    end = at + length
    if end + (4 if flags & 64 else 0) != len(data):  # a checksum, not needed besides hashes
        raise BadAnswer(f"a bag of cells has {len(data)} bytes where {end} are needed")
    bodies: list[bytes] = []
    links: list[Sequence[int]] = []
    for index in range(count):
        first, second = data[at], data[at + 1]
        behind = at + 2 + (second + 1 >> 1)
        if first & _HASHED:
            # Stored hashes are skipped: they are computed here.
            skip = ((first >> 5).bit_count() + 1) * 34
            behind += skip
            bodies.append(bytes((first - _HASHED, second)) + data[at + 2 + skip : behind])
        else:
            bodies.append(data[at:behind])
        if second & 1 and not data[behind - 1]:
            raise BadAnswer("a cell's last byte has no end mark")
        if refs := first & 7:
            if refs > 4:
                raise BadAnswer(f"a cell with {refs} references")
            at = behind + refs * size
            if at > end:
                raise BadAnswer("the cells of a bag do not fit into it")
            below: Sequence[int] = data[behind:at]
            if size > 1:
                below = [number(place, size) for place in range(behind, at, size)]
            # Forward only, so that there are no cycles.
            if min(below) <= index or max(below) >= count:
                raise BadAnswer("a cell refers to one that does not come after it")
            links.append(below)
        else:
            at = behind
            links.append(b"")
    if at != end or max(roots) >= count:
        raise BadAnswer("the cells of a bag do not fill it")
    return _linked(bodies, links, roots)


_MAX_DEPTH: Final = 1024
_DEPTHS: Final = tuple(depth.to_bytes(2, "big") for depth in range(_MAX_DEPTH + 1))
"""Depths as they are hashed."""
_FIRST: Final = tuple(bytes((first,)) for first in range(16))
"""First descriptor bytes without a level: as they are hashed where nothing counts as pruned."""
_MAX_HIGHER: Final = 2048
"""Hashes of a bag above level 0: a block's proof has half a dozen, a claim of a mintless
jetton in a message about 50."""
_LEVELS: Final = 7
_TOP: Final = 64
"""An impossible level: marks a proof that is a root until all cells are linked."""
_PRUNED_ONCE: Final = bytes((_EXOTIC + 32, 72, PRUNED, 1))
"""How the body of nearly every pruned branch starts."""


def _linked(bodies: list[bytes], links: list[Sequence[int]], roots: list[int]) -> tuple[Cell, ...]:
    """Make cells of the parsed bodies, leaves first, and check every Merkle cell."""
    cells: list[Cell] = [_NOTHING] * len(bodies)
    known: _Known = {}
    tops = frozenset(roots)
    sha256, new = hashlib.sha256, Cell.__new__
    for index in range(len(bodies) - 1, -1, -1):
        body = bodies[index]
        made = cells[index] = new(Cell)
        made.body = body
        first = body[0]
        if not (below := links[index]):
            made.refs = ()
            if body[:4] == _PRUNED_ONCE:
                made.level = 1
                made.hash = body[4:36]
                made.depth = int.from_bytes(body[36:38], "big")
                continue
            if first & _EXOTIC and _check_exotic(made) == PRUNED:
                made.level = body[3]
                made.hash, made.depth = body[4:36], int.from_bytes(_depths(body)[:2], "big")
                continue
            made.level = made.depth = 0
            made.hash = sha256(body if first < 16 else _FIRST[first & 15] + body[1:]).digest()
            continue
        made.refs = refs = tuple([cells[ref] for ref in below])
        level = 0
        if first & _EXOTIC:
            _check_exotic(made)
            for ref in refs:
                level |= ref.level >> 1
            if body[2] == MERKLE_PROOF and index in tops:
                # A root proof stands for its content.
                made.level = level | _TOP
                made.hash, made.depth = refs[0].hash, refs[0].depth
                continue
            under = [_at(ref, 1, known) for ref in refs]
            depths = [depth for _, depth in under]
            parts = [hash_ for hash_, _ in under]
        else:
            depths, parts = [], []
            for ref in refs:
                level |= ref.level
                depths.append(ref.depth)
                parts.append(ref.hash)
        if level > _LEVELS:
            raise BadAnswer("a proof that is a root as well as referred to")
        made.level = level
        made.depth = depth = max(depths) + 1
        if depth > _MAX_DEPTH:
            raise BadAnswer(f"cells nested {depth} deep")
        hashed = sha256(body if first < 16 else _FIRST[first & 15] + body[1:])
        hashed.update(b"".join([_DEPTHS[depth] for depth in depths] + parts))
        made.hash = hashed.digest()
    for top in tops:
        cells[top].level &= _LEVELS
    return tuple([cells[root] for root in roots])


_NOTHING: Final = Cell(b"\0\0")


def _check_exotic(made: Cell) -> int:
    """The kind of an exotic cell of the right shape, whose hashes are those of what is below."""
    body, refs = made.body, made.refs
    kind = body[2] if len(body) > 2 else 0
    if kind == PRUNED:
        levels = body[3].bit_count() if len(body) > 3 else 0
        if refs or not 1 <= levels <= 3 or body[3] > 7 or body[1] != 4 + 68 * levels:
            raise BadAnswer("a pruned branch of the wrong shape")
    elif _EXOTIC_SHAPES.get(kind) != (body[1], len(refs)):
        raise BadAnswer(f"an exotic cell of kind {kind} and the wrong shape")
    elif kind != LIBRARY and b"".join([ref.hash for ref in refs]) != body[3 : 3 + 32 * len(refs)]:
        raise ProofInvalid("a Merkle proof does not have the hash that it claims")
    return kind


_Known = dict[tuple[Cell, int], tuple[bytes, int]]


def _at(of: Cell, level: int, known: _Known) -> tuple[bytes, int]:
    """Hash and depth at a level above 0: as that many Merkle cells above count them.

    What is pruned for them is pruned then; only Merkle cells need it, of what is right below.
    """
    mask = of.level & (1 << level) - 1
    if not mask:
        return of.hash, of.depth
    found = known.get((of, mask))
    if found is not None:
        return found
    body, refs = of.body, of.refs
    if of.exotic == PRUNED:
        index = mask.bit_count()
        if index == body[3].bit_count():
            found = hashlib.sha256(body).digest(), 0
        else:
            depth = _depths(body)[2 * index : 2 * index + 2]
            found = body[4 + 32 * index : 36 + 32 * index], int.from_bytes(depth, "big")
    else:
        highest = mask.bit_length()
        lower = _at(of, highest - 1, known)[0]
        further = 1 if body[0] & _EXOTIC else 0
        below = [_at(ref, highest + further, known) for ref in refs]
        depth_below = max([depth for _, depth in below])
        if depth_below >= _MAX_DEPTH:
            raise BadAnswer(f"cells nested {depth_below + 1} deep")
        parts = [bytes(((body[0] & 15) + 32 * mask, body[1])), lower]
        parts += [depth.to_bytes(2, "big") for _, depth in below]
        parts += [hash_ for hash_, _ in below]
        found = hashlib.sha256(b"".join(parts)).digest(), depth_below + 1
    if len(known) >= _MAX_HIGHER:
        raise BadAnswer("a proof within proofs that shows too much")
    known[of, mask] = found
    return found


def _depths(pruned: bytes) -> bytes:
    return pruned[4 + 32 * pruned[3].bit_count() :]
