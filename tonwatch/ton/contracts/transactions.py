"""Transactions of an account: messages in and out, fees, and how the phases ended.

Source: the node's ``crypto/block/block.tlb``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice
from tonwatch.ton.cells.dictionary import find
from tonwatch.ton.errors import BadAnswer

MAX_MESSAGES: Final = 256
"""Messages that one transaction can send: 255 actions, and one in reserve."""

_TRANSACTION: Final = 0b0111
_ORDINARY: Final = 0b0000
_TICK_TOCK: Final = (0b0010, 0b0011)
SKIPPED: Final = ("no_state", "bad_state", "no_gas", "suspended")
"""Why a transaction has no compute phase. Source: `ComputeSkipReason` in block.tlb."""

_KEY_BITS: Final = 15


class TransactionId(NamedTuple):
    """A transaction's logical time and hash, which identify it."""

    lt: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message: internal, external inbound or external outbound.

    Attributes:
        source: None in external inbound messages.
        destination: None in external outbound messages.
        value: nanocoins that its receiver gets; 0 in external messages.
        forward_fee: nanocoins that its sender paid on top of the value, and that are not in
            its transaction's fees; 0 in external messages.
        bounce: it bounces where its receiver fails.
        bounced: it has bounced.
        body: as a cell of its own, also where it was inline.
    """

    source: Address | None
    destination: Address | None
    value: int
    forward_fee: int
    bounce: bool
    bounced: bool
    body: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of an account.

    The balance changes by the value of `message_in` minus the values of `messages_out` and
    minus `fees`.

    Attributes:
        id: logical time and hash.
        previous: the account's previous transaction; None for its first.
        account: the 32 bytes of its address.
        time: Unix seconds.
        message_in: the message that caused it; None for tick and tock.
        messages_out: in order of creation.
        fees: nanocoins, including the forward fees of `messages_out`.
        aborted: it changed nothing but the balance.
        skipped: why the compute phase was skipped: ``no_state``, ``bad_state``, ``no_gas`` or
            ``suspended``; None where it ran.
        exit_code: of the compute phase; None where skipped or without one.
        compute_ok: the compute phase ran and succeeded.
        action_code: result code of the action phase; None without one.
        action_ok: the action phase ran and succeeded.
        skipped_messages: messages that a successful action phase skipped (ignored errors,
            mode 2): too low a balance, or an invalid destination.
    """

    id: TransactionId
    previous: TransactionId | None
    account: bytes
    time: int
    message_in: Message | None
    messages_out: tuple[Message, ...]
    fees: int
    aborted: bool
    skipped: str | None
    exit_code: int | None
    compute_ok: bool
    action_code: int | None
    action_ok: bool
    skipped_messages: int


class _Phases(NamedTuple):
    """Results of a transaction's phases; a kind without phases leaves the defaults."""

    aborted: bool = False
    skipped: str | None = None
    exit_code: int | None = None
    compute_ok: bool = False
    action_code: int | None = None
    action_ok: bool = False
    skipped_messages: int = 0


def parse_transaction(root: Cell) -> Transaction:
    """Read a transaction.

    Raises:
        BadAnswer: it is not a transaction.
        ProofInvalid: a branch that is needed is pruned.
    """
    fields = Slice(root)
    if fields.uint(4) != _TRANSACTION:
        raise BadAnswer("not a transaction")
    account, lt = fields.take(32), fields.uint(64)
    previous_hash, previous_lt = fields.take(32), fields.uint(64)
    time, count = fields.uint(32), fields.uint(15)
    fields.uint(4)  # the account's status before and after
    messages = Slice(fields.ref())
    message_in = messages.maybe_ref()
    messages_out = tuple(_messages(messages.maybe_ref(), count))
    fees = fields.currencies() + sum([message.forward_fee for message in messages_out])
    fields.ref()  # hashes of the account before and after
    phases = _phases(Slice(fields.ref()))
    return Transaction(
        id=TransactionId(lt, root.hash),
        previous=TransactionId(previous_lt, previous_hash) if previous_lt else None,
        account=account,
        time=time,
        message_in=parse_message(message_in) if message_in is not None else None,
        messages_out=messages_out,
        fees=fees,
        aborted=phases.aborted,
        skipped=phases.skipped,
        exit_code=phases.exit_code,
        compute_ok=phases.compute_ok,
        action_code=phases.action_code,
        action_ok=phases.action_ok,
        skipped_messages=phases.skipped_messages,
    )


def parse_message(root: Cell) -> Message:
    """Read a message of any kind.

    Raises:
        BadAnswer: it is not a message.
        ProofInvalid: it is pruned.
    """
    fields = Slice(root)
    value = forward_fee = 0
    bounce = bounced = False
    if not fields.bit():
        no_instant_routing, bounce, bounced = fields.bit(), fields.bit(), fields.bit()
        source, destination = fields.address(), fields.address()
        value = fields.currencies()
        # Older messages paid for instant hypercube routing here; it was never used, and the
        # receiver got the fee. Where it is disabled, as in all since 2025, these are flags.
        paid_or_flags = fields.coins()
        value += 0 if no_instant_routing else paid_or_flags
        forward_fee = fields.coins()
        fields.uint(64 + 32)  # when it was created
    else:
        outward = fields.bit()
        source, destination = fields.address(), fields.address()
        if outward:
            fields.uint(64 + 32)
        else:
            fields.coins()  # import fee, which is part of the transaction's fees
    if fields.bit():
        _pass_state_init(fields)
    return Message(
        source=source,
        destination=destination,
        value=value,
        forward_fee=forward_fee,
        bounce=bounce,
        bounced=bounced,
        body=fields.ref() if fields.bit() else rest(fields),
    )


def rest(fields: Slice) -> Cell:
    """What is left of a slice, as a cell of its own."""
    refs = tuple([fields.ref() for _ in range(fields.refs_left)])
    size = fields.left
    number = fields.uint(size)
    if padding := -size % 8:
        number = (number << 1 | 1) << padding - 1
    length = (size + 7) // 8
    return Cell(bytes((len(refs), size // 8 + length)) + number.to_bytes(length, "big"), refs)


def _pass_state_init(fields: Slice) -> None:
    if fields.bit():
        fields.ref()
        return
    if fields.bit():
        fields.uint(5)  # depth of a library's prefix
    if fields.bit():
        fields.uint(2)  # tick and tock
    for _ in ("code", "data", "libraries"):
        fields.maybe_ref()


def _messages(root: Cell | None, count: int) -> Iterator[Message]:
    """The values of ``HashmapE 15 ^Message``, whose keys are 0, 1, 2 ..."""
    if count > MAX_MESSAGES or (root is None) != (count == 0):
        raise BadAnswer(f"a transaction with {count} messages")
    if root is not None:
        for key in range(count):
            found = find(root, key, _KEY_BITS)
            if found is None:
                raise BadAnswer(f"message {key} of {count} is missing")
            yield parse_message(found.ref())


def _phases(fields: Slice) -> _Phases:
    kind = fields.uint(4)
    if kind == _ORDINARY:
        fields.bit()  # whether the credit phase came before the storage phase
        if fields.bit():
            _pass_storage_phase(fields)
        if fields.bit():
            if fields.bit():
                fields.coins()  # debts paid
            fields.currencies()
    elif kind in _TICK_TOCK:
        _pass_storage_phase(fields)
    else:
        return _Phases()  # storage alone; those of a split or merged shard do not exist yet
    skipped, exit_code, compute_ok = _compute_phase(fields)
    action = fields.maybe_ref()
    aborted = fields.bit()
    if action is None:
        return _Phases(aborted, skipped, exit_code, compute_ok)
    return _Phases(aborted, skipped, exit_code, compute_ok, *_action_phase(Slice(action)))


def _pass_storage_phase(fields: Slice) -> None:
    fields.coins()
    if fields.bit():
        fields.coins()  # debts
    _pass_status_change(fields)


def _pass_status_change(fields: Slice) -> None:
    if fields.bit():
        fields.bit()  # frozen or deleted


def _compute_phase(fields: Slice) -> tuple[str | None, int | None, bool]:
    """Why it was skipped, its exit code, and whether it succeeded."""
    if not fields.bit():
        reason = fields.uint(2)
        if reason == 0b11 and fields.bit():
            raise BadAnswer("a compute phase skipped for no known reason")
        return SKIPPED[reason], None, False
    success = fields.bit()
    fields.uint(2)  # whether the message's state was used, and the account activated
    fields.coins()
    details = Slice(fields.ref())
    details.uint(8 * details.uint(3))  # gas used
    details.uint(8 * details.uint(3))  # and its limit
    if details.bit():
        details.uint(8 * details.uint(2))  # gas on credit
    details.uint(8)
    return None, details.sint(32), success


def _action_phase(fields: Slice) -> tuple[int, bool, int]:
    """Its result code, whether it succeeded, and how many messages it skipped."""
    success = fields.bit()
    fields.uint(2)  # validity, and whether the balance was too low
    _pass_status_change(fields)
    for _ in ("forward fees", "action fees"):
        if fields.bit():
            fields.coins()
    code = fields.sint(32)
    if fields.bit():
        fields.uint(32)  # which action failed
    fields.uint(16 + 16)  # all actions, and special ones
    skipped_messages = fields.uint(16)
    return code, success, skipped_messages if success else 0
