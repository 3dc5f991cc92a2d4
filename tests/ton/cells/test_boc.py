"""Bags of cells: what pytoniq writes is read, what we write pytoniq reads, and nothing else."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytoniq_core.boc.builder import Builder
from pytoniq_core.boc.cell import Cell as Theirs

from tests.effort import effort
from tests.ton.peers import recorded
from tonwatch.simulator.chain.merkle import Keep, merkle_proof, merkle_update, pruned
from tonwatch.ton.cells.boc import MAX_CELLS, read_boc, read_one
from tonwatch.ton.cells.cell import MERKLE_PROOF, Cell, Slice, boc, cell
from tonwatch.ton.errors import BadAnswer, ProofInvalid, Reason
from tonwatch.ton.liteserver import tl

MOST: Final = 400_000
"""Calls that reading one hostile bag may take: some tens of milliseconds of an event loop."""

Plan = list[tuple[str, list[int]]]
"""Cells from the leaves up: bits, and which of the cells before it each refers to."""


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    bits = st.one_of(
        st.text("01", max_size=20),
        st.integers(0, 1023).map(lambda size: ("0110100" * 147)[:size]),
    )
    plan: Plan = []
    for index in range(draw(st.integers(1, 12))):
        below = st.lists(st.integers(0, index - 1), max_size=4) if index else st.just([])
        plan.append((draw(bits), draw(below)))
    return plan


def built(plan: Plan) -> tuple[Cell, Theirs]:
    """The last cell of a plan, as ours and as pytoniq's."""
    ours: list[Cell] = []
    theirs: list[Theirs] = []
    for bits, below in plan:
        ours.append(cell(b"", *[ours[index] for index in below], head=bits))
        builder = Builder().store_bits(bits)
        for index in below:
            builder.store_ref(theirs[index])
        theirs.append(builder.end_cell())
    return ours[-1], theirs[-1]


def bits_of(source: Cell) -> str:
    data = Slice(source)
    return f"{data.uint(size):0{size}b}" if (size := data.left) else ""


def assert_same(ours: Cell, theirs: Theirs) -> None:
    seen: set[bytes] = set()

    def compare(mine: Cell, other: Theirs) -> None:
        assert mine.hash == other.get_hash(0)
        assert mine.depth == other.get_depth(0)
        if mine.hash in seen:
            return
        seen.add(mine.hash)
        assert bits_of(mine) == other.bits.to01()
        assert len(mine.refs) == len(other.refs)
        for left, right in zip(mine.refs, other.refs, strict=True):
            compare(left, right)

    compare(ours, theirs)


def crc32c(data: bytes) -> bytes:
    """Castagnoli's checksum, as bags of cells have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "little")


def written(
    root: Cell, *, size: int = 1, offset_size: int = 3, index: bool = False, hashes: bool = False
) -> bytes:
    """A bag written from the description: with an index, and with what a cell's hash is."""
    order: list[Cell] = []

    def place(at: Cell) -> None:
        if at not in order:
            for ref in at.refs:
                place(ref)
            order.append(at)

    place(root)
    order.reverse()
    items, offsets, end = [], [], 0
    for at in order:
        body = at.body
        if hashes:
            stated = at.hash + at.depth.to_bytes(2, "big")
            body = bytes((body[0] | 16, body[1])) + stated + body[2:]
        items.append(body + b"".join(order.index(ref).to_bytes(size, "big") for ref in at.refs))
        end += len(items[-1])
        offsets.append(end.to_bytes(offset_size, "big"))
    return b"".join((
        b"\xb5\xee\x9c\x72", bytes((size | 128 * index, offset_size)),
        len(order).to_bytes(size, "big"), (1).to_bytes(size, "big"), bytes(size),
        end.to_bytes(offset_size, "big"), bytes(size), *(offsets if index else []), *items,
    ))  # fmt: skip


class TestReading:
    @given(plans(), st.booleans(), st.booleans())
    def test_what_pytoniq_writes(self, plan: Plan, index: bool, crc: bool) -> None:
        ours, theirs = built(plan)
        read = read_one(theirs.to_boc(has_idx=index, hash_crc32=crc))
        assert read.hash == ours.hash == theirs.hash
        assert_same(read, theirs)

    @given(plans())
    def test_what_we_write_pytoniq_reads(self, plan: Plan) -> None:
        ours, theirs = built(plan)
        assert_same(ours, Theirs.one_from_boc(boc(ours)))
        assert Theirs.one_from_boc(boc(ours)).hash == theirs.hash

    @given(plans(), st.integers(1, 4), st.integers(3, 8), st.booleans(), st.booleans())
    def test_any_way_to_write_it(
        self, plan: Plan, size: int, offset_size: int, index: bool, hashes: bool
    ) -> None:
        ours, theirs = built(plan)
        bag = written(ours, size=size, offset_size=offset_size, index=index, hashes=hashes)
        assert_same(read_one(bag), theirs)

    @given(plans(), plans())
    def test_several_roots(self, first: Plan, second: Plan) -> None:
        roots = built(first)[0], built(second)[0]
        assert [root.hash for root in read_boc(boc(*roots))] == [root.hash for root in roots]

    def test_a_checksum_is_skipped(self) -> None:
        bag = bytearray(written(cell(b"data")))
        bag[4] |= 64
        assert read_one(bytes(bag) + crc32c(bytes(bag))).body == b"\0\x08data"

    def test_hashes_in_the_bag_are_not_trusted(self) -> None:
        bag = bytearray(written(cell(b"data"), hashes=True))
        place = bag.index(cell(b"data").hash)
        bag[place] ^= 1
        assert read_one(bytes(bag)).hash == cell(b"data").hash

    @pytest.mark.parametrize(
        ("label", "constructor", "field"),
        [
            ("getAccountState wallet v1 basechain", "accountState", "shard_proof"),
            ("getAccountState wallet v1 basechain", "accountState", "proof"),
            ("getAccountState wallet v1 basechain", "accountState", "state"),
            ("getBlockHeader last", "blockHeader", "header_proof"),
            ("getAllShardsInfo", "allShardsInfo", "proof"),
            ("getTransactions wallet v1", "transactionList", "transactions"),
            ("getConfigParams 0,1,34", "configInfo", "config_proof"),
        ],
    )
    def test_recorded_bags(self, label: str, constructor: str, field: str) -> None:
        """Hashes as pytoniq computes them, for all that Merkle proofs show and leave out."""
        bag: bytes = tl.decode(recorded()[label].answer, f"liteServer.{constructor}")[field]

        def compare(ours: Cell, theirs: Theirs) -> None:
            if ours.exotic != MERKLE_PROOF:
                assert ours.hash == theirs.get_hash(0)
            for mine, other in zip(ours.refs, theirs.refs, strict=True):
                compare(mine, other)

        for ours, theirs in zip(read_boc(bag), Theirs.from_boc(bag), strict=True):
            compare(ours, theirs)


LEAF: Final = cell(b"leaf", cell(b"below"))
TREE: Final = cell(b"tree", cell(b"left", LEAF), cell(b"right", cell(b"more")))
PROOF: Final = merkle_proof(TREE, Keep({0: Keep()}))
SMALL: Final = bytes.fromhex("b5ee9c72 0101 01 01 00 02 00 0000")
"""One empty cell."""


def of_cells(*cells: bytes, roots: bytes = b"\0") -> bytes:
    """A bag of cells as they are written; places and the whole length have one byte."""
    payload = b"".join(cells)
    header = bytes((1, 1, len(cells), len(roots), 0, len(payload)))
    return b"\xb5\xee\x9c\x72" + header + roots + payload


def forged() -> bytes:
    """A proof of another leaf under the genuine root's hash."""
    bag = boc(PROOF)
    assert bag.count(b"left") == 1
    return bag.replace(b"left", b"lefs")


class TestProofs:
    def test_what_it_proves_is_what_it_stands_for(self) -> None:
        (root,) = read_boc(boc(PROOF))
        assert (root.exotic, root.hash, root.depth) == (MERKLE_PROOF, TREE.hash, TREE.depth)
        shown = root.refs[0]
        assert (shown.hash, shown.level) == (TREE.hash, 1)
        assert Slice(shown.refs[0]).take(4) == b"left"
        assert shown.refs[1].hash == TREE.refs[1].hash

    def test_what_it_leaves_out_cannot_be_read(self) -> None:
        (root,) = read_boc(boc(PROOF))
        with pytest.raises(ProofInvalid, match="leaves out"):
            Slice(root.refs[0].refs[1])

    def test_that_does_not_have_its_hash(self) -> None:
        with pytest.raises(ProofInvalid, match="does not have the hash"):
            read_boc(forged())

    @pytest.mark.parametrize("side", [0, 1], ids=["old", "new"])
    def test_update_that_does_not_have_its_hash(self, side: int) -> None:
        update = merkle_update(pruned(LEAF), pruned(TREE))
        other = list(update.refs)
        other[side] = pruned(cell(b"other"))
        read_boc(boc(update))
        with pytest.raises(ProofInvalid, match="does not have the hash"):
            read_boc(boc(Cell(update.body, tuple(other))))

    def test_a_proof_within_what_is_hashed_counts_as_a_cell_of_its_own(self) -> None:
        """A root is looked through; the same cell below another is not."""
        holder = cell(b"holds", PROOF)
        read = read_one(boc(holder))
        assert read.hash == Theirs.one_from_boc(boc(holder)).hash != cell(b"holds", TREE).hash

    def test_a_root_that_is_referred_to_cannot_be_looked_through(self) -> None:
        holder = cell(b"holds", PROOF)
        with pytest.raises(BadAnswer, match="root as well as referred to"):
            read_boc(boc(holder, PROOF))


class TestHostile:
    @pytest.mark.parametrize(
        ("bag", "says"),
        [
            pytest.param(b"", "not a bag", id="nothing"),
            pytest.param(b"\xb5\xee\x9c\x72", "cut short", id="magic alone"),
            pytest.param(b"\x68\xff\x65\xf3" + SMALL[4:], "not a bag", id="another magic"),
            pytest.param(SMALL[:4] + b"\x05" + SMALL[5:], "no sense", id="places of 5 bytes"),
            pytest.param(SMALL[:4] + b"\x00" + SMALL[5:], "no sense", id="places of 0 bytes"),
            pytest.param(SMALL[:5] + b"\x09" + SMALL[6:], "no sense", id="offsets of 9 bytes"),
            pytest.param(SMALL[:6] + b"\x00" + SMALL[7:], "0 cells", id="no cells"),
            pytest.param(SMALL[:6] + b"\xff" + SMALL[7:], "255 cells", id="more than fit"),
            pytest.param(SMALL[:7] + b"\x00" + SMALL[8:], "0 roots", id="no roots"),
            pytest.param(SMALL[:7] + b"\x02" + SMALL[8:], "2 roots", id="more roots than cells"),
            pytest.param(SMALL[:8] + b"\x01" + SMALL[9:], "a bag of 1", id="absent cells"),
            pytest.param(SMALL[:10] + b"\x01" + SMALL[11:], "do not fill", id="root beyond all"),
            pytest.param(SMALL + b"\0", "14 bytes where 13", id="trailing bytes"),
            pytest.param(of_cells(b"\0\0\0"), "do not fill", id="bytes between cells"),
            pytest.param(of_cells(b"\0\x09data\0"), "no end mark", id="no end mark"),
            pytest.param(of_cells(b"\0\x08dat"), "do not fill|cut short", id="data cut short"),
            pytest.param(of_cells(b"\x01\0\0"), "does not come after", id="refers to itself"),
            pytest.param(
                of_cells(b"\0\0", b"\x01\0\0"), "does not come after", id="refers back"
            ),
            pytest.param(of_cells(b"\x01\0\x07"), "does not come after", id="refers beyond all"),
            pytest.param(of_cells(b"\x01\0"), "do not fit", id="references cut short"),
            pytest.param(of_cells(b"\x05\0" + 5 * b"\1", b"\0\0"), "5 ref", id="5 references"),
            pytest.param(of_cells(b"\x08\0"), "kind 0", id="exotic without a kind"),
            pytest.param(of_cells(b"\x08\x02\x07"), "kind 7", id="exotic of no kind"),
            pytest.param(of_cells(b"\x28\x04\x01\x01"), "wrong shape", id="pruned, too short"),
            pytest.param(
                of_cells(b"\x28\x48\x01\x01" + 34 * b"p" + b"more"), "do not fill", id="too long"
            ),
            pytest.param(
                of_cells(b"\x08\x04\x01\x00"), "wrong shape", id="pruned at no level"
            ),
            pytest.param(
                of_cells(b"\x08\x46\x03" + bytes(34)), "wrong shape", id="proof of nothing"
            ),
        ],
    )  # fmt: skip
    def test_bad(self, bag: bytes, says: str) -> None:
        with pytest.raises(BadAnswer, match=says):
            read_boc(bag)

    def test_more_cells_than_allowed(self) -> None:
        bag = boc(TREE)
        assert len(read_boc(bag, max_cells=6)) == 1
        with pytest.raises(BadAnswer, match="a bag of 6 cells") as caught:
            read_boc(bag, max_cells=5)
        assert caught.value.reason is Reason.ANSWER_TOO_LARGE

    def test_one_root_where_one_is_needed(self) -> None:
        with pytest.raises(BadAnswer, match="2 roots"):
            read_one(boc(LEAF, TREE))

    @given(plans(), st.integers(0, 400))
    def test_every_cut(self, plan: Plan, size: int) -> None:
        bag = boc(built(plan)[0])
        with pytest.raises(BadAnswer):
            read_boc(bag[: min(size, len(bag) - 1)])

    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        for bag in (data, b"\xb5\xee\x9c\x72" + data, b"\xb5\xee\x9c\x72\x01\x01" + data):
            try:
                read_boc(bag)
            except (BadAnswer, ProofInvalid):
                continue

    @given(st.data())
    def test_any_change_of_a_proof(self, data: st.DataObject) -> None:
        """It is refused, or proves the same: of another hash, or with the same cells shown."""
        label = "getAccountState wallet v1 basechain"
        fields = tl.decode(recorded()[label].answer, "liteServer.accountState")
        bag: bytes = fields["proof"]
        places = st.tuples(st.integers(0, len(bag) - 1), st.integers(0, 255))
        changed = bytearray(bag)
        for place, value in data.draw(st.lists(places, min_size=1, max_size=3)):
            changed[place] = value
        genuine = {seen.hash: seen.body for seen in everything(read_boc(bag))}
        try:
            read = everything(read_boc(bytes(changed)))
        except (BadAnswer, ProofInvalid):
            return
        for seen in read:
            # A pruned branch has the hash of what it stands for, whatever else is in it.
            if seen.hash in genuine and not seen.exotic:
                known = genuine[seen.hash]
                assert seen.body[1:] == known[1:] or known[2] == 1


def everything(roots: tuple[Cell, ...]) -> list[Cell]:
    found: dict[Cell, None] = {}
    left = list(roots)
    while left:
        at = left.pop()
        if at not in found:
            found[at] = None
            left += at.refs
    return list(found)


def wide(count: int = MAX_CELLS) -> bytes:
    """Each cell refers to four others: as much hashing as there can be."""
    last = count - 1
    items = []
    for index in range(count):
        refs = [max(last - step, index + 1) for step in range(4)] if index < last else []
        items.append(
            bytes((len(refs), 0)) + b"".join(place.to_bytes(2, "big") for place in refs)
        )  # fmt: skip
    payload = b"".join(items)
    header = b"\xb5\xee\x9c\x72\x02\x03" + count.to_bytes(2, "big") + b"\0\1\0\0"
    return header + len(payload).to_bytes(3, "big") + b"\0\0" + payload


def towering() -> bytes:
    """Proofs in proofs above a tree in which every cell has a hash at each level."""
    branch = Cell(bytes((0xE8, 208, 1, 7)) + bytes(102))
    row = 16 * [branch]
    for step in range(200):
        row = [
            Cell(bytes((0xE4, 4, step, at)), tuple((row[at:] + row)[:4])) for at in range(len(row))
        ]
    top = row[0]
    for _ in range(3):
        hash_ = read_one(boc(Cell(b"\xe1\x00", (top,)))).refs[0].hash
        top = Cell(b"\xea\x8a\x04" + hash_ + hash_ + bytes(4), (top, top))
    return boc(Cell(b"\xe1\x00", (top,)))


def chain(count: int) -> bytes:
    items = [b"\x01\x00" + (index + 1).to_bytes(2, "big") for index in range(count)]
    payload = b"".join([*items, b"\0\0"])
    header = b"\xb5\xee\x9c\x72\x02\x03" + (count + 1).to_bytes(2, "big") + b"\0\1\0\0"
    return header + len(payload).to_bytes(3, "big") + b"\0\0" + payload


class TestCost:
    def test_of_as_many_references_as_fit(self) -> None:
        bag = wide()
        with effort(MOST):
            read_boc(bag)

    def test_of_hashes_at_every_level(self) -> None:
        with effort(MOST), pytest.raises(BadAnswer, match="shows too much"):
            read_boc(towering())

    def test_of_depth(self) -> None:
        assert read_one(chain(1024)).depth == 1024
        with pytest.raises(BadAnswer, match="1025 deep"):
            read_boc(chain(1025))
