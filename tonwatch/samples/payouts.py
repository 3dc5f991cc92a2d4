"""Totals of an account's transactions, and the progress of counting them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tonwatch.samples.account import AccountKey
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import Reason

COMPUTE: Final = "compute"
ACTION: Final = "action"

RECENT: Final = 32
"""Maximum of recent troubles."""

MAX_CODES: Final = 64
"""Maximum of codes with a count of their own; a contract can end with any of 2**32 codes."""

OTHER_CODE: Final = 1 << 31
"""Stands for all further codes: no exit code is as large."""


class TroubleKind(StrEnum):
    """What can go wrong with a transaction."""

    FAILED = "failed"
    """The compute or the action phase ended with an error."""

    COMPUTE_SKIPPED = "compute_skipped"
    """The compute phase was skipped, for lack of code, gas or state."""

    MESSAGE_SKIPPED = "message_skipped"
    """The transaction succeeded, but a message was skipped (ignored errors, mode 2): too low a
    balance, or an invalid destination."""

    BOUNCED = "bounced"
    """A sent message bounced."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A transaction that did not go well.

    Attributes:
        time: Unix seconds.
        kind: what went wrong.
        phase: that failed or was skipped: ``compute`` or ``action``; empty for a bounce.
        code: the phase's exit or result code; None where it has none.
        lt: the transaction's logical time.
        skipped: why the phase was skipped; empty otherwise.
    """

    time: int
    kind: TroubleKind
    phase: str
    code: int | None
    lt: int
    skipped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What has been counted so far; amounts in smallest units.

    Attributes:
        transactions: counted.
        sent_amount: sent to others; for the native asset also what is attached to jetton
            transfers.
        received_amount: received from others.
        bounced_amount: returned by bounced messages.
        fees_amount: nanocoins paid for transactions and for forwarding messages.
        in_flight_amount: sent by the account to itself and not received yet: 0 except between
            two transactions. Below 0 where the first of the two was not counted, as counting
            began later or has a gap there.
        sent_messages: payments: messages to others, or transfers of a jetton.
        skipped_messages: messages that were skipped (ignored errors, mode 2) though the
            transaction succeeded; of the native asset only: what a jetton wallet sends in that
            mode is the excess value, never the payment.
        bounced_messages: messages to others that bounced.
        failed_transactions: by phase (``compute``, ``action``) and code.
        compute_skipped: transactions without a compute phase, by the reason for it.
        history_gaps: ranges of history that no source has any more.
        last_gap: when the newest of them was found, Unix seconds; None without any.
        recent: the last `RECENT` troubles in transactions that the account or its owner caused,
            oldest first; those that others caused are only counted.
        last_time: of the newest counted transaction, Unix seconds; None before the first.
    """

    transactions: int = 0
    sent_amount: int = 0
    received_amount: int = 0
    bounced_amount: int = 0
    fees_amount: int = 0
    in_flight_amount: int = 0
    sent_messages: int = 0
    skipped_messages: int = 0
    bounced_messages: int = 0
    failed_transactions: Mapping[tuple[str, int], int] = field(default_factory=dict)
    compute_skipped: Mapping[str, int] = field(default_factory=dict)
    history_gaps: int = 0
    last_gap: int | None = None
    recent: tuple[Trouble, ...] = ()
    last_time: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutProgress:
    """How far an account is counted after a tick.

    Attributes:
        key: the account.
        finished: when the tick's step ended, on the event loop's clock.
        totals: of the counted transactions.
        cursor: the newest counted transaction.
        since: when counting began, Unix seconds.
        opening: the balance then, in smallest units; None where unknown.
        backlog: transactions known but not counted yet; at least 1 where there are any.
        reason: ``ok``, or why counting could not go on.
        detail: what failed, in one line; empty when ok.
        bug: the traceback of an internal error. For the log only.
    """

    key: AccountKey
    finished: float
    totals: Totals
    cursor: TransactionId
    since: int
    opening: int | None = None
    backlog: int = 0
    reason: Reason = Reason.OK
    detail: str = ""
    bug: str = ""

    @property
    def ok(self) -> bool:
        return self.reason is Reason.OK
