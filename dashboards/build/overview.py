"""The first look: what is wrong and since when, then what one asks next."""

from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.build import links, meaning
from dashboards.build.alerts import EVERY, firing
from dashboards.build.board import Board
from dashboards.build.meaning import BAD, OK, WARN
from dashboards.build.nodes import NODES
from dashboards.build.panels import gauges, series, states
from dashboards.build.providers import PROVIDERS
from dashboards.build.query import (
    Query,
    coded_by,
    m,
    of_kind,
    target_states,
    threshold,
    with_role,
)
from dashboards.build.stats import stat
from dashboards.build.tables import Column, table
from dashboards.build.targets import NAMED, Targets, lag
from dashboards.build.wallet_queries import KEY, runways, troubles
from tonwatch.watch.findings import Cause

AGE: Final = (
    f"{m('tonwatch_last_evaluation_timestamp_seconds')} - {m('tonwatch_head_timestamp_seconds')}"
)

CHOSEN: Final = 'instance=~"$instance|"'
"""Of alerts, those without an instance too: of services, and that no tonwatch is there."""


def overview() -> Board:
    board = Board(
        links.OVERVIEW,
        "What is wrong with our way to TON and since when, and what to look at next.",
    )
    _verdict(board)
    _who(board)
    _money(board)
    _chain(board)
    return board


def _verdict(board: Board) -> None:
    critical, warning = (
        f'count(ALERTS{{alertname=~"{EVERY}", alertstate="firing", severity="{severity}",'
        f" {CHOSEN}}}) or vector(0)"
        for severity in ("critical", "warning")
    )
    board.side_by_side(
        4,
        (
            8,
            stat(
                "Diagnosis",
                "The one cause that tonwatch names for all that is wrong, the most basic first."
                " Where the chosen tonwatches differ, each cause is named once. A click leads to"
                " what it means; the alerts below lead to what to do.",
                Query(f"max by (cause) ({m('tonwatch_diagnosis')} == 1)", "{{cause}}"),
                names=True,
                filled=True,
                unit="none",
                colours=meaning.cause_colours(),
                link=links.of_cause(),
                empty="tonwatch is not there",
                runbooks=["TonwatchAbsent", "TonwatchHanging"],
            ),
        ),
        (
            4,
            stat(
                "Diagnosed since",
                "When that cause was first diagnosed; where the chosen tonwatches differ, the"
                " latest.",
                Query(f"1000 * max({m('tonwatch_diagnosis_since_timestamp_seconds')})"),
                unit="dateTimeFromNow",
                empty="unknown",
            ),
        ),
        (
            4,
            stat(
                "Ready",
                "What /ready tells those who ask whether payouts and reads may go on.",
                Query(f"max by (readiness) ({m('tonwatch_readiness')} == 1)", "{{readiness}}"),
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
                Query(f"max({AGE})"),
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
    causes = {cause: meaning.CAUSES.get(cause, BAD) for cause in Cause}
    board.side_by_side(
        4,
        (
            24,
            states(
                "Diagnosis over time",
                "Which cause each tonwatch named, and when. A gap means that tonwatch was not"
                " there.",
                Query(
                    coded_by("cause", "tonwatch_diagnosis", causes, "job, instance"),
                    "{{instance}}",
                ),
                unit="none",
                mappings=meaning.words(causes),
                empty="tonwatch is not there",
            ),
        ),
    )
    board.side_by_side(8, (24, firing(EVERY, CHOSEN)))


def _who(board: Board) -> None:
    board.row("Who is not well")
    board.side_by_side(
        6,
        (12, _targets("Liteservers", NODES, links.NODES)),
        (12, _targets("Providers", PROVIDERS, links.PROVIDERS)),
    )
    board.side_by_side(
        7,
        (
            24,
            states(
                "States of targets",
                "The state of every target over time. A gap means that tonwatch was not there or"
                " knew nothing.",
                Query(target_states(), NAMED),
                unit="none",
                mappings=meaning.words(meaning.TARGET_STATES),
                empty="no targets",
            ),
        ),
    )


def _targets(title: str, targets: Targets, uid: str) -> dashboard.Panel:
    kinds = targets.kinds
    distance = of_kind("tonwatch_target_lag_seconds", kinds)
    latency = of_kind("tonwatch_target_latency_seconds", kinds)
    return table(
        title,
        "How each is now, the worst first: its state, its lag to the head of the chain,"
        " and its median latency. Its name leads to all about it.",
        [
            Column("Name", label="target", link=links.drill_down(uid, targets.variable)),
            Column(
                "State",
                with_role(target_states(), kinds),
                mappings=meaning.words(meaning.TARGET_STATES),
                filled=True,
                width=130,
            ),
            Column("Role", label="role", width=90),
            Column("Lag", distance, unit="s", width=90),
            Column("Latency", latency, unit="s", width=90),
            Column("Instance", label="instance"),
        ],
        sort="State",
        unit="none",
        empty="none configured",
    )


def _money(board: Board) -> None:
    board.row("Wallets and payouts")
    held, minimum = (
        f"min by ({KEY}) ({m(f'tonwatch_wallet_balance{of}')})" for of in ("", "_minimum")
    )
    board.side_by_side(
        8,
        (
            8,
            gauges(
                "Balance over minimum",
                "What each wallet holds, divided by its configured minimum: below 100 % it is low."
                " The bar is full at twice the minimum. Wallets without a minimum are not here.",
                Query(f"{held}\n/ ({minimum} > 0)", "{{wallet}} {{asset}}"),
                unit="percentunit",
                decimals=0,
                steps=((None, BAD), (1, OK)),
                minimum=0,
                maximum=2,
                empty="no wallet has a minimum",
                runbooks=["TonwatchWalletLow"],
            ),
        ),
        (8, runways()),
        (8, troubles()),
    )


def _chain(board: Board) -> None:
    board.row("The chain")
    board.side_by_side(
        8,
        (
            12,
            lag("Lag to the head, by target", (), "TonwatchNodeLagging", "TonwatchLagCritical"),
        ),
        (
            12,
            series(
                "Age of the head",
                "Seconds since the newest block that any target has. Over the line the chain stands"
                " still, or all targets do.",
                [Query(AGE, "{{instance}}"), threshold("stalled", bad=True)],
                unit="suffix:s",
                runbooks=["TonwatchChainStalled"],
            ),
        ),
    )
