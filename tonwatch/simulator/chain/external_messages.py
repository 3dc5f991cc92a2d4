"""Messages from outside the chain: what a node says of those that it does not take.

Texts are those of validator-engine v2025.10 where a recording has them, otherwise of the
node's ``validator/impl/external-message.cpp`` and ``crypto/block/transaction.cpp``.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tonwatch.simulator.chain.accounts import Accounts, SimAccount
from tonwatch.simulator.chain.messages import Letter, read_external
from tonwatch.ton.accounts import AccountStatus
from tonwatch.ton.address import Address
from tonwatch.ton.boc import read_one
from tonwatch.ton.cells import Cell
from tonwatch.ton.errors import TonError

_NO_EXTERNALS: Final = 11
"""Exit code of a contract that takes no message from outside."""

_PREFIX: Final = "cannot apply external message to current state : "
REJECTED_BY_CONFIG: Final = _PREFIX + "configuration parameter 43 is invalid"
"""What nodes of a release of 2026 said of every message."""


class ContractThrew(Exception):
    """The contract ended with an exit code before it accepted the message."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exit code {code}")


class Rejected(Exception):
    """A message from outside that a node does not take; the text is the node's."""


Accept = Callable[[SimAccount, Cell, int], object]
"""A contract's own checks: the account, the body, Unix seconds; may raise `ContractThrew`."""


def read(message: bytes) -> tuple[Cell, Letter]:
    """The message's own cell, and what is in it.

    Raises:
        Rejected: it is none.
    """
    failed = f"{_PREFIX}failed to parse external message"
    try:
        root = read_one(message)
    except TonError:
        detail = "cannot deserialize bag-of-cells: invalid header, error 0"
        raise Rejected(f"{failed}: {detail}") from None
    try:
        destination, body = read_external(root)
    except TonError:
        raise Rejected(f"{failed}: cannot unpack external message header") from None
    return root, Letter(source=None, destination=destination, body=body)


def check(accounts: Accounts, letter: Letter, now: int, accepts: Mapping[Address, Accept]) -> None:
    """Do nothing if the account takes the message.

    Args:
        accounts: as the node has them.
        letter: the message.
        now: Unix seconds.
        accepts: the checks of contracts that take messages at all.

    Raises:
        Rejected: it does not.
    """
    account = accounts.get(letter.destination)
    if account is None:
        raise Rejected(f"{_PREFIX}Failed to unpack account state")
    name = letter.destination.hash.hex().upper()
    not_run = (
        f"{_PREFIX}External message was not accepted\nCannot run message on account: "
        f"inbound external message rejected by transaction {name}:\n"
    )
    if account.status is not AccountStatus.ACTIVE:
        raise Rejected(f"{not_run}exitcode=0, steps=0, gas_used=0")
    accept = accepts.get(letter.destination)
    try:
        if accept is None:
            raise ContractThrew(_NO_EXTERNALS)
        accept(account, letter.body, now)
    except ContractThrew as thrown:
        raise Rejected(f"{not_run}{_log(thrown.code)}") from None


def duplicate() -> Rejected:
    """Of a message that was taken before."""
    return Rejected(f"{_PREFIX}duplicate message")


def _log(code: int) -> str:
    """The end of a virtual machine's log."""
    return (
        f"exitcode={code}, steps=26, gas_used=0\nVM Log (truncated):\n"
        f"...ecute LDU 32\nexecute LDU 256\nexecute ENDS\nexecute XCPU s1,s2\nexecute EQUAL\n"
        f"execute THROWIFNOT {code}\ndefault exception handler, terminating vm with exit code"
        f" {code}\n"
    )
