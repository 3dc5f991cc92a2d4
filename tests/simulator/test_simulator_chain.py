"""Blocks of the simulated chain, compared with pytoniq and a recording of a real node."""

import asyncio
import hashlib

import pytest
from pytoniq_core.boc.cell import Cell
from pytoniq_core.proof.check_proof import check_block_header_proof, check_proof
from pytoniq_core.tl.block import BlockIdExt
from pytoniq_core.tlb.block import Block as TlbBlock
from pytoniq_core.tlb.block import BlockInfo, ShardStateUnsplit

from tests.effort import effort
from tests.simulator.chains import empty_chain
from tonwatch.simulator.chain import block_layout
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.chain.chain import Chain
from tonwatch.ton.cells import cell as cells

# Header proof of masterchain block 2016, as validator-engine v2025.10 sent it.
REAL_HEADER_PROOF = bytes.fromhex(
    "b5ee9c7201020701000147000946032b610494e262b369ae8daf6537b0263d1b57e5665045acd9f0ed2c3079"
    "cfadd7000f01241011ef55aafffffcf70203040501a09bc7a987000000000401000007e00000000000ffffff"
    "ff00000000000000006b04219100000000cb5efd0000000000cb5efd048d2aa56a00000013000007de000000"
    "00c40000000c00000000000003ee06284801012b8ea6b5dc012f4511331a87b9becab2414ef25bc072fc9762"
    "32c8b87b0f8d8000032848010130abe1acd9cd7999ccb5fc56cc32ce85ee61c26072b5d08b21700e36674a58"
    "54000e28480101d4e2314ecb75e96138ed91cb8c425bc508242adf30ec528102b37668547965a20008009800"
    "000000cb4fbac4000007df45ce9ca45f598bf33e4549e4fab8b87ef5c943c79e2d49493c8d95826a4ffe848b"
    "caeaf166376b6206b17c67c831f3df26c8e40a515c99490825a637b1189211"
)


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self, now: float = 1_800_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def shape(cell: Cell) -> tuple[int, int, list[object]]:
    """A cell without its contents: type, bits, and the same of its references."""
    return cell.type_, len(cell.bits), [shape(ref) for ref in cell.refs]


def read(cell: cells.Cell) -> Cell:
    """A cell as pytoniq reads it."""
    return Cell.one_from_boc(cells.boc(cell))


def both(chain: Chain) -> list[Block]:
    """The newest masterchain block and the basechain block under it."""
    assert chain.head.shard is not None
    return [chain.head, chain.head.shard]


def test_a_header_proof_has_the_shape_of_a_recorded_one() -> None:
    real = Cell.one_from_boc(REAL_HEADER_PROOF)
    assert shape(Cell.one_from_boc(empty_chain().head.header_proof)) == shape(real)


def test_hashes_of_a_block_are_those_of_its_bytes() -> None:
    for block in both(empty_chain(backfill=3)):
        assert block.id.root_hash == Cell.one_from_boc(block.data).hash
        assert block.id.file_hash == hashlib.sha256(block.data).digest()
        assert block.state.hash == read(block.state).hash
        assert (block.root.hash, block.root.depth) == (
            block.id.root_hash,
            read(block.root).get_depth(0),
        )


def test_a_header_proof_proves_the_blocks_time_and_seqno() -> None:
    clock = Clock()
    chain = empty_chain(clock=clock, backfill=3)
    for block in both(chain):
        proof = Cell.one_from_boc(block.header_proof)
        check_proof(proof, block.id.root_hash)
        check_block_header_proof(proof[0], block.id.root_hash)
        info = BlockInfo.deserialize(proof[0][0].begin_parse())
        assert info.seqno == 3
        assert info.gen_utime == 1_800_000_000
        assert info.shard.workchain_id == block.id.workchain
        assert info.shard.calculate_shard_signed() == block_layout.WHOLE_SHARD


def test_another_blocks_proof_does_not_pass_for_this_one() -> None:
    chain = empty_chain(backfill=2)
    other = chain.block(1)
    assert other is not None
    with pytest.raises(Exception, match="hash"):
        check_proof(Cell.one_from_boc(other.header_proof), chain.head.id.root_hash)


def test_each_block_names_the_one_before_it_and_the_first_the_zerostate() -> None:
    chain = empty_chain(backfill=3)
    before = chain.zerostate
    for seqno in (1, 2, 3):
        block = chain.block(seqno)
        assert block is not None
        prev = BlockInfo.deserialize(read(block.root)[0].begin_parse()).prev_ref.prev
        assert (prev.seqno, prev.root_hash, prev.file_hash) == before[1:]
        before = block.id


def test_a_state_update_leads_from_the_state_before_to_the_state_after() -> None:
    chain = empty_chain(backfill=2)
    first = chain.block(1)
    assert first is not None
    update = TlbBlock.deserialize(read(chain.head.root).begin_parse()).state_update
    assert update.old_hash == first.state.hash
    assert update.new_hash == chain.head.state.hash


def test_pytoniq_reads_whole_blocks_and_states() -> None:
    chain = empty_chain(backfill=2)
    for block in both(chain):
        parsed = TlbBlock.deserialize(read(block.root).begin_parse())
        assert parsed.value_flow.to_next_blk.grams == 0
        state = ShardStateUnsplit.deserialize(read(block.state).begin_parse())
        assert (state.seq_no, state.gen_utime) == (block.seqno, block.gen_utime)
        assert state.global_id == parsed.global_id


def test_a_masterchain_block_lists_the_basechain_block_under_it() -> None:
    master, shard = both(empty_chain(backfill=2))
    listed = (
        TlbBlock.deserialize(read(master.root).begin_parse()).extra.custom.shard_hashes[0].list[0]
    )
    assert (listed.seq_no, listed.root_hash, listed.file_hash) == shard.id[1:]
    known = TlbBlock.deserialize(read(shard.root).begin_parse()).info.master_ref.master
    assert known.root_hash == master.prev.id.root_hash


@pytest.mark.parametrize("head", ["", "1", "0110", "1" * 9])
@pytest.mark.parametrize("data", [b"", b"\x00\xff", bytes(range(64))], ids=len)
@pytest.mark.parametrize("tail", ["", "0", "101", "01" * 6])
def test_a_cell_of_any_bits_is_the_same_to_pytoniq(head: str, data: bytes, tail: str) -> None:
    bits = head + "".join(f"{byte:08b}" for byte in data) + tail
    other = cells.cell(b"other")
    made = cells.cell(data, other, cells.cell(b"", other), head=head, tail=tail)
    again = read(made)
    assert again.bits.to01() == bits
    assert (again.hash, again.get_depth(0)) == (made.hash, made.depth)


def test_a_bag_of_cells_keeps_several_roots_in_order() -> None:
    one, two = empty_chain(backfill=2).head.root, empty_chain("b").head.root
    assert [cell.hash for cell in Cell.from_boc(cells.boc(two, one))] == [two.hash, one.hash]


def test_a_seed_names_a_network() -> None:
    one, same, other = empty_chain("one"), empty_chain("one"), empty_chain("other")
    assert one.zerostate == same.zerostate
    assert one.zerostate != other.zerostate
    assert one.head.id.root_hash != other.head.id.root_hash


def test_an_id_is_written_as_the_node_writes_it() -> None:
    block_id = empty_chain().head.id
    fields = block_id.tl()
    assert BlockIdExt.from_dict(fields).to_bytes()[16:] == block_id.root_hash + block_id.file_hash
    assert str(block_id).startswith("(-1,8000000000000000,1):")
    assert str(block_id).endswith(block_id.file_hash.hex().upper())


def test_block_time_is_the_clocks_whole_seconds_and_never_goes_back() -> None:
    clock = Clock(1_800_000_000.9)
    chain = empty_chain(clock=clock)
    assert chain.head.gen_utime == 1_800_000_000
    clock.now = 1_800_000_001.1
    assert chain.advance().gen_utime == 1_800_000_001
    clock.now = 1_700_000_000.0
    assert chain.advance().gen_utime == 1_800_000_001


def test_history_is_bounded() -> None:
    chain = empty_chain(history=5, backfill=12)
    assert (chain.oldest.seqno, chain.head.seqno) == (8, 12)
    assert chain.block(7) is None
    assert chain.block(13) is None
    block = chain.block(8)
    assert block is not None
    assert block.seqno == 8


def test_the_block_at_a_moment() -> None:
    clock = Clock(1_800_000_000.0)
    chain = empty_chain(clock=clock, interval=0.5, backfill=10)
    assert chain.at(1_800_000_000.0).seqno == 10
    assert chain.at(1_799_999_999.4).seqno == 8
    assert chain.at(1_799_999_000.0).seqno == 1, "nothing older is kept"


async def test_blocks_keep_to_their_intervals_on_the_loops_clock() -> None:
    chain = empty_chain(interval=0.02)
    loop = asyncio.get_running_loop()
    made = asyncio.Event()
    chain.subscribe(lambda: made.set() if chain.head.seqno >= 11 else None)
    began = loop.time()
    running = asyncio.create_task(chain.run())
    async with asyncio.timeout(10):
        await made.wait()
    assert loop.time() - began >= 10 * 0.02
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_stalled_chain_makes_no_blocks_until_it_runs_again() -> None:
    chain = empty_chain(interval=0.01)
    chain.stalled = True
    running = asyncio.create_task(chain.run())
    await asyncio.sleep(0.05)
    assert chain.head.seqno == 1
    made = asyncio.Event()
    chain.subscribe(made.set)
    chain.stalled = False
    async with asyncio.timeout(10):
        await made.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert chain.head.seqno >= 2


def test_an_unsubscribed_listener_is_not_called() -> None:
    chain = empty_chain()
    heard: list[int] = []
    unsubscribe = chain.subscribe(lambda: heard.append(chain.head.seqno))
    chain.advance()
    unsubscribe()
    chain.advance()
    assert heard == [2]


@pytest.mark.parametrize("wrong", [{"interval": 0.0}, {"history": 0}, {"backfill": 0}], ids=str)
def test_impossible_chains_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        empty_chain(**wrong)  # type: ignore[arg-type]  # the point of the test


def test_a_block_is_cheap() -> None:
    chain = empty_chain()
    # A simulated day has 216,000 blocks.
    with effort(50 * 1000):
        chain.advance(50)
