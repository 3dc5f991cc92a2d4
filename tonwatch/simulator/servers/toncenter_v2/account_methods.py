"""The provider's answers about accounts, shaped and worded as ``ton-http-api`` has them.

Its habits are kept: a missing account has a balance that is an integer, slices come back as
cells, and a history of which a part is pruned is refused as a whole.
"""

from typing import Final

from tonwatch.simulator.chain.accounts import SimAccount
from tonwatch.simulator.chain.archive import SimTransaction
from tonwatch.simulator.chain.block_layout import MASTERCHAIN, WHOLE_SHARD
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.chain.external_messages import REJECTED_BY_CONFIG, Rejected
from tonwatch.simulator.servers.toncenter_v2.formats import (
    Json,
    Parameters,
    Service,
    address,
    block_id,
    decoded,
    encoded,
    failed,
    find_block,
    flag,
    hash_of,
    integer,
    optional_integer,
    text,
    transaction_id,
    unanswered,
)
from tonwatch.ton.accounts import AccountStatus
from tonwatch.ton.address import Address
from tonwatch.ton.boc import read_one
from tonwatch.ton.cells import Cell, Slice, boc
from tonwatch.ton.errors import TonError
from tonwatch.ton.transactions import Message, TransactionId, parse_transaction

LIE: Final = 7_000_000_000
"""Nanocoins that a lying provider adds to what an account has."""

_GAS: Final = 1000
_NO_CONTRACT: Final = -13
"""The exit code of a get-method where there is no contract."""

_STATES: Final = {
    AccountStatus.ACTIVE: "active",
    AccountStatus.FROZEN: "frozen",
}


def get_address_information(service: Service, asked: Parameters) -> Json:
    owner = address(asked)
    block = _block(service, asked)
    account = _account(block, owner)
    balance: int | str = 0
    if account is not None and account.status is not AccountStatus.MISSING:
        balance = str(account.balance + (LIE if service.lying else 0))
    frozen = account is not None and account.status is AccountStatus.FROZEN
    return {
        "@type": "raw.fullAccountState",
        "balance": balance,
        "extra_currencies": [],
        "code": _bag(account.code if account else None),
        "data": _bag(account.data if account else None),
        "last_transaction_id": transaction_id(account.last if account else None),
        "block_id": block_id(block.id),
        "frozen_hash": encoded(account.frozen_hash) if account and frozen else "",
        "sync_utime": _shard(block).gen_utime,
        "state": _STATES.get(account.status, "uninitialized") if account else "uninitialized",
    }


def get_transactions(service: Service, asked: Parameters) -> list[Json]:
    owner = address(asked)
    limit = integer({"limit": 10} | dict(asked), "limit")
    if not 1 <= limit <= 100:
        raise failed(422, "Validation error: limit: must be from 1 to 100")
    last = _first_asked(service, asked, owner)
    down_to = optional_integer(asked, "to_lt") or 0
    flag(asked, "archival")  # read as any server does; no liteserver here has more than others
    if last is None:
        return []
    answer: list[Json] = []
    for transaction in _history(service, owner, last, limit):
        if transaction.id.lt <= down_to:
            return answer
        if _unknown(service, transaction):
            # One chunk after the other is asked for, and the first that fails fails all.
            raise _pruned(owner, transaction.id.lt)
        answer.append(_transaction(owner, transaction))
        last = transaction.previous
    if last is not None and len(answer) < limit:
        raise _pruned(owner, last.lt)
    return answer


def run_get_method(service: Service, asked: Parameters) -> Json:
    owner, method = address(asked), asked.get("method")
    stack = asked.get("stack")
    if not isinstance(method, str) or not isinstance(stack, list):
        raise failed(422, "Validation error: method, stack: field required")
    arguments = [_argument(entry) for entry in stack]
    block = _block(service, asked)
    account = _account(block, owner)
    exit_code: int = _NO_CONTRACT
    results: tuple[int | Cell | None, ...] = ()
    if account is not None and account.status is AccountStatus.ACTIVE:
        world = service.view.chain.world
        exit_code, results = world.run_method(_shard(block).accounts, owner, method, arguments)
    return {
        "@type": "smc.runResult",
        "gas_used": _GAS if account else 0,
        "stack": [_result(value) for value in results],
        "exit_code": exit_code,
        "block_id": block_id(block.id),
        "last_transaction_id": transaction_id(account.last if account else None),
    }


def send_boc(service: Service, asked: Parameters) -> Json:
    message = decoded(text(asked, "boc"))
    world, accounts = service.view.chain.world, _shard(service.view.shard_client).accounts
    if service.rejecting:
        raise unanswered(REJECTED_BY_CONFIG)
    try:
        world.receive(accounts, message, service.now)
    except Rejected as rejected:
        raise unanswered(str(rejected)) from None
    return {"@type": "ok"}


def _block(service: Service, asked: Parameters) -> Block:
    """The masterchain block that is asked for, or the last."""
    seqno = optional_integer(asked, "seqno")
    if seqno is None:
        return service.view.shard_client
    return find_block(service.view, MASTERCHAIN, WHOLE_SHARD, seqno)


def _shard(block: Block) -> Block:
    if block.shard is None:
        raise TypeError("a block of the basechain where one of the masterchain is needed")
    return block.shard


def _account(block: Block, owner: Address) -> SimAccount | None:
    return _shard(block).accounts.get(owner)


# Transactions.


def _first_asked(service: Service, asked: Parameters, owner: Address) -> TransactionId | None:
    """The transaction to begin with: the account's last one unless it is named."""
    lt, hash_ = optional_integer(asked, "lt"), asked.get("hash")
    if lt is None or not hash_:
        account = _account(service.view.shard_client, owner)
        return account.last if account is not None else None
    return TransactionId(lt, hash_of(str(hash_)))


def _history(
    service: Service, owner: Address, last: TransactionId, limit: int
) -> list[SimTransaction]:
    try:
        return service.view.chain.world.transactions(owner, last, limit)
    except KeyError:
        text_ = "cannot locate transaction in block with specified logical time"
        raise unanswered(text_) from None
    except ValueError:
        raise unanswered("transaction hash mismatch") from None


def _unknown(service: Service, transaction: SimTransaction) -> bool:
    """Whether it is forgotten, or has not come yet to a provider that is behind."""
    if transaction.block.seqno > _shard(service.view.shard_client).seqno:
        return True
    return service.kept is not None and transaction.time < service.now - service.kept


def _pruned(owner: Address, lt: int) -> Exception:
    return unanswered(
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
        "body_hash": encoded(message.body.hash),
        "msg_data": {"@type": "msg.dataRaw", "body": _bag(message.body), "init_state": ""},
    }


# Stacks and cells.


def _argument(entry: object) -> int | Cell:
    """Read an entry as ``tvm_valuetypes`` does."""
    match entry:
        case ["num" | "number" | "int", str() | int() as value]:
            try:
                return int(str(value), 0)
            except ValueError:
                raise failed(503, f"invalid literal for int() with base 0: {value!r}") from None
        case ["tvm.Slice" | "tvm.Cell", str() as value]:
            try:
                return read_one(decoded(value))
            except TonError as error:
                raise failed(500, f"Invalid bag of cells: {error.detail}") from None
    # Cells as objects are read by the real server, and are asked for by nobody here.
    raise failed(503, "")


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
        "data": {"b64": encoded(data), "len": length},
        "refs": [_as_object(ref) for ref in root.refs],
        "special": False,
    }


def _bag(root: Cell | None) -> str:
    return encoded(boc(root)) if root is not None else ""
