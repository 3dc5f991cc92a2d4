"""The state of a node on which its answers depend: its view of the chain and its faults.

Texts and codes are those of validator-engine v2026.06 where a recording has them, otherwise of
the node's ``validator/impl/liteserver.cpp``.
"""

from typing import Any, Final, NamedTuple

from tonwatch.simulator.chain.block_layout import BASECHAIN, WHOLE_SHARD, BlockId
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.servers import node_errors
from tonwatch.simulator.servers.view import View
from tonwatch.ton.adnl import wire
from tonwatch.ton.liteserver.tl import Fields

RATE_LIMITED: Final = 429
"""The code of a proxy in front of a node; nodes have no rate limit."""

USUAL_QUEUE: Final = 12
"""Messages in the outbound queue of a healthy shard."""

_ERROR: Final = bytes.fromhex("48e1a9bb")

Answer = tuple[str, dict[str, Any]]
"""A constructor without ``liteServer.`` and its fields."""


class LiteError(Exception):
    """Is answered as ``liteServer.error``."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)

    def encode(self) -> bytes:
        # pytoniq's TL writer leaves `string` fields out.
        text = wire.tl_bytes(str(self).encode())
        return _ERROR + self.code.to_bytes(4, "little", signed=True) + text


class NodeState(NamedTuple):
    """The state of a node when it answers.

    Attributes:
        view: its view of the chain.
        now: its clock, Unix seconds.
        legacy: it is older than May 2026.
        bad_proofs: its proofs belong to other blocks.
        false_balances: it changes balances of accounts.
        history: seconds for which it keeps transactions; None for no limit.
        rejects_externals: it rejects all external messages.
        undecided_externals: it rejects all of them before their contracts run.
        accounts_code: the code with which queries of accounts fail; None where they do not.
        time_error: seconds by which the block times that it reports are later than they are.
        out_queue: messages in the outbound queue of the basechain.
    """

    view: View
    now: float
    legacy: bool = False
    bad_proofs: bool = False
    false_balances: bool = False
    history: float | None = None
    rejects_externals: bool = False
    undecided_externals: bool = False
    accounts_code: int | None = None
    time_error: int = 0
    out_queue: int = USUAL_QUEUE

    def proven(self, block: Block) -> Block:
        """The block whose proof is sent with `block`."""
        if not self.bad_proofs:
            return block
        before = self.view.find(block.seqno - 1)
        if before is not None:
            return in_workchain(before, block.id.workchain)
        return block.shard or self.view.head

    def load(self, wanted: Fields) -> Block:
        """The block with this id.

        Raises:
            LiteError: this node does not have it.
        """
        workchain, seqno = wanted["workchain"], wanted["seqno"]
        found = self.view.find(seqno)
        block_id = BlockId(
            workchain, seqno, bytes.fromhex(wanted["root_hash"]), bytes.fromhex(wanted["file_hash"])
        )
        if block_id == self.view.chain.zerostate:
            raise LiteError(node_errors.NOT_READY, f"cannot load block {block_id} : not in db")
        if found is not None and wanted["shard"] == WHOLE_SHARD:
            block = in_workchain(found, workchain)
            applied = block is found or seqno <= self.view.shard_client.seqno
            if applied and block.id == block_id:
                return block
        raise self.lacks(block_id)

    def lacks(self, block_id: BlockId) -> LiteError:
        """The error for a block that this node does not have."""
        return LiteError(
            node_errors.NOT_READY, node_errors.not_in_db(self.view, block_id, legacy=self.legacy)
        )

    def check_accounts(self) -> None:
        """Do nothing where queries of accounts are answered.

        Raises:
            LiteError: they fail.
        """
        if self.accounts_code is not None:
            text = node_errors.accounts_failed(self.accounts_code, self.view)
            raise LiteError(self.accounts_code, text)


def in_workchain(master: Block, workchain: int) -> Block:
    return master.shard if workchain == BASECHAIN and master.shard is not None else master
