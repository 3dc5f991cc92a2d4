"""RPC providers: whose word is worth how much, and what is left of our budget with them."""

from typing import Final

from dashboards.build import links, meaning, slo
from dashboards.build.board import Board
from dashboards.build.panels import series, states
from dashboards.build.query import RATE, Query
from dashboards.build.tables import Column
from dashboards.build.targets import NAMED, Targets

PROVIDERS: Final = Targets("provider", 'kind!="liteserver"', "provider")


def providers() -> Board:
    board = Board(
        links.PROVIDERS,
        "RPC providers: do they answer, are they in sync, do they limit or refuse us.",
        (PROVIDERS.choice,),
    )
    _now(board)
    _answers(board)
    _limits(board)
    board.row("Objectives")
    board.side_by_side(7, *slo.objectives(PROVIDERS))
    return board


def _now(board: Board) -> None:
    board.side_by_side(
        4,
        (
            6,
            PROVIDERS.count(
                "Answering",
                "tonwatch_target_up",
                "Share of the chosen providers that answer questions.",
                "TonwatchProviderDown",
            ),
        ),
        (
            6,
            PROVIDERS.count(
                "Usable",
                "tonwatch_target_usable",
                "Share of the chosen providers that are in sync within the limits of readiness.",
                "TonwatchProviderLagging",
            ),
        ),
        (
            6,
            PROVIDERS.worst(
                "Furthest behind",
                "tonwatch_target_behind_seconds",
                "s",
                "The distance to the head of the chosen provider that is furthest behind.",
                "TonwatchProviderLagging",
            ),
        ),
        (
            6,
            PROVIDERS.worst(
                "Slowest",
                "tonwatch_target_latency_seconds",
                "s",
                "Median latency of the slowest of the chosen providers.",
                "TonwatchProviderSlow",
            ),
        ),
    )
    board.side_by_side(
        6,
        (
            24,
            PROVIDERS.listed(
                "Providers",
                "How each stands now, the worst first.",
                [
                    Column("Kind", label="kind"),
                    Column("Behind", PROVIDERS.each("tonwatch_target_behind_seconds"), unit="s"),
                    Column("Blocks behind", PROVIDERS.each("tonwatch_target_behind_blocks")),
                    Column("Latency", PROVIDERS.each("tonwatch_target_latency_seconds"), unit="s"),
                    Column(
                        "Messages",
                        PROVIDERS.each("tonwatch_target_write_path"),
                        mappings=meaning.yes_no("come through", "do not"),
                    ),
                ],
            ),
        ),
    )
    board.side_by_side(6, (24, PROVIDERS.over_time()))


def _answers(board: Board) -> None:
    board.row("Answers")
    board.side_by_side(
        8,
        (12, PROVIDERS.behind("TonwatchProviderLagging", "TonwatchProviderStalled")),
        (12, PROVIDERS.latency("TonwatchProviderSlow")),
    )
    board.side_by_side(
        8,
        (12, PROVIDERS.slowest()),
        (12, PROVIDERS.phases("head")),
    )


def _limits(board: Board) -> None:
    results = PROVIDERS.m("tonwatch_probe_results_total")
    refused = PROVIDERS.m("tonwatch_probe_results_total", 'reason=~"rate_limited|unauthorized"')
    board.row("Limits and failures")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Limited or refused",
                "Share of our probes that a provider refuses because of its limits or of our key."
                " It is not down then: look at who else spends the same account's budget.",
                Query(
                    f"sum by (job, instance, target, reason) (rate({refused}{RATE}))"
                    f"\n/ on (job, instance, target) group_left ()"
                    f"\n  sum by (job, instance, target) (rate({results}{RATE}))",
                    "{{target}} {{reason}} · {{instance}}",
                ),
                unit="percentunit",
                runbooks=["TonwatchProviderThrottled", "TonwatchProviderUnauthorized"],
            ),
        ),
        (8, PROVIDERS.failures("TonwatchProviderDown")),
        (
            8,
            series(
                "Probes",
                "How often tonwatch asks each provider, whatever it answers: its own part of the"
                " budget. A probe takes up to two requests.",
                Query(
                    f"sum by (job, instance, target) (rate({results}{RATE}))",
                    NAMED,
                ),
                unit="reqps",
            ),
        ),
    )
    board.side_by_side(
        7,
        (8, PROVIDERS.interruptions("TonwatchProviderFlapping")),
        (8, PROVIDERS.steps_back()),
        (
            8,
            states(
                "Messages come through",
                "Whether the newest message that a wallet must refuse was refused by the wallet"
                " itself. While it is not, payouts sent through this provider do not happen.",
                Query(PROVIDERS.m("tonwatch_target_write_path"), NAMED),
                unit="none",
                mappings=meaning.yes_no("come through", "do not"),
                empty="no wallet has write_probe",
                runbooks=["TonwatchWritePathBroken"],
            ),
        ),
    )
