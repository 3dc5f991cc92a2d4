"""A simulated chain: one masterchain and one basechain shard."""

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from copy import copy
from random import Random
from typing import Final

from tonwatch.simulator.chain import noise as noises
from tonwatch.simulator.chain.block_layout import BlockId
from tonwatch.simulator.chain.blocks import Block, BlockBuilder
from tonwatch.simulator.chain.noise import Noise
from tonwatch.simulator.chain.world_protocol import WorldProtocol

HISTORY: Final = 4096
"""Blocks that a chain keeps by default; at 0.4 s a block these are 27 minutes."""


class BlockHistory:
    """The newest masterchain blocks of a chain, at least one, and who is notified of the next.

    Args:
        builder: of the next blocks.
        blocks: the present ones; its maxlen is how many are kept.
        clock: the wall clock in seconds.
    """

    def __init__(
        self, builder: BlockBuilder, blocks: deque[Block], clock: Callable[[], float] = time.time
    ) -> None:
        self.clock = clock
        self._builder = builder
        self._blocks = blocks
        self._listeners: list[Callable[[], None]] = []

    @property
    def zerostate(self) -> BlockId:
        """The id of the masterchain's zerostate: the network's identity."""
        return self._builder.zerostate

    @property
    def world(self) -> WorldProtocol:
        """The contracts on the chain; a fork has those of its chain."""
        return self._builder.world

    @property
    def head(self) -> Block:
        return self._blocks[-1]

    @property
    def oldest(self) -> Block:
        """The oldest masterchain block still kept."""
        return self._blocks[0]

    def block(self, seqno: int) -> Block | None:
        """The masterchain block `seqno`; None if there is none yet or it is not kept any more."""
        index = seqno - self.oldest.seqno
        return self._blocks[index] if 0 <= index < len(self._blocks) else None

    def at(self, moment: float) -> Block:
        """The newest block at wall clock `moment`; the oldest kept where none is that old."""
        index = bisect_right(self._blocks, moment, key=lambda block: block.produced)
        return self._blocks[max(index - 1, 0)]

    def first_with(self, key: Callable[[Block], int], least: int) -> Block | None:
        """The first block whose `key` is at least `least`; keys must not fall between blocks."""
        index = bisect_left(self._blocks, least, key=key)
        return self._blocks[index] if index < len(self._blocks) else None

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after new blocks; returns a function that ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _notify(self) -> None:
        for listener in list(self._listeners):
            listener()


class Chain(BlockHistory):
    """A network that grows by one block each `interval` seconds.

    Args:
        seed: names the network; two seeds give two zerostates and other hashes throughout.
        world: the contracts on it.
        interval: average seconds between blocks.
        clock: the wall clock in seconds.
        history: blocks kept; older ones are pruned.
        backfill: blocks that exist from the start; at least 1.
        noise: how block intervals vary.
        on_demand: `run` makes blocks only while a server follows the chain.

    Attributes:
        stalled: while True no blocks are produced.
    """

    def __init__(
        self,
        seed: str,
        world: WorldProtocol,
        *,
        interval: float = 0.4,
        clock: Callable[[], float] = time.time,
        history: int = HISTORY,
        backfill: int = 1,
        noise: Noise = noises.NONE,
        on_demand: bool = False,
    ) -> None:
        if interval <= 0 or history < 1 or backfill < 1:
            raise ValueError("interval must be above zero, history and backfill at least 1")
        super().__init__(BlockBuilder(seed, world), deque(maxlen=history), clock)
        self.interval = interval
        self.stalled = False
        self._intervals = noise.intervals(interval, Random(f"block times of {seed}"))
        self._slow_interval: float | None = None
        self._pace_changed = asyncio.Event()
        self._rewinds = 0
        self._followers = 0
        self._wanted = asyncio.Event()
        self._on_demand = on_demand
        began = clock() - backfill * interval
        for number in range(1, backfill + 1):
            self._blocks.append(self._builder.build(began + number * interval))

    def advance(self, count: int = 1) -> Block:
        """Produce `count` blocks now, stalled or not, and return the last."""
        for _ in range(count):
            moment = max(self.clock(), self.head.produced)
            self._blocks.append(self._builder.build(moment))
        self._notify()
        return self.head

    def slow_down(self, interval: float | None) -> None:
        """Produce a block each `interval` seconds from now on; None for the usual intervals."""
        if interval != self._slow_interval:
            self._slow_interval = interval
            self._pace_changed.set()

    def rewind(self, count: int) -> None:
        """Go back `count` blocks, at most to the oldest, and produce another one after that.

        All that happened since is undone, and the blocks from there on have other hashes. Their
        times go on from now.
        """
        last = self.block(self.head.seqno - count) or self.oldest
        while self.head.seqno > last.seqno:
            self._blocks.pop()
        self._rewinds += 1
        self._builder.rewind(last, f"rewind {self._rewinds}")
        self.advance()

    def join(self) -> BlockHistory:
        """Follow this chain until `leave`."""
        self._followers += 1
        self._wanted.set()
        return self

    def leave(self) -> None:
        self._followers -= 1
        if not self._followers:
            self._wanted.clear()

    def fork(self, name: str) -> tuple[BlockBuilder, deque[Block]]:
        """Builder and blocks of a fork that begins here; see `Fork`."""
        builder = copy(self._builder)
        builder.diverge(name)
        return builder, self._blocks.copy()

    async def run(self) -> None:
        """Produce blocks on the event loop's clock until cancelled.

        A process that was stopped for a while skips the blocks of that time and keeps to its
        intervals.
        """
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self._on_demand and not self._wanted.is_set():
                await self._wanted.wait()
                due = loop.time()
            else:
                due += self._slow_interval or next(self._intervals)
            while due <= loop.time() - self.interval:
                due += self.interval
            if await self._keeps_its_pace_until(due):
                if not self.stalled:
                    self.advance()
            else:
                due = loop.time()

    async def _keeps_its_pace_until(self, moment: float) -> bool:
        """Wait until the event loop's time `moment`; False at once where `slow_down` is called."""
        try:
            async with asyncio.timeout_at(moment):
                await self._pace_changed.wait()
        except TimeoutError:
            return True
        self._pace_changed.clear()
        return False
