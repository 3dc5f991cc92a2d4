"""What has been counted of an account's transactions."""

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
"""Troubles that are remembered one by one."""

MAX_CODES: Final = 64
"""Different failures that are counted apart; a contract can end with any of 2**32 codes."""

OTHER_CODE: Final = 1 << 31
"""Stands for all further ones: no exit code is as large."""


class TroubleKind(StrEnum):
    """What can befall a transaction."""

    FAILED = "failed"
    """The compute or the action phase ended with an error."""

    COMPUTE_SKIPPED = "compute_skipped"
    """There was no compute phase, for a lack of code, coins or state."""

    MESSAGE_SKIPPED = "message_skipped"
    """All went well, but the wallet's message was passed over: coins lacked for it, or its
    destination was no address."""

    BOUNCED = "bounced"
    """What had been sent came back."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A transaction that did not go well.

    Attributes:
        time: Unix seconds.
        kind: what befell it.
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
        sent_amount: what left; of coins also those attached to transfers of jettons.
        received_amount: what others sent here.
        bounced_amount: what bounced after it had been sent.
        fees_amount: nanocoins paid for transactions and for forwarding messages.
        in_flight_amount: what the account sent to itself and has not received yet: 0 but between
            two transactions. Below 0 where the first of the two was not counted, as counting
            began later or has a gap there.
        sent_messages: payments: messages to others, or transfers of a jetton.
        skipped_messages: messages that were skipped (ignored errors, mode 2) though the
            transaction succeeded; of the native coin only: what a jetton wallet sends in that
            mode is the change, never the payment.
        bounced_messages: messages to others that bounced.
        failed_transactions: by phase (``compute``, ``action``) and code.
        compute_skipped: transactions without a compute phase, by the reason for it.
        history_gaps: stretches of history that nobody could show any more.
        last_gap: when the newest of them was found, Unix seconds; None without any.
        recent: the last `RECENT` troubles with what the account itself or its owner had ordered,
            oldest first; what strangers send and get wrong is counted and no trouble of ours.
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
    """How far an account is counted after a beat.

    Attributes:
        key: the account.
        finished: when the beat ended, on the event loop's clock.
        tally: what the counted transactions come to.
        cursor: the newest counted transaction.
        since: when counting began, Unix seconds.
        opening: what the account held then, in smallest units; None where nobody told.
        backlog: transactions known to be not counted yet; at least 1 where there are any.
        reason: ``ok``, or why the walk could not go on.
        detail: what failed, in one line; empty when ok.
        bug: the traceback, where a bug of ours was in the way. For the log alone.
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
