"""What nodes say about accounts and blocks that they cannot serve; providers forward it.

Texts and codes are those of validator-engine v2026.06 where a recording has them, otherwise of
the node's ``validator/impl/liteserver.cpp``.
"""

from typing import Final

from tonwatch.simulator.chain.block_layout import MASTERCHAIN, BlockId
from tonwatch.simulator.servers.view import View

FAILURE: Final = -400
SERVER_ERROR: Final = 500
"""The code of a proxy in front of a node."""
NOT_READY: Final = 651
TIMEOUT: Final = 652

_FAILURES: Final = {
    FAILURE: "cannot unpack state header",
    SERVER_ERROR: "internal server error",
    TIMEOUT: "timeout",
}


def accounts_failed(code: int, view: View) -> str:
    """The text of an answer that has this code in place of an account.

    Args:
        code: one of those that `Fault.ACCOUNTS_FAIL` takes.
        view: the node's, which code 651 tells of.
    """
    block = view.shard_client.shard or view.shard_client
    return _FAILURES[code] if code in _FAILURES else not_in_db(view, block.id)


def not_in_db(view: View, block_id: BlockId, *, legacy: bool = False) -> str:
    """The text for a block that the node does not have.

    Args:
        view: the node's.
        block_id: of the block.
        legacy: the node is older than May 2026.
    """
    missing = f"block {block_id.short} is" if legacy else "block handle"
    text = f"cannot load block {block_id} : {missing} not in db"
    if block_id.workchain != MASTERCHAIN:
        return text + out_of_sync(view)
    if block_id.seqno > view.head.seqno:
        return f"{text} (last known masterchain block: {view.head.seqno})"
    return text


def out_of_sync(view: View) -> str:
    """What a node adds where its shard client may be behind."""
    lag = f"shard_client_seqno={view.shard_client.seqno} ls_seqno={view.head.seqno}"
    return f" (possibly out of sync: {lag})"
