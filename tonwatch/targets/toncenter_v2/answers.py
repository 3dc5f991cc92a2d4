"""Answers of toncenter's API v2 about accounts, parsed from untrusted JSON.

Both of its servers forward tonlib's answers, with small differences: numbers come as text or as
integers, and an account that does not exist has a balance of 0 in one and of -1 in the other.

Sources: ``ton-http-api`` with ``pytonlib`` and ``tvm_valuetypes``; ``ton-http-api-cpp``.
"""

import base64
import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    FailFast,
    Field,
    RootModel,
)

from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.cells.stack import MAX_DEPTH
from tonwatch.ton.contracts.accounts import (
    MAX_STATE_CELLS,
    Account,
    AccountAt,
    AccountStatus,
    MethodResult,
)
from tonwatch.ton.contracts.transactions import Transaction, TransactionId, parse_transaction
from tonwatch.ton.errors import BadAnswer, ProofInvalid

_PIECE: Final = 1 << 18
"""Characters of base64 that are decoded at once: for longer the interpreter's lock is held."""

_MAX_CURRENCIES: Final = 256

_NOT_THERE: Final = -1
"""The balance that tonlib gives to an account that does not exist."""

MAX_TRANSACTIONS: Final = 100
"""The servers' maximum in one answer."""

_NUMBER: Final = re.compile(r"(-?)(?:0x([0-9a-f]{1,64})|([0-9]{1,78}))", re.IGNORECASE)
_WHOLE: Final = re.compile(r"-?[0-9]{1,40}")


def _hash_size(value: bytes) -> bytes:
    if len(value) != 32:
        raise ValueError(f"a hash of {len(value)} bytes")
    return value


def _whole(value: object) -> int:
    """An integer, or the decimal text of one: no float, however whole, and no boolean."""
    if type(value) is int:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise ValueError(f"not a whole number but {type(value).__name__}")


def _base64(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"not base64 but {type(value).__name__}")  # noqa: TRY004
    pieces = (value[at : at + _PIECE] for at in range(0, len(value), _PIECE))
    return b"".join(base64.b64decode(piece, validate=True) for piece in pieces)


Hash = Annotated[Base64Bytes, AfterValidator(_hash_size)]

Uint32 = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=1 << 32)]
"""As wide as on the chain: JSON numbers are unbounded."""

Seqno = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=1 << 31)]
"""As wide as in the liteserver protocol."""

_Balance = Annotated[int, BeforeValidator(_whole), Field(ge=_NOT_THERE, lt=1 << 120)]
_LogicalTime = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=1 << 64)]
_ExitCode = Annotated[int, BeforeValidator(_whole), Field(ge=-(1 << 31), lt=1 << 31)]
_Bytes = Annotated[bytes, BeforeValidator(_base64)]


class BlockId(BaseModel):
    """``ton.blockIdExt`` of a masterchain block as JSON: hashes are base64."""

    workchain: Literal[-1]
    seqno: Seqno
    root_hash: Hash


class TransactionName(BaseModel):
    """``internal.transactionId``; without a transaction `lt` is 0 and `hash` is meaningless."""

    lt: _LogicalTime
    hash: _Bytes

    def read(self, field: str) -> TransactionId | None:
        if not self.lt:
            return None
        if len(self.hash) != 32:
            raise BadAnswer(f"{field}: a hash of {len(self.hash)} bytes")
        return TransactionId(self.lt, self.hash)


class ExtraCurrency(BaseModel):
    """``extraCurrency``: an amount in smallest units."""

    id: Annotated[int, BeforeValidator(_whole), Field(ge=-(1 << 31), lt=1 << 32)]
    amount: Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=1 << 248)]


class AddressInformation(BaseModel):
    """``raw.fullAccountState`` with a `state`.

    `block_id` is the masterchain block that it was read at, in every workchain; `sync_utime` is
    the `gen_utime` of the account's own shard block, Unix seconds. Older servers have no
    `extra_currencies`.
    """

    balance: _Balance
    extra_currencies: Annotated[list[ExtraCurrency], Field(max_length=_MAX_CURRENCIES)] | None = (
        None
    )
    state: Literal["uninitialized", "active", "frozen"]
    code: _Bytes
    data: _Bytes
    last_transaction_id: TransactionName
    block_id: BlockId
    sync_utime: Uint32

    def read(self, address: Address, seqno: int | None) -> AccountAt:
        """The account at `address`, requested at block `seqno`, or at the last.

        Raises:
            BadAnswer: it contradicts itself or the request; the text begins with the field.
        """
        if seqno is not None and self.block_id.seqno != seqno:
            raise BadAnswer(f"block_id: asked for block {seqno}, got block {self.block_id.seqno}")
        last = self.last_transaction_id.read("last_transaction_id")
        status = AccountStatus(self.state)
        if status is AccountStatus.UNINITIALIZED and self.balance <= 0 and last is None:
            status = AccountStatus.MISSING
        elif self.balance < 0:
            raise BadAnswer(f"balance: {self.balance} nanocoins of an account that exists")
        active = status is AccountStatus.ACTIVE
        if active != bool(self.code):
            raise BadAnswer(f"code: {len(self.code)} bytes where the account is {self.state}")
        account = Account(
            address=address,
            status=status,
            balance=max(self.balance, 0),
            currencies=self._currencies(),
            last=last,
            code_hash=_cell("code", self.code).hash if active else None,
            # A contract without data is unusual and allowed.
            data=_cell("data", self.data) if active and self.data else None,
        )
        time = self.sync_utime or None
        return AccountAt(account=account, seqno=self.block_id.seqno, time=time, proven=False)

    def _currencies(self) -> dict[int, int] | None:
        if self.extra_currencies is None:
            return None
        # tonlib's ids are signed.
        return {each.id & 0xFFFFFFFF: each.amount for each in self.extra_currencies}


class TransactionItem(BaseModel):
    """``raw.transaction``; all its other fields are derived from `data`."""

    transaction_id: TransactionName
    data: _Bytes


# Stop at the first failure: validating a list of garbage costs seconds.
_Items = Annotated[list[TransactionItem], FailFast(), Field(max_length=MAX_TRANSACTIONS)]


class Transactions(RootModel[_Items]):
    """The answer to ``getTransactions``, the newest first."""

    def read(self, address: Address, last: TransactionId, count: int) -> list[Transaction]:
        """The transactions of `address` from `last` backwards, at least one.

        Raises:
            BadAnswer: more than `count`, or none, or not transactions at all.
            ProofInvalid: a transaction is not the one that was requested, or that its
                successor links to, by its hash.
        """
        if not 1 <= len(self.root) <= count:
            raise BadAnswer(f"asked for up to {count} transactions, got {len(self.root)}")
        expected: TransactionId | None = last
        found = []
        for index, item in enumerate(self.root):
            transaction = parse_transaction(_cell(f"{index}.data", item.data))
            claimed = item.transaction_id.read(f"{index}.transaction_id")
            if transaction.account != address.hash:
                raise ProofInvalid(f"transaction {index} is another account's")
            if not expected == transaction.id == claimed:
                raise ProofInvalid(f"transaction {index} is not the one that was asked for")
            expected = transaction.previous
            found.append(transaction)
        return found


class RunResult(BaseModel):
    """``smc.runResult`` with the stack in the API's older notation: pairs of type and value."""

    exit_code: _ExitCode
    stack: Annotated[list[Any], Field(max_length=MAX_DEPTH)]

    def read(self) -> MethodResult:
        """Numbers and cells; slices are cells here too, and all else is None.

        Raises:
            BadAnswer: the text begins with the entry, as ``stack.0``.
        """
        entries = (_entry(f"stack.{index}", entry) for index, entry in enumerate(self.stack))
        return MethodResult(self.exit_code, tuple(entries))


class Accepted(BaseModel):
    """``ok``, or the message's hashes: the C++ server can answer either."""


def _entry(field: str, entry: object) -> int | Cell | None:
    if not isinstance(entry, list) or len(entry) != 2:
        raise BadAnswer(f"{field}: not a pair of type and value")
    kind, value = entry
    if not isinstance(kind, str):
        raise BadAnswer(f"{field}: a value whose type is not a string")
    if kind == "num":
        return _number(field, value)
    if kind in {"cell", "slice"}:
        return _stack_cell(field, value)
    return None


def _number(field: str, value: object) -> int:
    """Hexadecimal with its sign in front of ``0x``, or decimal; as wide as TVM's integers."""
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise BadAnswer(f"{field}: not a number")
    sign, hexadecimal, decimal = found.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    number = -number if sign else number
    if not -(1 << 256) <= number < 1 << 256:
        raise BadAnswer(f"{field}: a number of more than 257 bits")
    return number


def _stack_cell(field: str, value: object) -> Cell:
    try:
        data = _base64(value.get("bytes") if isinstance(value, dict) else value)
    except ValueError:
        raise BadAnswer(f"{field}: no cell in base64") from None
    return _cell(field, data)


def _cell(field: str, data: bytes) -> Cell:
    try:
        return read_one(data, max_cells=MAX_STATE_CELLS)
    except (BadAnswer, ProofInvalid) as error:
        raise BadAnswer(f"{field}: {error.detail}") from None


def encoded(data: bytes) -> str:
    """Base64 as the API uses it."""
    return base64.b64encode(data).decode()
