"""External messages: how nodes read, check and reject them.

Texts are those of validator-engine v2026.06 and v2025.10 where a recording has them, otherwise of
the node's ``validator/impl/external-message.cpp`` and ``crypto/block/transaction.cpp``.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tonwatch.simulator.chain.accounts import Accounts, SimAccount
from tonwatch.simulator.chain.messages import SimMessage, read_external
from tonwatch.ton.address import Address
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.errors import TonError

_NO_RECV_EXTERNAL: Final = 11
"""Exit code of a contract without ``recv_external``."""

_PREFIX: Final = "cannot apply external message to current state : "
_NOT_ACCEPTED: Final = f"{_PREFIX}External message was not accepted"
_NOT_RUN: Final = f"{_NOT_ACCEPTED}: cannot run message on account: "
_NOT_RUN_OLDER: Final = f"{_NOT_ACCEPTED}\nCannot run message on account: "

NOT_ACCEPTED_CODE: Final = -701


class ContractThrew(Exception):
    """The contract ended with an exit code before it accepted the message."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exit code {code}")


class Rejected(Exception):
    """A node rejects an external message; the text is the node's.

    Args:
        text: of nodes from May 2026 on.
        code: theirs; that of older ones is 0.
        older_text: of older ones; None for the same.
    """

    def __init__(self, text: str, *, code: int = 0, older_text: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.older_text = text if older_text is None else older_text


Accept = Callable[[SimAccount, Cell, int], object]
"""A contract's own checks: the account, the body, Unix seconds; may raise `ContractThrew`."""


def read(boc: bytes) -> tuple[Cell, SimMessage]:
    """The root cell of an external message, and the message.

    Raises:
        Rejected: it is none.
    """
    try:
        root = read_one(boc)
    except TonError:
        detail = "cannot deserialize bag-of-cells: invalid header, error 0"
        raise _not_read(detail) from None
    try:
        destination, body = read_external(root)
    except TonError:
        raise _not_read("cannot unpack external message header") from None
    return root, SimMessage(source=None, destination=destination, body=body)


def check(
    accounts: Accounts, message: SimMessage, now: int, accepts: Mapping[Address, Accept]
) -> None:
    """Do nothing if the contract accepts the message.

    Args:
        accounts: as the node has them.
        message: the message.
        now: Unix seconds.
        accepts: the checks of the contracts that accept external messages.

    Raises:
        Rejected: it does not accept the message, or there is no such contract.
    """
    account = accounts.get(message.destination)
    if account is None:
        raise Rejected(f"{_PREFIX}Failed to unpack account state")
    by = f"inbound external message rejected by transaction {_name(message)}:\n"
    if account.status is not AccountStatus.ACTIVE:
        raise _not_run(f"{by}exitcode=0, steps=0, gas_used=0")
    accept = accepts.get(message.destination)
    try:
        if accept is None:
            raise ContractThrew(_NO_RECV_EXTERNAL)
        accept(account, message.body, now)
    except ContractThrew as thrown:
        raise _not_run(f"{by}{_log(thrown.code)}") from None


def duplicate() -> Rejected:
    """The error of a message that was accepted before."""
    return Rejected(
        "cannot send external message : duplicate message",
        older_text=f"{_PREFIX}duplicate message",
    )


def rejected_by_config() -> Rejected:
    """The error of one release of 2026 for every message."""
    return Rejected(f"{_PREFIX}configuration parameter 43 is invalid")


def not_executed(boc: bytes) -> Rejected:
    """The error of a message whose contract was not run."""
    try:
        _, message = read(boc)
    except Rejected as unreadable:
        return unreadable
    by = f"inbound external message rejected by account {_name(message)}"
    return _not_run(f"{by} before smart-contract execution")


def _not_read(detail: str) -> Rejected:
    older = f"{_PREFIX}failed to parse external message: {detail}"
    return Rejected(_PREFIX + detail, older_text=older)


def _not_run(detail: str) -> Rejected:
    older = _NOT_RUN_OLDER + detail
    return Rejected(_NOT_RUN + detail, code=NOT_ACCEPTED_CODE, older_text=older)


def _name(message: SimMessage) -> str:
    return message.destination.hash.hex().upper()


def _log(code: int) -> str:
    """The end of TVM's log."""
    return (
        f"exitcode={code}, steps=26, gas_used=0\nVM Log (truncated):\n"
        f"...ecute LDU 32\nexecute LDU 256\nexecute ENDS\nexecute XCPU s1,s2\nexecute EQUAL\n"
        f"execute THROWIFNOT {code}\ndefault exception handler, terminating vm with exit code"
        f" {code}\n"
    )
