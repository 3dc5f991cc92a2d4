"""Payments of wallets, and what of them goes wrong."""

from grafana_foundation_sdk.models import dashboard

from dashboards.build import meaning
from dashboards.build.board import Board
from dashboards.build.panels import series
from dashboards.build.purse import (
    KEY,
    NAMED,
    WALLET,
    a_minute,
    an_hour,
    counted,
    of_assets,
    troubles,
)
from dashboards.build.query import Query, m, threshold
from dashboards.build.tables import Column, table
from dashboards.build.write_path import write_path
from tonwatch.watch.wallet_findings import MEANINGS


def payments(board: Board) -> None:
    board.row("Payouts")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Sent, coins an hour",
                "What left each wallet; of the native coin also what goes along with transfers of"
                " jettons.",
                Query(an_hour("tonwatch_wallet_sent_total"), NAMED),
                stacked=True,
                unit="short",
                empty="no wallet has payouts",
            ),
        ),
        (
            8,
            series(
                "Received and come back, coins an hour",
                "What others sent, and what came back after it had been sent.",
                [
                    Query(f"{an_hour('tonwatch_wallet_received_total')} > 0", f"{NAMED} received"),
                    Query(f"{an_hour('tonwatch_wallet_returned_total')} > 0", f"{NAMED} came back"),
                ],
                bars=True,
                stacked=True,
                unit="short",
                empty="nothing came in",
                runbooks=["TonwatchPayoutsBouncing"],
            ),
        ),
        (
            8,
            series(
                "Payments a minute",
                "Messages to others and transfers of jettons. A wallet that used to pay and is flat"
                " at zero has stopped.",
                Query(a_minute("tonwatch_wallet_messages_sent_total"), NAMED),
                bars=True,
                stacked=True,
                unit="short",
                empty="no wallet has payouts",
                runbooks=["TonwatchPayoutsStopped"],
            ),
        ),
    )


def failures(board: Board) -> None:
    board.row("What goes wrong")
    board.side_by_side(
        8,
        (8, troubles(WALLET)),
        (8, _exit_codes()),
        (
            8,
            series(
                "Failed, not sent and come back, a minute",
                "Transactions that failed or had no compute phase, payments that a transaction"
                " passed over for a lack of coins, and messages that came back. Strangers who send"
                " too little cause most of those without a compute phase.",
                [
                    Query(f"{a_minute('tonwatch_wallet_failed_total')} > 0", f"{NAMED} failed"),
                    Query(f"{a_minute('tonwatch_wallet_unsent_total')} > 0", f"{NAMED} not sent"),
                    Query(
                        a_minute("tonwatch_wallet_skipped_total", f"{KEY}, reason") + " > 0",
                        f"{NAMED} {{{{reason}}}}",
                    ),
                    Query(f"{a_minute('tonwatch_wallet_bounces_total')} > 0", f"{NAMED} came back"),
                ],
                bars=True,
                stacked=True,
                unit="short",
                colours={
                    " (failed|not sent)$": meaning.BAD,
                    " came back$": meaning.WARN,
                    "^(?!.* (failed|not sent|came back)$)": meaning.NOT_KNOWN,
                },
                empty="nothing went wrong",
            ),
        ),
    )
    board.side_by_side(
        7,
        (
            8,
            series(
                "Transactions to count",
                "Known transactions that are not counted yet. Over the line totals are reported as"
                " behind; it should fall by itself.",
                [
                    Query(counted("tonwatch_wallet_payout_backlog"), NAMED),
                    threshold("payout_backlog"),
                ],
                unit="short",
                decimals=0,
                empty="no wallet has payouts",
                runbooks=["TonwatchPayoutsBehind", "TonwatchPayoutsGap"],
            ),
        ),
        (
            8,
            series(
                "Fees, coins an hour",
                "Fees of each wallet's transactions, in native coins for every asset.",
                Query(an_hour("tonwatch_wallet_fees_total"), NAMED),
                stacked=True,
                unit="short",
                empty="no wallet has payouts",
            ),
        ),
        (8, write_path(m("tonwatch_target_write_path"), "target")),
    )


def _exit_codes() -> dashboard.Panel:
    counter = of_assets("tonwatch_wallet_failures_total")
    now, before = (
        f"max by ({KEY}, phase, exit_code) ({counter}{when})" for when in ("", " offset $__range")
    )
    meanings = {f"{phase} {code}": words for (phase, code), words in MEANINGS.items()}
    return table(
        "Failed transactions, by exit code",
        "Transactions that failed within the time range chosen above, whoever caused them: in"
        " which phase, with which code, and what that means. The runbook has more codes.",
        [
            Column("Wallet", label="wallet", width=90),
            Column("Asset", label="asset", width=80),
            Column(
                "Phase and code",
                label="code",
                mappings=meaning.texts(
                    [(code, f"{code}: {words}", meaning.BAD) for code, words in meanings.items()]
                ),
            ),
            Column(
                "Failed",
                # A code has no counter before its first failure: an increase would miss that one.
                f"label_join(\n  {now}\n  - ({before} or 0 * {now}) > 0,"
                '\n  "code", " ", "phase", "exit_code"\n)',
                width=80,
            ),
        ],
        sort="Failed",
        unit="none",
        empty="none has failed",
        runbooks=["TonwatchPayoutsFailing"],
    )
