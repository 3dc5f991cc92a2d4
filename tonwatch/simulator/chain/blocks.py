"""Blocks and how they are built.

Blocks are real cells with real hashes and proofs, without signatures. Their
transactions come from the world. Each masterchain block has exactly one basechain block under
it, with the same seqno.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tonwatch.simulator.chain import block_layout, merkle
from tonwatch.simulator.chain.accounts import EMPTY, Accounts
from tonwatch.simulator.chain.block_layout import (
    BASECHAIN,
    MASTERCHAIN,
    BlockId,
    Header,
    Ref,
    ValueFlow,
)
from tonwatch.simulator.chain.merkle import Keep
from tonwatch.simulator.chain.world_protocol import BlockResult, WorldProtocol
from tonwatch.ton.address import Address
from tonwatch.ton.cells import cell as cells
from tonwatch.ton.cells.cell import Cell

_LT_PER_BLOCK: Final = 1_000_000

_GENESIS: Final = 1_573_822_385
"""`gen_utime` of every zerostate; fixed, so that a seed gives the same network each time."""


@dataclass(frozen=True, eq=False)
class Block:
    """One block.

    Attributes:
        header: its own numbers.
        id: its full id.
        prev: the block before it in its workchain.
        produced: wall clock of its creation, in seconds; `gen_utime` is its whole part.
        root: the block itself.
        state: the state after it.
        accounts: of its workchain after it.
        flow: its value flow.
        shard: the basechain block under a masterchain block; None for a basechain block.
    """

    header: Header
    id: BlockId
    prev: Ref
    produced: float
    root: Cell
    state: Cell
    accounts: Accounts
    flow: ValueFlow
    shard: "Block | None" = None

    @property
    def seqno(self) -> int:
        return self.id.seqno

    @property
    def gen_utime(self) -> int:
        return self.header.gen_utime

    @property
    def data(self) -> bytes:
        """The block's bag of cells; the hashes of `id` are those of these bytes."""
        return cells.boc(self.root)

    @cached_property
    def header_proof(self) -> bytes:
        """The answer to getBlockHeader mode 0: `BlockInfo` under the block's root hash."""
        return cells.boc(merkle.merkle_proof(self.root, block_layout.SHOW_HEADER))

    @cached_property
    def state_hash_proof(self) -> Cell:
        """A proof from the block's root hash to the hash of the state after it."""
        return merkle.merkle_proof(self.root, block_layout.SHOW_STATE_HASH)

    @cached_property
    def shard_proof(self) -> bytes:
        """A proof from a masterchain block's root hash to its shards."""
        shards = merkle.merkle_proof(self.state, block_layout.STATE_SHOWS_SHARDS)
        return cells.boc(self.state_hash_proof, shards)

    def account_proof(self, address: Address) -> bytes:
        """A proof from the block's root hash to an account, or that there is none."""
        keep = Keep({1: self.accounts.proof_path(address), 2: Keep()})
        return cells.boc(self.state_hash_proof, merkle.merkle_proof(self.state, keep))


class BlockBuilder:
    """Makes one block after another, from a zerostate on.

    Args:
        seed: names the network; two seeds give two zerostates and other hashes throughout.
        world: executes the transactions of each block.

    Attributes:
        zerostate: the id of the masterchain's zerostate: the network's identity.
        world: as above.
    """

    def __init__(self, seed: str, world: WorldProtocol) -> None:
        self.world = world
        self._seed = hashlib.sha256(seed.encode()).digest()
        self._global_id = -int.from_bytes(self._seed[:2], "big") - 1000
        self._config_address = self._seed
        self._config = block_layout.config_params(self._config_address)
        self._accounts = world.accounts
        self._unchanged_flow = ValueFlow(world.accounts.total, world.accounts.total)
        shard, shard_id = self._zerostate(BASECHAIN, None)
        master, self.zerostate = self._zerostate(MASTERCHAIN, shard_id)
        self._states = {BASECHAIN: merkle.pruned(shard), MASTERCHAIN: merkle.pruned(master)}
        self._last = {BASECHAIN: Ref(0, shard_id), MASTERCHAIN: Ref(0, self.zerostate)}
        self._time = _GENESIS

    def diverge(self, name: str) -> None:
        """Make blocks with other hashes from now on."""
        self._seed = hashlib.sha256(self._seed + name.encode()).digest()
        self._states, self._last = dict(self._states), dict(self._last)

    def rewind(self, last: Block, name: str) -> None:
        """Go on from `last`, an earlier masterchain block, with other hashes."""
        self.diverge(name)
        assert last.shard is not None, "a masterchain block has a shard block"
        for workchain, block in ((MASTERCHAIN, last), (BASECHAIN, last.shard)):
            self._states[workchain] = merkle.pruned(block.state)
            self._last[workchain] = Ref(block.header.end_lt, block.id)
        self._accounts = last.shard.accounts
        self._unchanged_flow = ValueFlow(self._accounts.total, self._accounts.total)
        self.world.rewind(self._accounts, last.seqno)

    def build(self, moment: float, original: Block | None = None) -> Block:
        """The next masterchain block.

        Args:
            moment: wall clock at which it is produced, in seconds.
            original: the block that a fork's block copies; None on the chain itself, whose
                world executes the block.
        """
        # As validators do: the chain's time does not go back with the wall clock.
        self._time = max(self._time, int(moment))
        master = self._last[MASTERCHAIN]
        shard = self._append(BASECHAIN, moment, master, None, original)
        return self._append(MASTERCHAIN, moment, None, shard, None)

    def _append(
        self,
        workchain: int,
        moment: float,
        master: Ref | None,
        shard: Block | None,
        original: Block | None,
    ) -> Block:
        prev = self._last[workchain]
        header = self._header(workchain, prev.id.seqno + 1, self._time)
        flow, change = block_layout.NO_VALUE_FLOW, None
        if workchain == BASECHAIN:
            flow = self._unchanged_flow
            if original is None:
                change = self.world.execute_block(header.start_lt, header.gen_utime)
            elif original.shard is not None:
                change = BlockResult(
                    original.shard.accounts, original.shard.header.end_lt, original.shard.flow
                )
            if change is not None:
                self._accounts, end_lt, flow = change
                self._unchanged_flow = ValueFlow(flow.after, flow.after)
                header = header._replace(end_lt=max(end_lt, header.end_lt))
        shards = block_layout.shard_hashes(shard.header, shard.id) if shard else None
        accounts = EMPTY if shard else self._accounts
        state = self._state(header, accounts, master, shards)
        after = merkle.pruned(state)
        root = block_layout.block(
            header,
            prev,
            merkle.merkle_update(self._states[workchain], after),
            hashlib.sha256(self._seed + header.seqno.to_bytes(4, "big")).digest(),
            master=master,
            shards=shards,
            flow=flow,
        )
        file_hash = hashlib.sha256(cells.boc(root)).digest()
        block_id = BlockId(workchain, header.seqno, root.hash, file_hash)
        self._states[workchain] = after
        self._last[workchain] = Ref(header.end_lt, block_id)
        if change is not None and original is None:
            self.world.block_created(block_id)
        return Block(header, block_id, prev, moment, root, state, accounts, flow, shard)

    def _zerostate(self, workchain: int, shard: BlockId | None) -> tuple[Cell, BlockId]:
        header = self._header(workchain, 0, _GENESIS)
        shards = block_layout.shard_hashes(header, shard) if shard else None
        state = self._state(header, EMPTY if shard else self._accounts, None, shards)
        file_hash = hashlib.sha256(cells.boc(state)).digest()
        return state, BlockId(workchain, 0, state.hash, file_hash)

    def _state(
        self, header: Header, accounts: Accounts, master: Ref | None, shards: Cell | None
    ) -> Cell:
        custom = None
        if shards:
            custom = block_layout.masterchain_custom(shards, self._config_address, self._config)
        return block_layout.shard_state(
            header, accounts.cell, accounts.total, master=master, custom=custom
        )

    def _header(self, workchain: int, seqno: int, gen_utime: int) -> Header:
        start_lt = seqno * _LT_PER_BLOCK
        return Header(
            global_id=self._global_id,
            workchain=workchain,
            seqno=seqno,
            gen_utime=gen_utime,
            start_lt=start_lt,
            end_lt=start_lt + 4 if seqno else 0,
            min_ref_mc_seqno=max(seqno - 1, 0),
        )
