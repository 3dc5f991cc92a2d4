"""Wallets and payouts: balances, how long they last, and whether payouts succeed."""

from typing import Final

from dashboards.build import links, meaning
from dashboards.build.board import Board, Choice
from dashboards.build.meaning import BAD, OK
from dashboards.build.panels import series, states
from dashboards.build.payouts import failures, payments
from dashboards.build.query import Query, coded_by, m
from dashboards.build.stats import count, stat
from dashboards.build.tables import Column, table
from dashboards.build.wallet_queries import (
    ASSET,
    KEY,
    NAMED,
    ROW,
    WALLET,
    each,
    held,
    in_all,
    in_range,
    of_wallets,
    runway,
    runways,
)

SEEN: Final = "job, instance, wallet"


def wallets() -> Board:
    board = Board(
        links.WALLETS,
        "Wallets and payouts: balances, how long they last, what is sent and what of it fails.",
        (
            Choice("wallet", "Wallet", f"label_values({m('tonwatch_wallet_status')}, wallet)"),
            Choice(
                "asset", "Asset", f"label_values({m('tonwatch_wallet_balance', WALLET)}, asset)"
            ),
        ),
        span="6h",
    )
    _now(board)
    _balances(board)
    payments(board)
    failures(board)
    _accounts(board)
    return board


def _now(board: Board) -> None:
    board.side_by_side(
        3,
        (
            4,
            count(
                "Wallets low",
                "Wallets that hold less of any asset than its configured minimum.",
                "sum(\n  max by (wallet) (\n    "
                f"{of_wallets('tonwatch_wallet_balance')}"
                f"\n    < bool {of_wallets('tonwatch_wallet_balance_minimum')}\n  )\n)",
                "TonwatchWalletLow",
                empty="no minimum",
            ),
        ),
        (
            4,
            stat(
                "Shortest runway",
                "How long the balance that runs out first lasts, at the rate at which it is spent."
                " Empty while nothing is spent.",
                Query(f"round(min({runway(KEY, WALLET, ASSET)}), 60)"),
                unit="s",
                decimals=1,
                empty="nothing is spent",
                runbooks=["TonwatchWalletRunwayShort", "TonwatchWalletRunwayCritical"],
            ),
        ),
        (
            4,
            count(
                "Recent failed payouts",
                "Payouts that failed within the configured window.",
                in_all("tonwatch_wallet_recent_failed_payouts"),
                "TonwatchPayoutsFailing",
                empty="not counted",
            ),
        ),
        (
            4,
            count(
                "Recent bounced payouts",
                "Payouts that their receivers refused within the configured window.",
                in_all("tonwatch_wallet_recent_bounced_payouts"),
                "TonwatchPayoutsBouncing",
                empty="not counted",
                colour=meaning.WARN,
            ),
        ),
        (
            4,
            count(
                "Balance read failing",
                "Wallets of which a balance cannot be read although a target answers. Its other"
                " panels have gaps then.",
                in_all("tonwatch_wallet_balance_read_failing"),
                "TonwatchWalletReadFailing",
                empty="no wallets",
                colour=meaning.WARN,
            ),
        ),
        (
            4,
            stat(
                "Backlog",
                "Known transactions that are not counted yet. While there are some, all totals"
                " below are too low.",
                Query(in_all("tonwatch_wallet_backlog_transactions")),
                unit="none",
                empty="not counted",
                runbooks=["TonwatchPayoutsBacklog"],
            ),
        ),
    )
    board.side_by_side(
        7,
        (
            24,
            table(
                "Balances",
                "Each wallet's assets now, the shortest runway first. Sent and received are"
                " of the time range chosen above.",
                [
                    Column("Wallet", label="wallet"),
                    Column("Asset", label="asset"),
                    Column("Balance", each("tonwatch_wallet_balance"), unit="locale"),
                    Column("Minimum", each("tonwatch_wallet_balance_minimum"), unit="locale"),
                    Column(
                        "Above minimum",
                        f"{each('tonwatch_wallet_balance')}"
                        f"\n  >= bool {each('tonwatch_wallet_balance_minimum')}",
                        mappings=meaning.yes_no("yes", "low"),
                        filled=True,
                        width=120,
                    ),
                    Column(
                        "Runway",
                        f"round({runway(ROW, WALLET, ASSET)}, 60)",
                        unit="s",
                        decimals=1,
                        width=100,
                    ),
                    Column("Sent", in_range("tonwatch_wallet_sent_amount_total"), unit="locale"),
                    Column(
                        "Received", in_range("tonwatch_wallet_received_amount_total"), unit="locale"
                    ),
                    Column("Instance", label="instance"),
                ],
                sort="Runway",
                descending=False,
                unit="none",
                empty="no wallets are configured",
            ),
        ),
    )


def _balances(board: Board) -> None:
    board.row("Balances")
    board.side_by_side(
        8,
        (
            12,
            series(
                "Balances and minimums",
                "What each wallet holds, in whole coins; its minimum is dashed in red.",
                [
                    Query(held("tonwatch_wallet_balance"), NAMED),
                    Query(held("tonwatch_wallet_balance_minimum"), f"{NAMED} minimum", BAD),
                ],
                unit="short",
                empty="no wallets are configured",
                runbooks=["TonwatchWalletLow", "TonwatchWalletReadFailing"],
            ),
        ),
        (12, runways(WALLET, ASSET)),
    )


def _accounts(board: Board) -> None:
    board.row("Accounts")
    read = of_wallets("tonwatch_wallet_balance_read_failing")
    info = of_wallets("tonwatch_wallet_info")
    board.side_by_side(
        5,
        (
            24,
            table(
                "How balances are read",
                "Each wallet's version, whether its balances can be read, and the time of the block"
                " at which they were. Proven: they follow from a block by Merkle proofs; otherwise"
                " a provider claims them.",
                [
                    Column("Wallet", label="wallet"),
                    Column("Version", label="wallet_version"),
                    Column(
                        "Read",
                        f"max by ({SEEN}) ({read})\n  * on ({SEEN}) group_left (wallet_version,"
                        f" proven) {info}\nor max by ({SEEN}) ({read}) unless on ({SEEN}) {info}",
                        mappings=meaning.texts([("0", "yes", OK), ("1", "no", meaning.WARN)]),
                        width=80,
                    ),
                    Column(
                        "Proven",
                        label="proven",
                        mappings=meaning.texts(
                            [("true", "yes", OK), ("false", "no", meaning.NOT_KNOWN)]
                        ),
                        width=100,
                    ),
                    Column(
                        "As of",
                        f"1000 * max by ({SEEN})"
                        f" ({of_wallets('tonwatch_wallet_balance_timestamp_seconds')})",
                        unit="dateTimeFromNow",
                    ),
                    Column("Instance", label="instance"),
                ],
                sort="As of",
                descending=False,
                unit="none",
                empty="no wallets are configured",
                runbooks=["TonwatchWalletReadFailing"],
            ),
        ),
    )
    board.side_by_side(
        5,
        (
            12,
            states(
                "Status of wallets",
                "The status of each wallet's account. A frozen one can neither pay nor be paid.",
                Query(
                    coded_by("status", "tonwatch_wallet_status", meaning.ACCOUNTS, SEEN, WALLET),
                    "{{wallet}} · {{instance}}",
                ),
                unit="none",
                mappings=meaning.words(meaning.ACCOUNTS),
                empty="no wallets are configured",
                runbooks=["TonwatchWalletFrozen", "TonwatchWalletReadFailing"],
            ),
        ),
        (
            12,
            table(
                "Contracts",
                "The configured contracts: the status of each one's account, and whether its"
                " code is still the configured one.",
                [
                    Column("Contract", label="contract"),
                    Column(
                        "State",
                        coded_by(
                            "status",
                            "tonwatch_contract_status",
                            meaning.ACCOUNTS,
                            "job, instance, contract",
                        ),
                        mappings=meaning.words(meaning.ACCOUNTS),
                        filled=True,
                    ),
                    Column(
                        "Code",
                        f"max by (job, instance, contract) ({m('tonwatch_contract_code_matches')})",
                        mappings=meaning.yes_no("as configured", "changed"),
                        filled=True,
                    ),
                    Column("Instance", label="instance"),
                ],
                sort="State",
                unit="none",
                empty="no contracts are configured",
                runbooks=["TonwatchContractChanged"],
            ),
        ),
    )
