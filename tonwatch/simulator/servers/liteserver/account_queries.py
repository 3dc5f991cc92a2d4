"""The liteserver's answers about accounts: states, transactions, get methods, messages.

Texts and codes are those of validator-engine v2026.06 where a recording has them, otherwise of
the node's ``validator/impl/liteserver.cpp``.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tonwatch.simulator.chain import external_messages, merkle
from tonwatch.simulator.chain.accounts import SimAccount
from tonwatch.simulator.chain.archive import SimTransaction
from tonwatch.simulator.chain.block_layout import BASECHAIN, MASTERCHAIN
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.chain.external_messages import Rejected
from tonwatch.simulator.servers.liteserver.node_state import (
    Answer,
    LiteError,
    NodeState,
    in_workchain,
)
from tonwatch.simulator.servers.node_errors import FAILURE, out_of_sync
from tonwatch.ton.address import Address
from tonwatch.ton.cells import cell as cells
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.stack import read_stack
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import TonError
from tonwatch.ton.liteserver.tl import Fields

MOST_TRANSACTIONS: Final = 16
"""Transactions of one answer."""

_BALANCE_ERROR: Final = 10**12
"""Nanocoins that `Fault.FALSE_BALANCE` adds to each balance."""

_PROOFS, _STATE_PROOF, _RESULT = 1, 2, 4
"""Bits of the mode of runSmcMethod: the parts of the answer."""


def _get_account_state(node: NodeState, arguments: Fields) -> Answer:
    master, block, address = _block_and_address(node, arguments)
    account = _account(node, block, address)
    return "accountState", {
        "id": master.id.tl(),
        "shardblk": block.id.tl(),
        **_proofs(node, master, block, address),
        "state": cells.boc(account.cell) if account is not None else b"",
    }


def _run_method(node: NodeState, arguments: Fields) -> Answer:
    master, block, address = _block_and_address(node, arguments)
    mode = arguments["mode"]
    if mode & ~(_PROOFS | _STATE_PROOF | _RESULT):
        raise LiteError(FAILURE, "unsupported mode in runSmcMethod")
    try:
        stack = read_stack(read_one(arguments["params"])) if arguments["params"] else ()
    except TonError as error:
        raise LiteError(FAILURE, f"cannot deserialize parameter list: {error.detail}") from None
    account = _account(node, block, address)
    world = node.view.chain.world
    given = [value for value in stack if value is not None]
    answer = world.run_method_id(account, arguments["method_id"], given)
    fields: dict[str, Any] = {
        "mode": mode,
        "id": master.id.tl(),
        "shardblk": block.id.tl(),
        "exit_code": answer.exit_code,
    }
    if mode & _PROOFS:
        fields |= _proofs(node, master, block, address)
    if mode & _STATE_PROOF:
        state = cells.boc(merkle.merkle_proof(account.cell, merkle.ALL)) if account else b""
        fields["state_proof"] = state
    if mode & _RESULT:
        fields["result"] = cells.boc(answer.stack_cell())
    return "runMethodResult", fields


def _get_transactions(node: NodeState, arguments: Fields) -> Answer:
    node.check_accounts()
    account = arguments["account"]
    address = Address(account["workchain"], bytes.fromhex(account["id"]))
    last = TransactionId(arguments["lt"], bytes.fromhex(arguments["hash"]))
    world, shard_client = node.view.chain.world, node.view.shard_client
    failed = (
        "cannot compute block with specified transaction: cannot find block "
        f"({address.workchain},{address.hash[:8].hex()}) lt={last.lt}"
    )
    count = min(arguments["count"], MOST_TRANSACTIONS)
    try:
        found = world.transactions(address, last, count)
    except KeyError:
        found = []
    except ValueError as error:
        raise LiteError(FAILURE, str(error)) from None
    # Also of a time that no node has reached.
    if last.lt >= in_workchain(shard_client, BASECHAIN).header.end_lt:
        raise LiteError(FAILURE, f"{failed}: ltdb: block not found{out_of_sync(node.view)}")
    found = [transaction for transaction in found if _is_kept(node, transaction)]
    if not found:
        # The error of a pruned node: it looks into the oldest block that it has.
        text = "cannot locate transaction in block with specified logical time"
        raise LiteError(FAILURE, text)
    return "transactionList", {
        "ids": [transaction.block.tl() for transaction in found],
        "transactions": cells.boc(*(transaction.cell for transaction in found)),
    }


def _send_message(node: NodeState, arguments: Fields) -> Answer:
    accounts = in_workchain(node.view.shard_client, BASECHAIN).accounts
    try:
        if node.rejects_externals:
            raise external_messages.rejected_by_config()
        if node.undecided_externals:
            raise external_messages.not_executed(arguments["body"])
        node.view.chain.world.add_external_message(accounts, arguments["body"], node.now)
    except Rejected as rejected:
        if node.legacy:
            raise LiteError(0, rejected.older_text) from None
        raise LiteError(rejected.code, str(rejected)) from None
    return "sendMsgStatus", {"status": 1}


ANSWERS: Final[dict[str, Callable[[NodeState, Fields], Answer]]] = {
    "getAccountState": _get_account_state,
    "runSmcMethod": _run_method,
    "getTransactions": _get_transactions,
    "sendMessage": _send_message,
}


def _block_and_address(node: NodeState, arguments: Fields) -> tuple[Block, Block, Address]:
    """The masterchain block of a query, the block whose state has the account, its address."""
    node.check_accounts()
    master = node.load(arguments["id"])
    account = arguments["account"]
    workchain = account["workchain"]
    if master.shard is None or workchain not in (MASTERCHAIN, BASECHAIN):
        raise LiteError(FAILURE, "cannot get the account's state at this block")
    address = Address(workchain, bytes.fromhex(account["id"]))
    if workchain == MASTERCHAIN:
        return master, master, address
    if master.shard.seqno > node.view.shard_client.seqno:
        raise node.lacks(master.shard.id)
    return master, master.shard, address


def _account(node: NodeState, block: Block, address: Address) -> SimAccount | None:
    """The account as this node returns it."""
    account = block.accounts.get(address)
    if account is not None and node.false_balances:
        return replace(account, balance=account.balance + _BALANCE_ERROR)
    return account


def _proofs(node: NodeState, master: Block, block: Block, address: Address) -> dict[str, bytes]:
    shard_proof = node.proven(master).shard_proof if block is not master else b""
    return {"shard_proof": shard_proof, "proof": node.proven(block).account_proof(address)}


def _is_kept(node: NodeState, transaction: SimTransaction) -> bool:
    return node.history is None or transaction.time >= node.now - node.history
