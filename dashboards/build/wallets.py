"""Wallets and payouts: what is there, how long it lasts, and whether payments arrive."""

from typing import Final

from dashboards.build import links, meaning
from dashboards.build.board import Board, Choice
from dashboards.build.meaning import BAD, OK
from dashboards.build.panels import series, states
from dashboards.build.payouts import failures, payments
from dashboards.build.purse import (
    ASSET,
    KEY,
    NAMED,
    ROW,
    WALLET,
    counted,
    each,
    held,
    in_all,
    in_range,
    runway,
    runways,
)
from dashboards.build.query import Query, coded, m
from dashboards.build.stats import count, stat
from dashboards.build.tables import Column, table

SEEN: Final = "job, instance, wallet"


def wallets() -> Board:
    board = Board(
        links.WALLETS,
        "Wallets and payouts: balances, how long they last, what is sent and what of it fails.",
        (
            Choice("wallet", "Wallet", f"label_values({m('tonwatch_wallet_state')}, wallet)"),
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
                in_all("tonwatch_wallet_low"),
                "TonwatchWalletLow",
                empty="no minimum",
            ),
        ),
        (
            4,
            stat(
                "Shortest runway",
                "How long the balance lasts that will be spent first, at the rate at which it is"
                " being spent. Nothing is shown while nothing is spent.",
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
                "Payouts failed lately",
                "Payouts that failed within the configured window.",
                in_all("tonwatch_wallet_recent_failures"),
                "TonwatchPayoutsFailing",
                empty="not counted",
            ),
        ),
        (
            4,
            count(
                "Payouts came back lately",
                "Payouts that their receivers refused within the configured window.",
                in_all("tonwatch_wallet_recent_bounces"),
                "TonwatchPayoutsBouncing",
                empty="not counted",
                colour=meaning.WARN,
            ),
        ),
        (
            4,
            count(
                "Cannot be read",
                "Assets of wallets that cannot be read although there is somebody to ask. What is"
                " shown of them ends there.",
                f"sum({counted('tonwatch_wallet_unread')})",
                "TonwatchWalletUnread",
                empty="no wallets",
                colour=meaning.WARN,
            ),
        ),
        (
            4,
            stat(
                "Not counted yet",
                "Known transactions that are not counted yet. While there are some, all totals"
                " below are behind.",
                Query(f"sum({counted('tonwatch_wallet_payout_backlog')})"),
                unit="none",
                empty="not counted",
                runbooks=["TonwatchPayoutsBehind"],
            ),
        ),
    )
    board.side_by_side(
        7,
        (
            24,
            table(
                "What wallets hold",
                "Each wallet's assets now, the shortest runway first. Sent and received are"
                " of the time range chosen above. Proven: the balance follows from a block by"
                " Merkle proofs; told: it is a provider's word.",
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
                    Column("Sent", in_range("tonwatch_wallet_sent_total"), unit="locale"),
                    Column("Received", in_range("tonwatch_wallet_received_total"), unit="locale"),
                    Column(
                        "Read",
                        each("tonwatch_wallet_unread"),
                        mappings=meaning.texts([("0", "yes", OK), ("1", "no", meaning.WARN)]),
                        width=80,
                    ),
                    Column(
                        "Balance is",
                        each("tonwatch_wallet_balance_proven"),
                        mappings=meaning.texts(
                            [("1", "proven", OK), ("0", "told", meaning.NOT_KNOWN)]
                        ),
                        width=100,
                    ),
                    Column(
                        "As of",
                        f"1000 * {each('tonwatch_wallet_balance_timestamp_seconds')}",
                        unit="dateTimeFromNow",
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
                runbooks=["TonwatchWalletLow", "TonwatchWalletUnread"],
            ),
        ),
        (12, runways(WALLET, ASSET)),
    )


def _accounts(board: Board) -> None:
    board.row("Accounts")
    board.side_by_side(
        5,
        (
            12,
            states(
                "States of wallets",
                "The state of each wallet's account. A frozen one can neither pay nor be paid.",
                Query(
                    coded("tonwatch_wallet_state", meaning.ACCOUNTS, SEEN, WALLET),
                    "{{wallet}} · {{instance}}",
                ),
                unit="none",
                mappings=meaning.words(meaning.ACCOUNTS),
                empty="no wallets are configured",
                runbooks=["TonwatchWalletFrozen", "TonwatchWalletUnread"],
            ),
        ),
        (
            12,
            table(
                "Contracts",
                "The contracts that are watched: the state of each one's account, and whether its"
                " code is still the configured one.",
                [
                    Column("Contract", label="contract"),
                    Column(
                        "State",
                        coded(
                            "tonwatch_contract_state",
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
