"""Makes transactions; fields that a test does not name are those of a success."""

from typing import Any, Final

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, cell
from tonwatch.ton.contracts.transactions import Message, Transaction, TransactionId

WALLET: Final = Address(0, b"\x01" * 32)
JETTON_WALLET: Final = Address(0, b"\x02" * 32)
FRIEND: Final = Address(0, b"\x03" * 32)
COIN: Final = 10**9

TRANSFER: Final = 0x0F8A7EA5
INTERNAL_TRANSFER: Final = 0x178D4519
BURN: Final = 0x595F07BC
BURN_NOTIFICATION: Final = 0x7BDD97DE
EXCESSES: Final = 0xD53276DB


def body(operation: int, amount: int = 0, *, bounced: bool = False) -> Cell:
    """A jetton message's body, or the beginning of it in a bounce."""
    size = (amount.bit_length() + 7) // 8
    bits = f"{operation:032b}{0:064b}{size:04b}" + (f"{amount:0{8 * size}b}" if size else "")
    return cell(head="1" * 32 + bits if bounced else bits)


def message(
    value: int = 0,
    *,
    source: Address | None = FRIEND,
    destination: Address | None = WALLET,
    bounced: bool = False,
    body: Cell | None = None,
) -> Message:
    return Message(
        source=source,
        destination=destination,
        value=value,
        forward_fee=0,
        bounce=False,
        bounced=bounced,
        body=body or cell(),
    )


EXTERNAL: Final = message(source=None)


def transaction(message_in: Message | None = EXTERNAL, *out: Message, **fields: Any) -> Transaction:
    """A successful transaction."""
    values: dict[str, Any] = {
        "id": TransactionId(1000, b"\xaa" * 32),
        "previous": None,
        "account": WALLET.hash,
        "time": 1_800_000_000,
        "message_in": message_in,
        "messages_out": out,
        "fees": 0,
        "aborted": False,
        "skipped": None,
        "exit_code": 0,
        "compute_ok": True,
        "action_code": 0,
        "action_ok": True,
        "skipped_messages": 0,
    }
    return Transaction(**values | fields)


class History:
    """An account's transactions, made when they are looked at: number 0 is the first one.

    Number n receives 4**n smallest units (of many, 1): a sum tells which were counted, and how
    often. A `fork` has other transactions from a number on.
    """

    def __init__(self, *, fork: int | None = None, many: bool = False) -> None:
        self._fork = fork
        self._many = many

    def id(self, number: int) -> TransactionId:
        other = self._fork is not None and number >= self._fork
        return TransactionId(10 * (number + 1), (b"f" if other else b"t") + number.to_bytes(31))

    def number(self, at: TransactionId) -> int | None:
        """Which one this is; None for one that is not part of it."""
        number = at.lt // 10 - 1
        return number if number >= 0 and self.id(number) == at else None

    def transaction(self, number: int) -> Transaction:
        return transaction(
            message(1 if self._many else 4**number),
            id=self.id(number),
            previous=self.id(number - 1) if number else None,
            time=10 * (number + 1),
        )

    def page(self, at: TransactionId, count: int) -> list[Transaction]:
        """A page as a node returns it; empty where it knows no such transaction."""
        number = self.number(at)
        if number is None:
            return []
        return [self.transaction(n) for n in range(number, max(-1, number - count), -1)]


def counted(received: int) -> list[int]:
    """How often each transaction of a `History` was counted."""
    times = []
    while received:
        received, number = divmod(received, 4)
        times.append(number)
    return times
