"""Payments of wallets, and what of them goes wrong."""

from dashboards.build import meaning
from dashboards.build.board import Board
from dashboards.build.panels import series, states
from dashboards.build.purse import KEY, NAMED, a_minute, an_hour, of_assets, of_wallets
from dashboards.build.query import Query, m, threshold


def payments(board: Board) -> None:
    board.row("Payouts")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Sent",
                "Coins an hour that left each wallet; of the native coin also what goes along with"
                " transfers of jettons.",
                Query(an_hour("tonwatch_wallet_sent_total"), NAMED),
                stacked=True,
                unit="suffix: /h",
                empty="no wallet has payouts",
            ),
        ),
        (
            8,
            series(
                "Received and come back",
                "Coins an hour that others sent, and that came back after they had been sent.",
                [
                    Query(an_hour("tonwatch_wallet_received_total"), f"{NAMED} received"),
                    Query(an_hour("tonwatch_wallet_returned_total"), f"{NAMED} came back"),
                ],
                stacked=True,
                unit="suffix: /h",
                empty="no wallet has payouts",
                runbooks=["TonwatchPayoutsBouncing"],
            ),
        ),
        (
            8,
            series(
                "Payments",
                "Messages to others and transfers of jettons, a minute. A wallet that used to"
                " pay and is flat at zero has stopped.",
                Query(a_minute("tonwatch_wallet_messages_sent_total"), NAMED),
                bars=True,
                stacked=True,
                unit="cpm",
                empty="no wallet has payouts",
                runbooks=["TonwatchPayoutsStopped"],
            ),
        ),
    )


def failures(board: Board) -> None:
    board.row("What goes wrong")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Payouts failed or come back lately",
                "Within the configured window. Over the red line tonwatch says that payouts fail,"
                " over the orange one that they come back.",
                [
                    Query(of_wallets("tonwatch_wallet_recent_failures"), "{{wallet}} failed"),
                    Query(of_wallets("tonwatch_wallet_recent_bounces"), "{{wallet}} came back"),
                    threshold("payout_failures", bad=True),
                    threshold("payout_bounces"),
                ],
                unit="short",
                decimals=0,
                empty="no wallet has payouts",
                runbooks=["TonwatchPayoutsFailing", "TonwatchPayoutsBouncing"],
            ),
        ),
        (
            8,
            series(
                "Failed transactions, by exit code",
                "Transactions that failed so, ever since counting began, whoever caused them. The"
                " code says why: 37 is not enough coins, 40 not enough for fees, 33 an old seqno,"
                " 35 a wrong signature or an expired message; the runbook has more.",
                Query(
                    "sum by (job, instance, wallet, asset, phase, exit_code)"
                    f" ({of_assets('tonwatch_wallet_failures_total')})",
                    f"{NAMED} {{{{phase}}}} {{{{exit_code}}}}",
                ),
                unit="short",
                decimals=0,
                empty="none has failed",
                runbooks=["TonwatchPayoutsFailing"],
            ),
        ),
        (
            8,
            series(
                "Failed, skipped and come back",
                "Transactions that failed, that had no compute phase, and messages that came back."
                " Strangers who send too little cause most of those without a compute phase.",
                [
                    Query(a_minute("tonwatch_wallet_failed_total"), f"{NAMED} failed"),
                    Query(
                        a_minute("tonwatch_wallet_skipped_total", f"{KEY}, reason"),
                        f"{NAMED} {{{{reason}}}}",
                    ),
                    Query(a_minute("tonwatch_wallet_bounces_total"), f"{NAMED} came back"),
                ],
                bars=True,
                stacked=True,
                unit="cpm",
                empty="no wallet has payouts",
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
                    Query(of_assets("tonwatch_wallet_payout_backlog"), NAMED),
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
                "Fees",
                "Fees an hour of each wallet's transactions, in native coins for every asset.",
                Query(an_hour("tonwatch_wallet_fees_total"), NAMED),
                stacked=True,
                unit="suffix: /h",
                empty="no wallet has payouts",
            ),
        ),
        (
            8,
            states(
                "Messages come through",
                "Whether a message that a wallet must refuse was refused by the wallet itself, for"
                " each target that payouts may be sent through.",
                Query(m("tonwatch_target_write_path"), "{{target}} · {{instance}}"),
                unit="none",
                mappings=meaning.yes_no("come through", "do not"),
                empty="no wallet has write_probe",
                runbooks=["TonwatchWritePathBroken"],
            ),
        ),
    )
