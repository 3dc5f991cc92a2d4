"""Totals over the transactions of one account: amounts, messages, fees and failures.

Pure functions: `Totals` and one more `Transaction` make the next `Totals`. Amounts are in the
smallest units of the account's asset, so that they add up to its balance:

    native:   balance change = received + bounced - sent - fees - in flight
    a jetton: balance change = received + bounced - sent - in flight

A jetton wallet's fees are native too: it pays them from the value of its messages.

What an account sends to itself is neither sent nor received: highload v3 wallets send their whole
balance to themselves, with the payouts in the message's body. It leaves in one transaction and
arrives in another; between the two it is in flight.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from tonwatch.samples.payouts import (
    ACTION,
    COMPUTE,
    MAX_CODES,
    OTHER_CODE,
    RECENT,
    Totals,
    Trouble,
    TroubleKind,
)
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.jettons import MoveKind, read_bounced, read_move
from tonwatch.ton.contracts.transactions import Message, Transaction

_SUCCESS: Final = frozenset({0, 1, None})
"""Exit codes of success; None without a compute phase."""

_RETURNED: Final = frozenset({MoveKind.INTERNAL_TRANSFER, MoveKind.BURN_NOTIFICATION})
"""Messages whose amount a jetton wallet adds to its balance again when they bounce."""


def count_native(
    totals: Totals, transaction: Transaction, jetton_wallets: Collection[Address]
) -> Totals:
    """Count a wallet's transaction in the native asset.

    Args:
        totals: those before it.
        transaction: the wallet's next one.
        jetton_wallets: the wallet's own: a transfer message to one of them is a payment of that
            jetton, not of the native asset.
    """
    message = transaction.message_in
    value = message.value if message is not None else 0
    bounced = message is not None and message.bounced
    in_flight = sum([out.value for out in transaction.messages_out if _to_itself(out)])
    sent = sum([out.value for out in transaction.messages_out]) - in_flight
    if message is not None and _to_itself(message):
        in_flight -= value
        value = 0
    return replace(
        _common(totals, transaction),
        sent_amount=totals.sent_amount + sent,
        received_amount=totals.received_amount + (0 if bounced else value),
        bounced_amount=totals.bounced_amount + (value if bounced else 0),
        in_flight_amount=totals.in_flight_amount + in_flight,
        sent_messages=totals.sent_messages
        + sum([_is_payment(out, jetton_wallets) for out in transaction.messages_out]),
    )


def count_jetton(totals: Totals, transaction: Transaction, owner: Address) -> Totals:
    """Count a jetton wallet's transaction in the jetton's smallest units.

    Args:
        totals: those before it.
        transaction: the jetton wallet's next one.
        owner: of the jetton wallet: only transfers that it requests are payments. Some
            masters can take jettons away, which counts as sent.
    """
    after = _common(totals, transaction, owner)
    message = transaction.message_in
    if message is None or message.source is None or not _succeeded(transaction):
        return after
    if message.bounced:
        move = read_bounced(message.body)
        if move is None or move.kind not in _RETURNED:
            return after
        if _to_itself(message):
            return replace(after, in_flight_amount=totals.in_flight_amount - move.amount)
        return replace(after, bounced_amount=totals.bounced_amount + move.amount)
    move = read_move(message.body)
    if move is None:
        return after
    if move.kind is MoveKind.INTERNAL_TRANSFER:
        if _to_itself(message):
            return replace(after, in_flight_amount=totals.in_flight_amount - move.amount)
        return replace(after, received_amount=totals.received_amount + move.amount)
    if move.kind is MoveKind.BURN:
        return replace(after, sent_amount=totals.sent_amount + move.amount)
    if move.kind is MoveKind.TRANSFER:
        if any(_moves_to_itself(out) for out in transaction.messages_out):
            return replace(after, in_flight_amount=totals.in_flight_amount + move.amount)
        return replace(
            after,
            sent_amount=totals.sent_amount + move.amount,
            sent_messages=totals.sent_messages + (message.source == owner),
        )
    return after


def _to_itself(message: Message) -> bool:
    """Whether an account's message is from the account to itself."""
    return message.source is not None and message.source == message.destination


def _moves_to_itself(message: Message) -> bool:
    """Whether a jetton wallet transfers to itself."""
    move = read_move(message.body) if _to_itself(message) else None
    return move is not None and move.kind is MoveKind.INTERNAL_TRANSFER


def _is_payment(message: Message, jetton_wallets: Collection[Address]) -> bool:
    """Whether a message is a payment: no log, bounce, jetton transfer or message to itself.

    A highload v3 wallet makes its payouts by a message to itself.
    """
    if message.destination is None or message.bounced or _to_itself(message):
        return False
    if message.destination not in jetton_wallets:
        return True
    move = read_move(message.body)
    return move is None or move.kind is not MoveKind.TRANSFER


def _succeeded(transaction: Transaction) -> bool:
    """Whether all phases succeeded and the state has changed."""
    return (
        transaction.compute_ok
        and not transaction.aborted
        and (transaction.action_code is None or transaction.action_ok)
    )


def _common(totals: Totals, transaction: Transaction, owner: Address | None = None) -> Totals:
    """Count what is common to the native asset and jettons."""
    # What a jetton wallet skips is the excess value, never the payment.
    skipped_messages = transaction.skipped_messages if owner is None else 0
    troubles = _troubles(transaction, skipped_messages)
    own = troubles if _is_own(transaction, owner) else ()
    failures, skipped = totals.failed_transactions, totals.compute_skipped
    for trouble in troubles:
        if trouble.kind is TroubleKind.FAILED and trouble.code is not None:
            failures = _with_failure(failures, trouble.phase, trouble.code)
        elif trouble.kind is TroubleKind.COMPUTE_SKIPPED:
            skipped = {**skipped, trouble.skipped: skipped.get(trouble.skipped, 0) + 1}
    return replace(
        totals,
        transactions=totals.transactions + 1,
        fees_amount=totals.fees_amount + transaction.fees,
        skipped_messages=totals.skipped_messages + skipped_messages,
        bounced_messages=totals.bounced_messages + _bounced(transaction),
        failed_transactions=failures,
        compute_skipped=skipped,
        recent=(*totals.recent, *own)[-RECENT:] if own else totals.recent,
        last_time=transaction.time,
    )


def _is_own(transaction: Transaction, owner: Address | None) -> bool:
    """Whether the account or its owner caused it: wallets accept external messages only from
    their owner, and a bounced message had been sent."""
    message = transaction.message_in
    if message is None or message.source is None or message.bounced:
        return True
    return message.source == owner or _to_itself(message)


def _bounced(transaction: Transaction) -> bool:
    """Whether a message to others has bounced. One to itself failed in the previous transaction,
    which is counted."""
    message = transaction.message_in
    return message is not None and message.bounced and not _to_itself(message)


def _troubles(transaction: Transaction, skipped_messages: int) -> list[Trouble]:
    time, lt = transaction.time, transaction.id.lt
    found = []
    if _bounced(transaction):
        found.append(Trouble(time, TroubleKind.BOUNCED, "", None, lt))
    if transaction.skipped is not None:
        found.append(
            Trouble(
                time, TroubleKind.COMPUTE_SKIPPED, COMPUTE, None, lt, skipped=transaction.skipped
            )
        )
    elif transaction.exit_code not in _SUCCESS:
        # Even where the phase succeeded: a v5 wallet commits its seqno before it runs its actions.
        found.append(Trouble(time, TroubleKind.FAILED, COMPUTE, transaction.exit_code, lt))
    if transaction.action_code is not None and not transaction.action_ok:
        found.append(Trouble(time, TroubleKind.FAILED, ACTION, transaction.action_code, lt))
    if skipped_messages:
        found.append(Trouble(time, TroubleKind.MESSAGE_SKIPPED, ACTION, None, lt))
    return found


def _with_failure(
    failures: Mapping[tuple[str, int], int], phase: str, code: int
) -> Mapping[tuple[str, int], int]:
    key = (phase, code)
    if key not in failures and len(failures) >= MAX_CODES:
        key = (phase, OTHER_CODE)
    return {**failures, key: failures.get(key, 0) + 1}
