"""Accounts: what the chain keeps of one, and what a method of its contract answers.

Source: the node's ``crypto/block/block.tlb``.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import BadAnswer, ProofInvalid


class AccountStatus(StrEnum):
    """What an account is. It need not exist to have an address, nor a contract to hold coins."""

    ACTIVE = "active"
    UNINITIALIZED = "uninitialized"
    FROZEN = "frozen"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account's state.

    Attributes:
        address: whose it is.
        status: of a missing account there is nothing else to tell.
        balance: nanocoins.
        last: its last transaction; None where it had none.
        code_hash: of its contract's code; None without a contract.
        data: the contract's own; None without a contract.
    """

    address: Address
    status: AccountStatus
    balance: int
    last: TransactionId | None
    code_hash: bytes | None
    data: Cell | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAt:
    """An account as somebody told it.

    Attributes:
        account: the account.
        seqno: of the masterchain block that it was read at; None where not told.
        time: when the block was made whose state it is, Unix seconds; None where not told.
        proven: whether a Merkle proof leads to it from the masterchain block.
    """

    account: Account
    seqno: int | None
    time: int | None
    proven: bool


class MethodResult(NamedTuple):
    """What a contract's get method answers: 0 and 1 are the exit codes of success.

    `stack` has its results, the first one first: numbers, cells, and slices as cells of
    their own. None stands for null and for what has no use here, such as tuples.
    """

    exit_code: int
    stack: tuple[int | Cell | None, ...]


def missing(address: Address) -> Account:
    """An account that the chain does not have."""
    return Account(
        address=address,
        status=AccountStatus.MISSING,
        balance=0,
        last=None,
        code_hash=None,
        data=None,
    )


def parse_account(root: Cell, address: Address, last: TransactionId | None) -> Account:
    """Read ``Account``.

    Args:
        root: its cell.
        address: whose it should be.
        last: its last transaction, which is not told here but where the account is kept.

    Raises:
        BadAnswer: it is none.
        ProofInvalid: it is another account's, or a branch that is needed is pruned.
    """
    data = Slice(root)
    if not data.bit():
        return missing(address)
    if data.address() != address:
        raise ProofInvalid("the state of another account")
    _skip_storage_info(data)
    data.uint(64)
    balance = data.currencies()
    status, code_hash, own = AccountStatus.ACTIVE, None, None
    if data.bit():
        code, own = _state_init(data)
        code_hash = code.hash if code else None
    elif data.bit():
        status = AccountStatus.FROZEN
    else:
        status = AccountStatus.UNINITIALIZED
    return Account(
        address=address, status=status, balance=balance, last=last, code_hash=code_hash, data=own
    )


def _skip_storage_info(data: Slice) -> None:
    data.uint(8 * data.uint(3))
    data.uint(8 * data.uint(3))
    # Here nodes before 2025 have a third size, which was 0 in every account: the same bits.
    extra = data.uint(3)
    if extra > 1:
        raise BadAnswer(f"an account's storage has extra information of kind {extra}")
    data.uint(256 * extra)
    data.uint(32)
    if data.bit():
        data.coins()


def _state_init(data: Slice) -> tuple[Cell | None, Cell | None]:
    """Code and data."""
    if data.bit():
        data.uint(5)
    if data.bit():
        data.uint(2)
    return data.maybe_ref(), data.maybe_ref()
