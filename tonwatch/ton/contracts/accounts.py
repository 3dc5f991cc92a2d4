"""Accounts: their state, and results of get methods.

Source: the node's ``crypto/block/block.tlb``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.cells.dictionary import items
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import BadAnswer, ProofInvalid

MAX_STATE_CELLS: Final = 1 << 16
"""Cells of an account's code, data and libraries together: ``max_acc_state_cells``, as the node's
``SizeLimitsConfig`` in ``crypto/block/mc-config.h`` has it where ConfigParam 43 sets no other. A
highload v2 wallet that remembers 3,000 queries has 6,010."""

MAX_ACCOUNT_CELLS: Final = MAX_STATE_CELLS + 1024
"""As `MAX_STATE_CELLS`, with the account's own cell and its extra currencies."""

MAX_STATE_BYTES: Final = MAX_ACCOUNT_CELLS * (2 + 128 + 4 * 3)
"""Bytes of the bag of such a state: each cell's descriptors, data and references."""


_MAX_CURRENCIES: Final = 256
"""Extra currencies of an account: each is made with the validators' consent, so there are few."""


class AccountStatus(StrEnum):
    """An account's status. An address need not have an account, nor an account a contract."""

    ACTIVE = "active"
    UNINITIALIZED = "uninitialized"
    FROZEN = "frozen"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account's state.

    Attributes:
        address: of the account.
        status: where missing, all else is 0 or None.
        balance: nanocoins.
        currencies: amounts of extra currencies that it holds, by their ids, in smallest units;
            None where not reported.
        last: its last transaction; None where it had none.
        code_hash: of its contract's code; None without a contract.
        data: of the contract; None without a contract.
    """

    address: Address
    status: AccountStatus
    balance: int
    currencies: Mapping[int, int] | None
    last: TransactionId | None
    code_hash: bytes | None
    data: Cell | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAt:
    """An account as a source reported it.

    Attributes:
        account: the account.
        seqno: of the masterchain block that it was read at; None where not reported.
        time: generation time of the block whose state it is, Unix seconds; None where not
            reported.
        proven: whether a Merkle proof leads to it from the masterchain block.
    """

    account: Account
    seqno: int | None
    time: int | None
    proven: bool


class MethodResult(NamedTuple):
    """The result of a get method; exit codes 0 and 1 are success.

    `stack` has its results in order: numbers, cells, and slices as cells of their own. None
    stands for null and for unsupported types, such as tuples.
    """

    exit_code: int
    stack: tuple[int | Cell | None, ...]


def missing(address: Address) -> Account:
    """An account that the chain does not have."""
    return Account(
        address=address,
        status=AccountStatus.MISSING,
        balance=0,
        currencies={},
        last=None,
        code_hash=None,
        data=None,
    )


def parse_account(root: Cell, address: Address, last: TransactionId | None) -> Account:
    """Read ``Account``.

    Args:
        root: its cell.
        address: the expected one.
        last: its last transaction, which is stored beside the account, not in it.

    Raises:
        BadAnswer: it is not an account.
        ProofInvalid: it is another account's, or a branch that is needed is pruned.
    """
    data = Slice(root)
    if not data.bit():
        return missing(address)
    if data.address() != address:
        raise ProofInvalid("the state of another account")
    _skip_storage_info(data)
    data.uint(64)
    balance, currencies = data.coins(), _currencies(data.maybe_ref())
    status, code_hash, own = AccountStatus.ACTIVE, None, None
    if data.bit():
        code, own = _state_init(data)
        code_hash = code.hash if code else None
    elif data.bit():
        status = AccountStatus.FROZEN
    else:
        status = AccountStatus.UNINITIALIZED
    return Account(
        address=address,
        status=status,
        balance=balance,
        currencies=currencies,
        last=last,
        code_hash=code_hash,
        data=own,
    )


def _currencies(root: Cell | None) -> dict[int, int]:
    """``ExtraCurrencyCollection``: amounts by ids; most accounts have none."""
    if root is None:
        return {}
    return {id_: amount.variable(5) for id_, amount in items(root, 32, _MAX_CURRENCIES)}


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
