"""Payouts of wallets, and their failures."""

from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.build import meaning
from dashboards.build.board import Board
from dashboards.build.panels import series
from dashboards.build.query import Query, grown, m, threshold
from dashboards.build.tables import Column, table
from dashboards.build.wallet_queries import (
    KEY,
    NAMED,
    WALLET,
    a_minute,
    an_hour,
    of_assets,
    of_wallets,
    since_the_last_bar,
    troubles,
)
from dashboards.build.write_path import write_path
from tonwatch.watch.wallet_findings import MEANINGS

FAILED: Final = "tonwatch_wallet_failed_transactions_total"

BY_CODE: Final = f"{KEY}, transaction_phase, exit_code"


def payments(board: Board) -> None:
    board.row("Payouts")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Sent, amount an hour",
                "What left each wallet; of the native coin also what is attached to transfers of"
                " jettons.",
                Query(an_hour("tonwatch_wallet_sent_amount_total"), NAMED),
                stacked=True,
                unit="short",
                empty="no wallet has payouts",
            ),
        ),
        (
            8,
            series(
                "Received and bounced",
                "Amounts since the bar before: what others sent, and what bounced back after it had"
                " been sent.",
                [
                    Query(
                        since_the_last_bar("tonwatch_wallet_received_amount_total"),
                        f"{NAMED} received",
                    ),
                    Query(
                        since_the_last_bar("tonwatch_wallet_bounced_amount_total"),
                        f"{NAMED} bounced",
                    ),
                ],
                bars=True,
                stacked=True,
                unit="short",
                empty="nothing received",
                runbooks=["TonwatchPayoutsBouncing"],
            ),
        ),
        (
            8,
            series(
                "Payouts a minute",
                "Messages to others and transfers of jettons. A wallet that used to pay and is flat"
                " at zero has stopped.",
                Query(a_minute("tonwatch_wallet_sent_messages_total"), NAMED),
                bars=True,
                stacked=True,
                unit="short",
                empty="no wallet has payouts",
                runbooks=["TonwatchPayoutsStopped"],
            ),
        ),
    )


def failures(board: Board) -> None:
    board.row("Failures")
    board.side_by_side(
        8,
        (8, troubles(WALLET)),
        (8, _exit_codes()),
        (
            8,
            series(
                "Failed, skipped and bounced",
                "Since the bar before: transactions that failed or whose compute phase was skipped,"
                " messages that the action phase skipped (ignored errors, mode 2), and bounces."
                " Most skipped compute phases come from others who send too little.",
                [
                    Query(
                        f"sum by ({KEY}) ({since_the_last_bar(FAILED, BY_CODE)})",
                        f"{NAMED} failed",
                    ),
                    Query(
                        since_the_last_bar("tonwatch_wallet_skipped_messages_total"),
                        f"{NAMED} skipped",
                    ),
                    Query(
                        since_the_last_bar(
                            "tonwatch_wallet_compute_skipped_transactions_total",
                            f"{KEY}, skip_reason",
                        ),
                        f"{NAMED} {{{{skip_reason}}}}",
                    ),
                    Query(
                        since_the_last_bar("tonwatch_wallet_bounced_messages_total"),
                        f"{NAMED} bounced",
                    ),
                ],
                bars=True,
                stacked=True,
                unit="short",
                colours={
                    " (failed|skipped)$": meaning.BAD,
                    " bounced$": meaning.WARN,
                    "^(?!.* (failed|skipped|bounced)$)": meaning.NOT_KNOWN,
                },
                empty="no failures",
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
                " too low; it should fall by itself.",
                [
                    Query(
                        f"max by (wallet) ({of_wallets('tonwatch_wallet_backlog_transactions')})",
                        "{{wallet}}",
                    ),
                    threshold("payout_backlog"),
                ],
                unit="short",
                decimals=0,
                empty="no wallet has payouts",
                runbooks=["TonwatchPayoutsBacklog", "TonwatchPayoutsGap"],
            ),
        ),
        (
            8,
            series(
                "Fees, amount an hour",
                "Fees of each wallet's transactions, in the native coin.",
                Query(an_hour("tonwatch_wallet_fees_amount_total"), NAMED),
                stacked=True,
                unit="short",
                empty="no wallet has payouts",
            ),
        ),
        (8, write_path(m("tonwatch_target_accepts_external_messages"), "target")),
    )


def _exit_codes() -> dashboard.Panel:
    meanings = {
        f"{phase} {code}": words.format(coin="coins") for (phase, code), words in MEANINGS.items()
    }
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
                f"label_join(\n  {grown(of_assets(FAILED), '$__range', BY_CODE)} > 0,"
                '\n  "code", " ", "transaction_phase", "exit_code"\n)',
                width=80,
            ),
        ],
        sort="Failed",
        unit="none",
        empty="none has failed",
        runbooks=["TonwatchPayoutsFailing"],
    )
