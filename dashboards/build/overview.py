"""The first look: what is wrong and since when, then what one asks next."""

from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.build import links, meaning
from dashboards.build.alerts import firing
from dashboards.build.board import Board
from dashboards.build.meaning import BAD, OK, WARN
from dashboards.build.panels import gauges, series, stat, states
from dashboards.build.purse import LIMITS, runway
from dashboards.build.query import Query, m, of_kind, target_states, threshold, with_role
from dashboards.build.tables import Column, table

NODE: Final = 'kind="liteserver"'
PROVIDER: Final = 'kind!="liteserver"'


def overview() -> Board:
    board = Board(
        links.OVERVIEW,
        "What is wrong with our way to TON and since when, and what to look at next.",
    )
    _verdict(board)
    _who(board)
    _chain(board)
    _money(board)
    return board


def _verdict(board: Board) -> None:
    critical, warning = (
        f'count(ALERTS{{alertname=~"Tonwatch.+", alertstate="firing", severity="{severity}",'
        ' instance=~"$instance|"}) or vector(0)'
        for severity in ("critical", "warning")
    )
    board.side_by_side(
        5,
        (
            8,
            stat(
                "Diagnosis",
                "The one cause that tonwatch names for all that is wrong, the most basic first."
                " Where the chosen tonwatches differ, each cause is named once. The runbook is"
                " named like the cause: Tonwatch and its words.",
                Query(f"max by (cause) ({m('tonwatch_diagnosis')} == 1)", "{{cause}}"),
                names=True,
                filled=True,
                unit="none",
                colours=meaning.cause_colours(),
                empty="tonwatch is not there",
                runbooks=["TonwatchAbsent", "TonwatchHanging"],
            ),
        ),
        (
            4,
            stat(
                "Named since",
                "When that cause was first named; where the chosen tonwatches differ, the latest.",
                Query(f"1000 * max({m('tonwatch_diagnosis_since_timestamp_seconds')})"),
                unit="dateTimeFromNow",
            ),
        ),
        (
            4,
            stat(
                "Ready",
                "What /ready tells those who ask whether payouts and reads may go on.",
                Query(f"max by (phase) ({m('tonwatch_readiness')} == 1)", "{{phase}}"),
                names=True,
                filled=True,
                unit="none",
                colours=meaning.phase_colours(),
                empty="unknown",
            ),
        ),
        (
            4,
            stat(
                "Age of the chain's head",
                "Seconds from when the newest block was made until tonwatch judged it. Usual are up"
                " to the interval of probes and one more: blocks carry whole seconds.",
                Query(
                    f"max({m('tonwatch_view_timestamp_seconds')}"
                    f" - {m('tonwatch_head_timestamp_seconds')})"
                ),
                trend=True,
                unit="s",
                decimals=1,
                empty="no head",
                runbooks=["TonwatchChainStalled"],
            ),
        ),
        (
            4,
            stat(
                "Alerts firing",
                "Alerts of tonwatch's rules that fire now; the table below has their runbooks.",
                [Query(critical, "critical", BAD), Query(warning, "warning", WARN)],
                both=True,
                unit="none",
            ),
        ),
    )
    board.side_by_side(
        6,
        (
            12,
            states(
                "Diagnosis over time",
                "One row for each cause that was named, and when it was.",
                Query(f"max by (cause) ({m('tonwatch_diagnosis')} == 1)", "{{cause}}"),
                unit="none",
                worded=False,
                colours=meaning.cause_colours(),
                empty="tonwatch is not there",
            ),
        ),
        (12, firing('instance=~"$instance|"')),
    )


def _who(board: Board) -> None:
    board.row("Who is not well")
    board.side_by_side(
        7,
        (12, _targets("Liteservers", NODE, links.NODES, "node")),
        (12, _targets("Providers", PROVIDER, links.PROVIDERS, "provider")),
    )
    board.side_by_side(
        8,
        (
            24,
            states(
                "How targets stood",
                "The state of every target over time. A gap means that tonwatch was not there or"
                " knew nothing.",
                Query(target_states(), "{{target}} · {{instance}}"),
                unit="none",
                mappings=meaning.words(meaning.TARGET_STATES),
                empty="no targets",
            ),
        ),
    )


def _targets(title: str, kind: str, uid: str, variable: str) -> dashboard.Panel:
    return table(
        title,
        "How each stands now, the worst first: its state, its distance to the head of the chain"
        " and its median latency. Its name leads to all about it.",
        [
            Column("Name", label="target", link=links.drill_down(uid, variable)),
            Column(
                "State",
                with_role(target_states(), kind),
                mappings=meaning.words(meaning.TARGET_STATES),
                filled=True,
                width=130,
            ),
            Column("Role", label="role", width=90),
            Column("Behind", of_kind("tonwatch_target_behind_seconds", kind), unit="s", width=90),
            Column("Latency", of_kind("tonwatch_target_latency_seconds", kind), unit="s", width=90),
            Column("Instance", label="instance"),
        ],
        sort="State",
        unit="none",
        empty="none configured",
    )


def _chain(board: Board) -> None:
    board.row("The chain")
    board.side_by_side(
        8,
        (
            12,
            series(
                "Behind the head, by target",
                "Seconds that each target's last block is older than the head. Over the orange line"
                " it is lagging, over the red one not ready.",
                [
                    Query(m("tonwatch_target_behind_seconds"), "{{target}} · {{instance}}"),
                    threshold("behind_warn"),
                    threshold("behind_unready", bad=True),
                ],
                unit="s",
                runbooks=["TonwatchNodeLagging", "TonwatchLagCritical"],
            ),
        ),
        (
            12,
            series(
                "Age of the head",
                "Seconds since the newest block that any target has. Over the line the chain stands"
                " still, or all targets do.",
                [
                    Query(
                        f"{m('tonwatch_view_timestamp_seconds')}"
                        f" - {m('tonwatch_head_timestamp_seconds')}",
                        "{{instance}}",
                    ),
                    threshold("stalled", bad=True),
                ],
                unit="s",
                runbooks=["TonwatchChainStalled"],
            ),
        ),
    )


def _money(board: Board) -> None:
    board.row("Wallets and payouts")
    board.side_by_side(
        8,
        (
            8,
            gauges(
                "Balance over minimum",
                "What each wallet holds, divided by its configured minimum: below one it is low."
                " Wallets without a minimum are not here.",
                Query(
                    f"{m('tonwatch_wallet_balance')}"
                    f"\n/ ({m('tonwatch_wallet_balance_minimum')} > 0)",
                    "{{wallet}} {{asset}}",
                ),
                unit="percentunit",
                steps=((None, BAD), (1, OK)),
                minimum=0,
                empty="no wallet has a minimum",
                runbooks=["TonwatchWalletLow"],
            ),
        ),
        (
            8,
            series(
                "Runway",
                "How long each balance lasts at the rate at which it is being spent. Wallets that"
                " spend nothing are not here.",
                [Query(runway(), "{{wallet}} {{asset}}"), *LIMITS],
                unit="dtdurations",
                runbooks=["TonwatchWalletRunwayShort", "TonwatchWalletRunwayCritical"],
            ),
        ),
        (
            8,
            series(
                "Payouts failed or come back lately",
                "Payouts within the configured window that failed or that their receivers refused."
                " Over the lines tonwatch names the wallet.",
                [
                    Query(m("tonwatch_wallet_recent_failures"), "{{wallet}} failed"),
                    Query(m("tonwatch_wallet_recent_bounces"), "{{wallet}} came back"),
                    threshold("payout_failures", bad=True),
                    threshold("payout_bounces"),
                ],
                unit="short",
                decimals=0,
                runbooks=["TonwatchPayoutsFailing", "TonwatchPayoutsBouncing"],
            ),
        ),
    )
