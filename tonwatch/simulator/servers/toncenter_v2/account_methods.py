"""The provider's methods for accounts, with shapes and texts of ``ton-http-api``.

As there, a missing account has an integer as balance, slices are returned as cells, and a request
for transactions of which some are pruned is refused as a whole.
"""

from typing import Final

from tonwatch.simulator.chain import external_messages
from tonwatch.simulator.chain.accounts import SimAccount
from tonwatch.simulator.chain.archive import SimTransaction
from tonwatch.simulator.chain.block_layout import MASTERCHAIN, WHOLE_SHARD
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.chain.external_messages import Rejected
from tonwatch.simulator.servers import node_errors
from tonwatch.simulator.servers.toncenter_v2.formats import (
    Json,
    Parameters,
    ProviderState,
    address,
    base64_bytes,
    base64_text,
    block_id,
    error_response,
    find_block,
    flag,
    hash_from_text,
    integer,
    liteserver_error,
    optional_integer,
    text,
    transaction_id,
)
from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, Slice, boc
from tonwatch.ton.cells.dictionary import items
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.contracts.transactions import Message, TransactionId, parse_transaction
from tonwatch.ton.errors import TonError

BALANCE_ERROR: Final = 7_000_000_000
"""Nanocoins that `Fault.FALSE_BALANCE` adds to each balance."""

_GAS: Final = 1000
_NO_CONTRACT: Final = -13
"""The exit code of a get-method where there is no contract."""

_MAX_CURRENCIES: Final = 256

_STATES: Final = {
    AccountStatus.ACTIVE: "active",
    AccountStatus.FROZEN: "frozen",
}


def get_address_information(state: ProviderState, parameters: Parameters) -> Json:
    owner = address(parameters)
    block = _block(state, parameters)
    account = _account(block, owner)
    balance: int | str = 0
    if account is not None and account.status is not AccountStatus.MISSING:
        balance = str(account.balance + (BALANCE_ERROR if state.false_balances else 0))
    frozen = account is not None and account.status is AccountStatus.FROZEN
    return {
        "@type": "raw.fullAccountState",
        "balance": balance,
        "extra_currencies": _currencies(account),
        "code": _bag(account.code if account else None),
        "data": _bag(account.data if account else None),
        "last_transaction_id": transaction_id(account.last if account else None),
        "block_id": block_id(block.id),
        "frozen_hash": base64_text(account.frozen_hash) if account and frozen else "",
        "sync_utime": _shard(block).gen_utime + state.time_error,
        "state": _STATES.get(account.status, "uninitialized") if account else "uninitialized",
    }


def _currencies(account: SimAccount | None) -> list[Json]:
    if account is None or account.currencies is None:
        return []
    # tonlib's ids are signed.
    return [
        {"@type": "extraCurrency", "id": id_ - (id_ >> 31 << 32), "amount": str(value.variable(5))}
        for id_, value in items(account.currencies, 32, _MAX_CURRENCIES)
    ]


def get_transactions(state: ProviderState, parameters: Parameters) -> list[Json]:
    owner = address(parameters)
    limit = integer({"limit": 10} | dict(parameters), "limit")
    if not 1 <= limit <= 100:
        raise error_response(422, "Validation error: limit: must be from 1 to 100")
    _check_accounts(state)
    last = _last_transaction(state, parameters, owner)
    down_to = optional_integer(parameters, "to_lt") or 0
    flag(parameters, "archival")  # read as a server does, and ignored: there are no archive nodes
    if last is None:
        return []
    answer: list[Json] = []
    for transaction in _history(state, owner, last, limit):
        if transaction.id.lt <= down_to:
            return answer
        if _is_missing(state, transaction):
            # Servers read one chunk after the other; the first error ends the request.
            raise _pruned(owner, transaction.id.lt)
        answer.append(_transaction(owner, transaction))
        last = transaction.previous
    if last is not None and len(answer) < limit:
        raise _pruned(owner, last.lt)
    return answer


def run_get_method(state: ProviderState, parameters: Parameters) -> Json:
    owner, method = address(parameters), parameters.get("method")
    stack = parameters.get("stack")
    if not isinstance(method, str) or not isinstance(stack, list):
        raise error_response(422, "Validation error: method, stack: field required")
    arguments = [_argument(entry) for entry in stack]
    block = _block(state, parameters)
    account = _account(block, owner)
    exit_code: int = _NO_CONTRACT
    results: tuple[int | Cell | None, ...] = ()
    if account is not None and account.status is AccountStatus.ACTIVE:
        world = state.view.chain.world
        exit_code, results = world.run_method(_shard(block).accounts, owner, method, arguments)
    return {
        "@type": "smc.runResult",
        "gas_used": _GAS if account else 0,
        "stack": [_result(value) for value in results],
        "exit_code": exit_code,
        "block_id": block_id(block.id),
        "last_transaction_id": transaction_id(account.last if account else None),
    }


def send_boc(state: ProviderState, parameters: Parameters) -> Json:
    message = base64_bytes(text(parameters, "boc"))
    world, accounts = state.view.chain.world, _shard(state.view.shard_client).accounts
    try:
        if state.rejects_externals:
            raise external_messages.rejected_by_config()
        if state.undecided_externals:
            raise external_messages.not_executed(message)
        world.add_external_message(accounts, message, state.now)
    except Rejected as rejected:
        raise liteserver_error(str(rejected), rejected.code) from None
    return {"@type": "ok"}


def _block(state: ProviderState, parameters: Parameters) -> Block:
    """The masterchain block of the request, or the last whose accounts are there."""
    _check_accounts(state)
    seqno = optional_integer(parameters, "seqno")
    if seqno is None:
        return state.view.shard_client
    block = find_block(state.view, MASTERCHAIN, WHOLE_SHARD, seqno)
    if seqno > state.view.shard_client.seqno:
        text_ = node_errors.not_in_db(state.view, _shard(block).id)
        raise liteserver_error(text_, node_errors.NOT_READY)
    return block


def _check_accounts(state: ProviderState) -> None:
    code = state.accounts_code
    if code is not None:
        raise liteserver_error(node_errors.accounts_failed(code, state.view), code)


def _shard(block: Block) -> Block:
    if block.shard is None:
        raise TypeError("a block of the basechain where one of the masterchain is needed")
    return block.shard


def _account(block: Block, owner: Address) -> SimAccount | None:
    return _shard(block).accounts.get(owner)


# Transactions.


def _last_transaction(
    state: ProviderState, parameters: Parameters, owner: Address
) -> TransactionId | None:
    """The transaction to begin with: the account's last one by default."""
    lt, hash_ = optional_integer(parameters, "lt"), parameters.get("hash")
    if lt is None or not hash_:
        account = _account(state.view.shard_client, owner)
        return account.last if account is not None else None
    return TransactionId(lt, hash_from_text(str(hash_)))


def _history(
    state: ProviderState, owner: Address, last: TransactionId, limit: int
) -> list[SimTransaction]:
    try:
        return state.view.chain.world.transactions(owner, last, limit)
    except KeyError:
        text_ = "cannot locate transaction in block with specified logical time"
        raise liteserver_error(text_) from None
    except ValueError:
        raise liteserver_error("transaction hash mismatch") from None


def _is_missing(state: ProviderState, transaction: SimTransaction) -> bool:
    """Whether it is pruned, or newer than the provider's view."""
    if transaction.block.seqno > _shard(state.view.shard_client).seqno:
        return True
    return state.history is not None and transaction.time < state.now - state.history


def _pruned(owner: Address, lt: int) -> Exception:
    return liteserver_error(
        "cannot compute block with specified transaction: cannot find block "
        f"({owner.workchain},{owner.hash[:8].hex()}) lt={lt}: lt not in db"
    )


def _transaction(owner: Address, transaction: SimTransaction) -> Json:
    read = parse_transaction(transaction.cell)
    answer = {
        "@type": "raw.transaction",
        "address": {"@type": "accountAddress", "account_address": owner.friendly()},
        "utime": read.time,
        "data": _bag(transaction.cell),
        "transaction_id": transaction_id(read.id),
        "fee": str(read.fees),
        "storage_fee": "0",
        "other_fee": str(read.fees),
        "out_msgs": [_message(message) for message in read.messages_out],
    }
    if read.message_in is not None:
        answer["in_msg"] = _message(read.message_in)
    return answer


def _message(message: Message) -> Json:
    return {
        "@type": "raw.message",
        "source": message.source.friendly() if message.source else "",
        "destination": message.destination.friendly() if message.destination else "",
        "value": str(message.value),
        "extra_currencies": [],
        "fwd_fee": str(message.forward_fee),
        "ihr_fee": "0",
        "body_hash": base64_text(message.body.hash),
        "msg_data": {"@type": "msg.dataRaw", "body": _bag(message.body), "init_state": ""},
    }


# Stacks and cells.


def _argument(entry: object) -> int | Cell:
    """Read a stack entry as ``tvm_valuetypes`` does."""
    match entry:
        case ["num" | "number" | "int", str() | int() as value]:
            try:
                return int(str(value), 0)
            except ValueError:
                raise error_response(
                    503, f"invalid literal for int() with base 0: {value!r}"
                ) from None
        case ["tvm.Slice" | "tvm.Cell", str() as value]:
            try:
                return read_one(base64_bytes(value))
            except TonError as error:
                raise error_response(500, f"Invalid bag of cells: {error.detail}") from None
    # The real server reads cells as objects too; tonwatch does not send them.
    raise error_response(503, "")


def _result(value: int | Cell | None) -> list[object]:
    if isinstance(value, Cell):
        return ["cell", {"bytes": _bag(value), "object": _as_object(value)}]
    if value is None:
        return ["list", {"@type": "tvm.list", "elements": []}]
    return ["num", hex(value)]


def _as_object(root: Cell) -> Json:
    source = Slice(root)
    length = source.left
    padding = -length % 8
    data = (source.uint(length) << padding).to_bytes((length + padding) // 8, "big")
    return {
        "data": {"b64": base64_text(data), "len": length},
        "refs": [_as_object(ref) for ref in root.refs],
        "special": False,
    }


def _bag(root: Cell | None) -> str:
    return base64_text(boc(root)) if root is not None else ""
