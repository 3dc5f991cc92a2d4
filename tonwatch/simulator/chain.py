"""A TON network of one masterchain and one basechain shard, made on the spot.

Blocks are real cells with real hashes and proofs; nobody signs them and nothing
happens in them. Each masterchain block has exactly one basechain block under it,
with the same seqno.
"""

import asyncio
import hashlib
import math
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pytoniq_core.boc.cell import Cell

from tonwatch.simulator import cells
from tonwatch.simulator.cells import BASECHAIN, MASTERCHAIN, BlockId, Header, Ref

HISTORY: Final = 4096
"""Blocks a chain keeps unless told otherwise; at 0.4 s a block that is 27 minutes."""

_LT_PER_BLOCK: Final = 1_000_000

_GENESIS: Final = 1_573_822_385
"""`gen_utime` of every zerostate; fixed, so that a seed gives the same network each time."""


@dataclass(frozen=True)
class Block:
    """One block, kept as the bytes that are sent.

    Attributes:
        header: its own numbers.
        id: its full id; the hashes are those of `data`.
        prev: the block before it in its workchain.
        produced: wall clock at which it appeared, in seconds; `gen_utime` is its whole part.
        data: the block's bag of cells.
        state: the bag of cells of the state after it.
        state_hash: root hash of that state.
        shard: the basechain block under a masterchain block; None for a basechain block.
    """

    header: Header
    id: BlockId
    prev: Ref
    produced: float
    data: bytes
    state: bytes
    state_hash: bytes
    shard: "Block | None" = None

    @property
    def seqno(self) -> int:
        return self.id.seqno

    @property
    def gen_utime(self) -> int:
        return self.header.gen_utime

    @cached_property
    def header_proof(self) -> bytes:
        """The answer to getBlockHeader mode 0: `BlockInfo` under the block's root hash."""
        return cells.boc(cells.merkle_proof(self.root, cells.SHOW_HEADER))

    @property
    def root(self) -> Cell:
        return Cell.one_from_boc(self.data)

    @property
    def state_root(self) -> Cell:
        return Cell.one_from_boc(self.state)


class Chain:
    """A network that grows by one block each `interval` seconds.

    Args:
        seed: names the network; two seeds give two zerostates and other hashes throughout.
        interval: seconds between blocks.
        clock: the wall clock in seconds.
        history: blocks kept; older ones are forgotten, as a node that prunes does.
        backfill: blocks that exist at once, as if the chain had run before; at least 1.

    Attributes:
        zerostate: the id of the masterchain's zerostate: the network's identity.
        stalled: while True no blocks are produced.
    """

    def __init__(
        self,
        seed: str = "tonwatch",
        *,
        interval: float = 0.4,
        clock: Callable[[], float] = time.time,
        history: int = HISTORY,
        backfill: int = 1,
    ) -> None:
        if interval <= 0 or history < 1 or backfill < 1:
            raise ValueError("interval must be above zero, history and backfill at least 1")
        self.interval = interval
        self.clock = clock
        self.stalled = False
        self._seed = hashlib.sha256(seed.encode()).digest()
        self._global_id = -int.from_bytes(self._seed[:2], "big") - 1000
        self._config = cells.config_params(self._seed)
        self._listeners: list[Callable[[], None]] = []
        self._blocks: deque[Block] = deque(maxlen=history)

        began = clock() - backfill * interval
        shard = self._zerostate(BASECHAIN, None)
        master = self._zerostate(MASTERCHAIN, shard[1])
        self._states = {BASECHAIN: shard[0], MASTERCHAIN: master[0]}
        self._last = {BASECHAIN: Ref(0, shard[1]), MASTERCHAIN: Ref(0, master[1])}
        self.zerostate = master[1]
        for number in range(1, backfill + 1):
            self._produce(began + number * interval)

    @property
    def head(self) -> Block:
        return self._blocks[-1]

    @property
    def oldest(self) -> Block:
        """The oldest masterchain block still kept."""
        return self._blocks[0]

    def block(self, seqno: int) -> Block | None:
        """The masterchain block `seqno`; None if it is not made yet or forgotten."""
        index = seqno - self.oldest.seqno
        return self._blocks[index] if 0 <= index < len(self._blocks) else None

    def at(self, moment: float) -> Block:
        """The newest block at wall clock `moment`; the oldest kept where none is that old."""
        index = bisect_right(self._blocks, moment, key=lambda block: block.produced)
        return self._blocks[max(index - 1, 0)]

    def first_with(self, key: Callable[[Block], int], least: int) -> Block | None:
        """The first kept block whose `key`, which must never fall, is at least `least`."""
        index = bisect_left(self._blocks, least, key=key)
        return self._blocks[index] if index < len(self._blocks) else None

    def advance(self, count: int = 1) -> Block:
        """Produce `count` blocks now, stalled or not, and return the last."""
        for _ in range(count):
            self._produce(self.clock())
        for listener in list(self._listeners):
            listener()
        return self.head

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each `advance`; returns what undoes that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def run(self) -> None:
        """Produce blocks on the grid of the event loop's clock until cancelled.

        A process that was stopped for a while skips the beats it missed and
        keeps to the grid, as a chain that had produced nothing meanwhile.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        beat = 1
        while True:
            await asyncio.sleep(began + beat * self.interval - loop.time())
            if not self.stalled:
                self.advance()
            beat = max(beat + 1, math.ceil((loop.time() - began) / self.interval))

    def _produce(self, moment: float) -> None:
        gen_utime = int(moment)
        if self._blocks:
            # As validators do: a wall clock that was set back does not turn the chain's time.
            moment = max(moment, self.head.produced)
            gen_utime = max(gen_utime, self.head.gen_utime)
        master = self._last[MASTERCHAIN]
        shard = self._append(BASECHAIN, gen_utime, moment, master, None)
        self._blocks.append(self._append(MASTERCHAIN, gen_utime, moment, None, shard))

    def _append(
        self, workchain: int, gen_utime: int, moment: float, master: Ref | None, shard: Block | None
    ) -> Block:
        prev = self._last[workchain]
        header = self._header(workchain, prev.id.seqno + 1, gen_utime)
        shards = cells.shard_hashes(shard.header, shard.id) if shard else None
        custom = cells.masterchain_custom(shards, self._seed, self._config) if shards else None
        state = cells.shard_state(header, master=master, custom=custom)
        update = cells.merkle_update(self._states[workchain], state)
        seed = hashlib.sha256(self._seed + header.seqno.to_bytes(4, "big")).digest()
        root = cells.block(header, prev, update, seed, master=master, shards=shards)
        data = cells.boc(root)
        block = Block(
            header=header,
            id=BlockId(workchain, header.seqno, root.hash, hashlib.sha256(data).digest()),
            prev=prev,
            produced=moment,
            data=data,
            state=cells.boc(state),
            state_hash=state.hash,
            shard=shard,
        )
        self._states[workchain] = state
        self._last[workchain] = Ref(header.end_lt, block.id)
        return block

    def _zerostate(self, workchain: int, shard: BlockId | None) -> tuple[Cell, BlockId]:
        header = self._header(workchain, 0, _GENESIS)
        custom = None
        if shard:
            shards = cells.shard_hashes(header, shard)
            custom = cells.masterchain_custom(shards, self._seed, self._config)
        state = cells.shard_state(header, master=None, custom=custom)
        file_hash = hashlib.sha256(cells.boc(state)).digest()
        return state, BlockId(workchain, 0, state.hash, file_hash)

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
