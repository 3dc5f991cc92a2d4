"""A node's view of the chain: its head and its shard client."""

from typing import NamedTuple

from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.chain.chain import BlockHistory


class View(NamedTuple):
    """A node's view of a chain.

    Attributes:
        chain: the chain, or the fork of it, that the node follows.
        head: its newest masterchain block.
        shard_client: the masterchain block whose shards it has.
    """

    chain: BlockHistory
    head: Block
    shard_client: Block

    def find(self, seqno: int) -> Block | None:
        """The masterchain block `seqno` if the node has it."""
        for own in (self.head, self.shard_client):
            # A stalled node keeps its block longer than the chain.
            if own.seqno == seqno:
                return own
        return self.chain.block(seqno) if seqno < self.head.seqno else None

    def back(self, blocks: int) -> "View":
        """The view of a node that many blocks behind this one."""
        head = self.chain.block(self.head.seqno - blocks) or self.chain.oldest
        return View(self.chain, head, min(head, self.shard_client, key=lambda block: block.seqno))
