"""The overview: what is wrong and since when, and what is affected."""

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

SINCE: Final = "tonwatch_diagnosis_since_timestamp_seconds"

ABOUT: Final = "cause, target, wallet, contract"

WHOSE: Final = "{{cause}} {{target}}{{wallet}}{{contract}}"
"""At most one of the last three is there."""

CHOSEN: Final = 'instance=~"$instance|"'
"""Of alerts, those without an instance too: of services, and of an absent tonwatch."""


def overview() -> Board:
    board = Board(
        links.OVERVIEW,
        "What is wrong with the access to TON and since when, and what to look at next.",
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
            12,
            stat(
                "Diagnosis",
                "The most basic cause of all that is wrong, the target, wallet or contract that it"
                " is about, and since when it is diagnosed. Where the chosen instances differ, each"
                " is shown. It links to its explanation; the alerts below link to their runbooks.",
                Query(f"1000 * max by ({ABOUT}) ({m(SINCE)})", WHOSE),
                both=True,
                filled=True,
                unit="dateTimeFromNow",
                colours=meaning.cause_colours(),
                link=links.of_cause(),
                empty="tonwatch is not scraped",
                runbooks=["TonwatchAbsent", "TonwatchHanging"],
            ),
        ),
        (
            4,
            stat(
                "Ready",
                "What /ready answers: whether payouts and reads may use the primaries.",
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
                "Seconds from the time of the newest block to the last evaluation. Usual are up to"
                " the interval of probes and one more: block times are whole seconds.",
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
                "Which cause each instance diagnosed, and when. A gap means that tonwatch was not"
                " scraped.",
                Query(
                    coded_by("cause", "tonwatch_diagnosis", causes, "job, instance"),
                    "{{instance}}",
                ),
                unit="none",
                mappings=meaning.words(causes),
                empty="tonwatch is not scraped",
            ),
        ),
    )
    board.side_by_side(8, (24, firing(EVERY, CHOSEN)))


def _who(board: Board) -> None:
    board.row("Targets")
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
                "The state of every target over time. A gap means that tonwatch was not scraped"
                " or had no data.",
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
        " and its median latency. Its name links to its details.",
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
                " The bar is full at twice the minimum. Wallets without a minimum are not shown.",
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
            8,
            lag("Lag to the head, by target", (), "TonwatchNodeLagging", "TonwatchLagCritical"),
        ),
        (
            8,
            series(
                "Seconds from block to block",
                "How fast the chain makes masterchain blocks, now and as is usual: four times what"
                " is usual, and 4 s at least, is a slow chain.",
                [
                    Query(m("tonwatch_chain_block_interval_seconds"), "{{instance}}"),
                    Query(m("tonwatch_chain_usual_block_interval_seconds"), "usual, {{instance}}"),
                ],
                unit="s",
                runbooks=["TonwatchChainSlow"],
            ),
        ),
        (
            8,
            series(
                "Age of the head",
                "Seconds since the newest block that any target has. Over the line the chain is"
                " stalled, or all targets are.",
                [Query(AGE, "{{instance}}"), threshold("stalled", bad=True)],
                unit="suffix:s",
                runbooks=["TonwatchChainStalled"],
            ),
        ),
    )
