"""The metrics of wallets, their balances and payouts, and of contracts."""

from collections.abc import Iterable
from typing import Final

from tonwatch.config.amounts import NATIVE_DECIMALS, in_coins
from tonwatch.config.wallets import NATIVE
from tonwatch.samples.account import Reading
from tonwatch.samples.payouts import OTHER_CODE
from tonwatch.serve.metrics import contexts
from tonwatch.serve.metrics.contexts import PayoutContext, WalletContext
from tonwatch.serve.metrics.family import Group, Metric, Point, current_state
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.watch.planner import idle_write_probe
from tonwatch.watch.wallet_verdicts import ContractVerdict, Holding

UNKNOWN: Final = "unknown"

ACCOUNT_STATUSES: Final = (*AccountStatus, UNKNOWN)

OTHER: Final = "other"
NO_CODE: Final = "none"
"""The version of a wallet that is not deployed."""
"""All further exit codes, once too many different ones have occurred; contracts that are no known
version of a wallet."""


def _status(reading: Reading | None, always: AccountStatus | str) -> Iterable[Point]:
    status = reading.status if reading is not None else None
    return current_state(status or UNKNOWN, always)


def _info(context: WalletContext) -> Iterable[Point]:
    wallet = context.verdict
    if wallet.reading is not None:
        version = wallet.reading.kind
        known = [h.reading for h in wallet.holdings.values() if h.reading is not None]
        proven = all(reading.proven for reading in known)
        yield (version.value if version is not None else NO_CODE, str(proven).lower()), 1


def _balance_time(context: WalletContext) -> float | None:
    """The oldest block time; None where no source reported one."""
    readings = (holding.reading for holding in context.verdict.holdings.values())
    times = [each.time for each in readings if each is not None and each.time is not None]
    return min(times, default=None)


def _backlog(context: WalletContext) -> float | None:
    """Of the assets whose balance is known: of others the newest transaction is not known."""
    known = [
        holding.backlog or 0
        for holding in context.verdict.holdings.values()
        if holding.progress is not None and holding.reading is not None
    ]
    return sum(known) if known else None


def _gaps(context: WalletContext) -> float | None:
    holdings = context.verdict.holdings.values()
    counted = [
        holding.progress.totals.history_gaps for holding in holdings if holding.progress is not None
    ]
    return sum(counted) if counted else None


def _amount(units: int | None, decimals: int) -> float | None:
    return None if units is None else in_coins(units, decimals)


def _failed(context: PayoutContext) -> Iterable[Point]:
    for (phase, code), count in context.progress.totals.failed_transactions.items():
        yield (phase, OTHER if code == OTHER_CODE else str(code)), count


def _skipped(context: PayoutContext) -> Iterable[Point]:
    for reason, count in context.progress.totals.compute_skipped.items():
        yield (reason,), count


_WALLETS: Final[tuple[Metric[WalletContext], ...]] = (
    Metric(
        "tonwatch_wallet_status",
        "gauge",
        "1 for the status of its account; `frozen` is also there at 0.",
        lambda c: _status(c.verdict.reading, AccountStatus.FROZEN),
        labels=("status",),
    ),
    Metric(
        "tonwatch_wallet_info",
        "info",
        "Always 1: the version of the wallet, recognised by its code, and whether all of its"
        " balances follow by Merkle proofs from a block (`true`) or rest on what a server says"
        " (`false`). Absent while its account cannot be read.",
        _info,
        labels=("wallet_version", "proven"),
    ),
    Metric(
        "tonwatch_wallet_balance_timestamp_seconds",
        "gauge",
        "Time of the block at which its balances were read, the oldest of its assets; Unix time in"
        " seconds. Absent where the source does not report it.",
        _balance_time,
    ),
    Metric(
        "tonwatch_wallet_balance_read_failing",
        "gauge",
        "1 while the balance of one of its assets cannot be read although a target answers, 0"
        " otherwise. /health names the asset.",
        lambda c: float(c.asked and bool(c.verdict.read_failing)),
    ),
    Metric(
        "tonwatch_wallet_write_probe_idle",
        "gauge",
        "1 while it cannot reject the probe messages of its `write_probe`, so that none is sent, 0"
        " otherwise; /health says why. Absent where it has none.",
        lambda c: float(bool(idle_write_probe(c.verdict))) if c.verdict.write_probe else None,
    ),
    Metric(
        "tonwatch_wallet_recent_failed_payouts",
        "gauge",
        "Payouts of its own that failed within the threshold `payout_window`. Absent where"
        " payouts are not counted.",
        lambda c: len(c.verdict.failed) if c.verdict.counted else None,
    ),
    Metric(
        "tonwatch_wallet_recent_bounced_payouts",
        "gauge",
        "Payouts that bounced within the threshold `payout_window`. Absent where payouts are not"
        " counted.",
        lambda c: len(c.verdict.bounced) if c.verdict.counted else None,
    ),
    Metric(
        "tonwatch_wallet_backlog_transactions",
        "gauge",
        "Known transactions of the wallet and its jetton wallets that are not counted yet; while"
        " there are some, its counters are too low.",
        _backlog,
    ),
    Metric(
        "tonwatch_wallet_history_gaps_total",
        "counter",
        "Stretches of its history, jetton wallets included, that no target had any more before"
        " they were counted.",
        _gaps,
    ),
)

_ASSETS: Final[tuple[Metric[Holding], ...]] = (
    Metric(
        "tonwatch_wallet_balance",
        "gauge",
        "Balance, in units of the asset; 0 where there is no account. Divided by the rate of"
        " `tonwatch_wallet_sent_amount_total`, and for `native` of"
        " `tonwatch_wallet_fees_amount_total` as well, it gives the seconds that it lasts.",
        lambda h: _amount(h.amount, h.decimals),
    ),
    Metric(
        "tonwatch_wallet_balance_minimum",
        "gauge",
        "Configured minimum balance, in units of the asset. Absent where there is none.",
        lambda h: _amount(h.minimum, h.decimals),
        lasting=True,
    ),
)

_PAYOUTS: Final[tuple[Metric[PayoutContext], ...]] = (
    Metric(
        "tonwatch_wallet_sent_amount_total",
        "counter",
        "Amount sent to others, in units of the asset; of `native` also what is attached to"
        " jetton transfers.",
        lambda p: _amount(p.progress.totals.sent_amount, p.holding.decimals),
    ),
    Metric(
        "tonwatch_wallet_received_amount_total",
        "counter",
        "Amount received from others, in units of the asset.",
        lambda p: _amount(p.progress.totals.received_amount, p.holding.decimals),
    ),
    Metric(
        "tonwatch_wallet_bounced_amount_total",
        "counter",
        "Amount that bounced back after it had been sent, in units of the asset. Appears with the"
        " first.",
        lambda p: _amount(p.progress.totals.bounced_amount or None, p.holding.decimals),
    ),
    Metric(
        "tonwatch_wallet_fees_amount_total",
        "counter",
        "Fees of the wallet's transactions, in units of the native coin; of `native` only, since"
        " a jetton wallet pays its fees from what messages bring along.",
        lambda p: (
            _amount(p.progress.totals.fees_amount, NATIVE_DECIMALS)
            if p.holding.asset == NATIVE
            else None
        ),
    ),
    Metric(
        "tonwatch_wallet_sent_messages_total",
        "counter",
        "Payouts sent: messages to others, or transfers of the jetton.",
        lambda p: p.progress.totals.sent_messages,
    ),
    Metric(
        "tonwatch_wallet_bounced_messages_total",
        "counter",
        "Messages to others that bounced. Appears with the first.",
        lambda p: p.progress.totals.bounced_messages or None,
    ),
    Metric(
        "tonwatch_wallet_skipped_messages_total",
        "counter",
        "Messages that the action phase skipped although the transaction succeeded: send mode 2"
        " ignores errors, such as a balance too low or an invalid address. Of `native` only."
        " Appears with the first.",
        lambda p: (
            (p.progress.totals.skipped_messages or None) if p.holding.asset == NATIVE else None
        ),
    ),
    Metric(
        "tonwatch_wallet_failed_transactions_total",
        "counter",
        "Transactions whose compute or action phase failed, whoever caused them. Each code appears"
        " with its first failure.",
        _failed,
        labels=("transaction_phase", "exit_code"),
    ),
    Metric(
        "tonwatch_wallet_compute_skipped_transactions_total",
        "counter",
        "Transactions whose compute phase was skipped; most were sent too little by others. Each"
        " reason appears with the first.",
        _skipped,
        labels=("skip_reason",),
    ),
    Metric(
        "tonwatch_wallet_payouts_since_timestamp_seconds",
        "gauge",
        "When counting began, Unix time in seconds; the counters go on from there across restarts.",
        lambda p: p.progress.since,
        lasting=True,
    ),
)

_CONTRACTS: Final[tuple[Metric[ContractVerdict], ...]] = (
    Metric(
        "tonwatch_contract_status",
        "gauge",
        "1 for the status of its account; `unknown` is also there at 0.",
        lambda c: _status(c.reading, UNKNOWN),
        labels=("status",),
    ),
    Metric(
        "tonwatch_contract_code_matches",
        "gauge",
        "1 while its code is the configured one, 0 while it is another or none. Absent where"
        " not known.",
        lambda c: c.matches,
    ),
)

WALLETS: Final = Group("Wallets", ("wallet",), _WALLETS, contexts.wallets)
ASSETS: Final = Group("Balances", ("wallet", "asset"), _ASSETS, contexts.assets)
PAYOUTS: Final = Group("Payouts", ("wallet", "asset"), _PAYOUTS, contexts.payouts)
CONTRACTS: Final = Group("Contracts", ("contract",), _CONTRACTS, contexts.contracts)
