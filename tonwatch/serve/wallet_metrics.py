"""The metrics of wallets, what they hold, their payouts, and of contracts."""

from collections.abc import Iterable
from typing import Final

from tonwatch.config.amounts import NATIVE_DECIMALS, in_coins
from tonwatch.config.wallets import NATIVE
from tonwatch.samples.account import Reading
from tonwatch.samples.payouts import OTHER_CODE
from tonwatch.serve import scene
from tonwatch.serve.reading import Group, Metric, Point, state_set
from tonwatch.serve.scene import Held, Paying
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.watch.wallet_verdicts import ContractVerdict, WalletVerdict

UNKNOWN: Final = "unknown"

ACCOUNT_STATES: Final = (*AccountStatus, UNKNOWN)

OTHER: Final = "other"
"""Stands for all further exit codes, once too many different ones have occurred."""


def _state(reading: Reading | None) -> Iterable[Point]:
    told = reading.status if reading is not None else None
    return state_set(ACCOUNT_STATES, told or UNKNOWN)


def _kind(wallet: WalletVerdict) -> Iterable[Point]:
    kind = wallet.reading.kind if wallet.reading is not None else None
    return () if kind is None else (((kind.value,), 1),)


def _low(wallet: WalletVerdict) -> float | None:
    """Known where one asset is low, or every one that has a minimum is known not to be."""
    known_of_all = wanted = False
    for holding in wallet.holdings.values():
        if holding.minimum is not None:
            amount = holding.amount
            if amount is not None and amount < holding.minimum:
                return 1.0
            known_of_all = amount is not None and (known_of_all or not wanted)
            wanted = True
    return 0.0 if known_of_all else None


def _coins(units: int | None, decimals: int) -> float | None:
    return None if units is None else in_coins(units, decimals)


def _proven(held: Held) -> float | None:
    reading = held.holding.reading
    return None if reading is None or reading.amount is None else float(reading.proven)


def _failures(paying: Paying) -> Iterable[Point]:
    """By phase and code, as far as they have occurred: of 2**32 codes not all can start at 0."""
    for (phase, code), count in paying.walked.tally.failures.items():
        yield (phase, OTHER if code == OTHER_CODE else str(code)), count


def _skipped(paying: Paying) -> Iterable[Point]:
    for reason, count in paying.walked.tally.skipped.items():
        yield (reason,), count


_WALLETS: Final[tuple[Metric[WalletVerdict], ...]] = (
    Metric(
        "tonwatch_wallet_state",
        "gauge",
        "1 for the state that its account is in, 0 for every other.",
        lambda w: _state(w.reading),
        labels=("state",),
    ),
    Metric(
        "tonwatch_wallet_kind_info",
        "info",
        "Always 1: the kind of wallet, recognised by its code. Absent where it is none of these.",
        _kind,
        labels=("kind",),
    ),
    Metric(
        "tonwatch_wallet_seqno",
        "gauge",
        "Seqno that its next message must have. Absent for kinds of wallets without one.",
        lambda w: w.reading.seqno if w.reading else None,
    ),
    Metric(
        "tonwatch_wallet_last_clean_timestamp_seconds",
        "gauge",
        "When a highload wallet last forgot old queries (v2: the newest of these), Unix time in"
        " seconds; 0 for never.",
        lambda w: w.reading.last_clean if w.reading else None,
    ),
    Metric(
        "tonwatch_wallet_low",
        "gauge",
        "1 while it holds less of any asset than that asset's minimum, else 0. Absent where it"
        " has no minimum, or what it holds is not known.",
        _low,
    ),
    Metric(
        "tonwatch_wallet_recent_failures",
        "gauge",
        "Payouts of its own that have failed within the threshold `payout_window`. Absent where"
        " payouts are not counted.",
        lambda w: len(w.failed) if w.counted else None,
    ),
    Metric(
        "tonwatch_wallet_recent_bounces",
        "gauge",
        "Payouts that came back within the threshold `payout_window`. Absent where payouts are not"
        " counted.",
        lambda w: len(w.bounced) if w.counted else None,
    ),
)

_ASSETS: Final[tuple[Metric[Held], ...]] = (
    Metric(
        "tonwatch_wallet_balance",
        "gauge",
        "What it holds, in whole coins; 0 where there is no account. Divided by the rate of"
        " `tonwatch_wallet_sent_total`, and for the native coin of `tonwatch_wallet_fees_total`,"
        " it gives the seconds that it lasts.",
        lambda h: _coins(h.holding.amount, h.holding.decimals),
    ),
    Metric(
        "tonwatch_wallet_balance_minimum",
        "gauge",
        "The configured minimum, in whole coins. Absent where there is none.",
        lambda h: _coins(h.holding.minimum, h.holding.decimals),
        lasting=True,
    ),
    Metric(
        "tonwatch_wallet_balance_timestamp_seconds",
        "gauge",
        "When the block was made whose state tells the balance, Unix time in seconds. Absent"
        " where the source does not say.",
        lambda h: h.holding.reading.time if h.holding.reading else None,
    ),
    Metric(
        "tonwatch_wallet_balance_proven",
        "gauge",
        "1 while the balance follows by Merkle proofs from a block, 0 while it is a source's word.",
        _proven,
    ),
    Metric(
        "tonwatch_wallet_unread",
        "gauge",
        "1 while it cannot be read although there is somebody to ask, as the finding"
        " `wallet_unread` says; 0 while it is read, or nobody can tell.",
        lambda h: float(h.asked and h.holding.unread),
    ),
)

_PAYOUTS: Final[tuple[Metric[Paying], ...]] = (
    Metric(
        "tonwatch_wallet_sent_total",
        "counter",
        "What left it for others, in whole coins; of the native coin also what goes along with"
        " transfers of jettons. Its rate is what the balance lasts by.",
        lambda p: _coins(p.walked.tally.sent, p.holding.decimals),
    ),
    Metric(
        "tonwatch_wallet_received_total",
        "counter",
        "What others sent to it, in whole coins.",
        lambda p: _coins(p.walked.tally.received, p.holding.decimals),
    ),
    Metric(
        "tonwatch_wallet_returned_total",
        "counter",
        "What came back after it had been sent, in whole coins.",
        lambda p: _coins(p.walked.tally.returned, p.holding.decimals),
    ),
    Metric(
        "tonwatch_wallet_fees_total",
        "counter",
        "Fees of its transactions, in whole native coins for every asset: a jetton's wallet pays"
        " its own from what messages bring along.",
        lambda p: _coins(p.walked.tally.fees, NATIVE_DECIMALS),
    ),
    Metric(
        "tonwatch_wallet_messages_sent_total",
        "counter",
        "Payments: messages to others, or transfers of the jetton.",
        lambda p: p.walked.tally.messages_sent,
    ),
    Metric(
        "tonwatch_wallet_unsent_total",
        "counter",
        "Messages that its transactions were to send and did not, though they succeeded: messages"
        " of mode 2 are passed over where coins lack or the destination is no address. Of the"
        " native coin only.",
        lambda p: p.walked.tally.unsent if p.holding.asset == NATIVE else None,
    ),
    Metric(
        "tonwatch_wallet_bounces_total",
        "counter",
        "Messages to others that bounced.",
        lambda p: p.walked.tally.bounced,
    ),
    Metric(
        "tonwatch_wallet_transactions_total",
        "counter",
        "Transactions that have been counted, each once.",
        lambda p: p.walked.tally.transactions,
    ),
    Metric(
        "tonwatch_wallet_failed_total",
        "counter",
        "Transactions whose compute or action phase failed, whatever the exit code and whoever"
        " caused them.",
        lambda p: sum(p.walked.tally.failures.values()),
    ),
    Metric(
        "tonwatch_wallet_failures_total",
        "counter",
        "Transactions whose compute or action phase failed, by that phase and its exit code; only"
        " those that have occurred.",
        _failures,
        labels=("phase", "exit_code"),
    ),
    Metric(
        "tonwatch_wallet_skipped_total",
        "counter",
        "Transactions without a compute phase, by the reason for it; only those that have"
        " occurred. Strangers who send too little cause most of them.",
        _skipped,
        labels=("reason",),
    ),
    Metric(
        "tonwatch_wallet_payout_gaps_total",
        "counter",
        "Stretches of history that no source had any more before they were counted.",
        lambda p: p.walked.tally.gaps,
    ),
    Metric(
        "tonwatch_wallet_payout_backlog",
        "gauge",
        "Transactions known to be not counted yet; while there are some, the totals are behind.",
        lambda p: p.walked.backlog if p.holding.reading else None,
    ),
    Metric(
        "tonwatch_wallet_last_transaction_timestamp_seconds",
        "gauge",
        "When the newest counted transaction was made, Unix time in seconds. Absent before the"
        " first.",
        lambda p: p.walked.tally.last_time,
        lasting=True,
    ),
    Metric(
        "tonwatch_wallet_payouts_since_timestamp_seconds",
        "gauge",
        "When counting began, Unix time in seconds; the counters go on from there across restarts.",
        lambda p: p.walked.since,
        lasting=True,
    ),
)

_CONTRACTS: Final[tuple[Metric[ContractVerdict], ...]] = (
    Metric(
        "tonwatch_contract_state",
        "gauge",
        "1 for the state that its account is in, 0 for every other.",
        lambda c: _state(c.reading),
        labels=("state",),
    ),
    Metric(
        "tonwatch_contract_code_matches",
        "gauge",
        "1 while its code is the configured one, 0 while it is another or none. Absent where"
        " not known.",
        lambda c: c.matches,
    ),
)

WALLETS: Final = Group(
    "Wallets",
    ("wallet",),
    _WALLETS,
    scene.wallets,
    # Verdicts are kept while nothing is new.
    lambda wallet: wallet,
)
ASSETS: Final = Group(
    "What wallets hold",
    ("wallet", "asset"),
    _ASSETS,
    scene.assets,
    # What is read is not unread, whoever can be asked.
    lambda held: held.holding.reading,
)
PAYOUTS: Final = Group(
    "Payouts",
    ("wallet", "asset"),
    _PAYOUTS,
    scene.payouts,
    # Of what is held only whether it is known: that changes every few seconds, payouts rarely.
    lambda paying: paying.walked if paying.holding.reading is not None else None,
)
CONTRACTS: Final = Group(
    "Contracts",
    ("contract",),
    _CONTRACTS,
    scene.contracts,
    lambda contract: contract.reading,
)
