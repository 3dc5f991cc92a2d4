"""RPC providers: how correct and how fast they are, and what is left of the rate limits."""

from typing import Final

from dashboards.build import links, slo
from dashboards.build.board import Board
from dashboards.build.panels import series
from dashboards.build.query import RATE, Query
from dashboards.build.tables import Column
from dashboards.build.targets import KEY, NAMED, Targets
from dashboards.build.write_path import accepted, write_path

PROVIDERS: Final = Targets("provider", 'kind!="liteserver"', "provider")


def providers() -> Board:
    board = Board(
        links.PROVIDERS,
        "RPC providers: do they answer, are they in sync, do they limit or refuse requests.",
        (PROVIDERS.choice,),
    )
    PROVIDERS.now(
        board,
        "External messages: whether the last probe message was accepted and reached the wallet.",
        [
            Column("Kind", label="kind", width=120),
            Column("Lag", PROVIDERS.each("tonwatch_target_lag_seconds"), unit="s"),
            Column("Lag, blocks", PROVIDERS.each("tonwatch_target_lag_blocks")),
            Column("Latency", PROVIDERS.each("tonwatch_target_latency_seconds"), unit="s"),
            accepted(PROVIDERS.each("tonwatch_target_accepts_external_messages")),
        ],
    )
    _answers(board)
    _failures(board)
    board.row("Objectives")
    board.side_by_side(8, *slo.objectives(PROVIDERS))
    return board


def _answers(board: Board) -> None:
    board.row("Answers")
    board.side_by_side(
        8,
        (8, PROVIDERS.lag("Lagging", "Stalled")),
        (8, PROVIDERS.latency()),
        (8, PROVIDERS.slowest()),
    )


def _failures(board: Board) -> None:
    results = PROVIDERS.m("tonwatch_probes_total")
    board.row("Limits and failures")
    board.side_by_side(
        7,
        (12, PROVIDERS.failures("Throttled", "Unauthorized", "Down")),
        (12, write_path(PROVIDERS.m("tonwatch_target_accepts_external_messages"), "provider")),
    )
    board.side_by_side(
        7,
        (
            8,
            series(
                "Probes a minute",
                "How often tonwatch probes each provider, whatever the outcome: its own part of the"
                " account's rate limit. A probe takes up to two requests. Where a provider"
                " throttles and this is low, other clients use up the limit.",
                Query(f"60 * sum by ({KEY}) (rate({results}{RATE}))", NAMED),
                unit="short",
                runbooks=["TonwatchProviderThrottled"],
            ),
        ),
        (8, PROVIDERS.interruptions()),
        (
            8,
            series(
                "Seqno regressions, a minute",
                "How often the seqno went back: several servers at one address that differ in lag."
                " A few are usual behind load balancers.",
                PROVIDERS.a_minute("tonwatch_target_seqno_regressions_total", NAMED),
                bars=True,
                unit="short",
                empty="none went back",
            ),
        ),
    )
