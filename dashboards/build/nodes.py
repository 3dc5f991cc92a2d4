"""Nodes: liteservers of our own and others."""

from typing import Final

from dashboards.build import links, slo
from dashboards.build.board import Board
from dashboards.build.panels import series
from dashboards.build.query import RATE, Query, threshold
from dashboards.build.tables import Column
from dashboards.build.targets import NAMED, Targets
from dashboards.build.write_path import accepted, write_path

NODES: Final = Targets("node", 'kind="liteserver"', "node")


def nodes() -> Board:
    board = Board(
        links.NODES,
        "Nodes and liteservers: do they answer, are they in sync, how fast are they.",
        (NODES.choice,),
    )
    NODES.now(
        board,
        "Sync ETA: at the rate at which its lag shrinks. External messages: whether the last probe"
        " message was accepted and reached the wallet.",
        [
            Column("Lag", NODES.each("tonwatch_target_lag_seconds"), unit="s"),
            Column("Lag, blocks", NODES.each("tonwatch_target_lag_blocks")),
            Column("Shard client lag", NODES.each("tonwatch_target_shard_client_lag_blocks")),
            Column("Sync ETA", NODES.each("tonwatch_target_sync_eta_seconds"), unit="dtdurations"),
            Column("Latency", NODES.each("tonwatch_target_latency_seconds"), unit="s"),
            Column("Clock", NODES.each("tonwatch_target_clock_offset_seconds"), unit="s"),
            accepted(NODES.each("tonwatch_target_accepts_external_messages")),
        ],
    )
    _sync(board)
    _answers(board)
    _steadiness(board)
    board.row("Objectives")
    board.side_by_side(8, *slo.objectives(NODES))
    return board


def _sync(board: Board) -> None:
    board.row("In sync")
    board.side_by_side(
        8,
        (8, NODES.lag("Lagging", "Stalled", "CatchingUp")),
        (
            8,
            series(
                "Shard client lag",
                "Lag of the shard client, which serves accounts, to the node's own masterchain, in"
                " blocks. Over the orange line it is lagging, over the red one not ready.",
                [
                    Query(NODES.lately("tonwatch_target_shard_client_lag_blocks"), NAMED),
                    threshold("shard_client_lag_warn"),
                    threshold("shard_client_lag_unready", bad=True),
                ],
                unit="short",
                decimals=0,
                runbooks=["TonwatchNodeShardLagging"],
            ),
        ),
        (
            8,
            series(
                "New blocks a second",
                "New masterchain blocks of each node. The chain has the same rate for all: more is"
                " catching up, fewer is lagging.",
                Query(f"deriv({NODES.m('tonwatch_target_seqno')}{RATE})", NAMED),
                unit="short",
                runbooks=["TonwatchNodeStalled", "TonwatchChainStalled"],
            ),
        ),
    )


def _answers(board: Board) -> None:
    steps = NODES.m("tonwatch_probe_phase_duration_seconds", 'probe="connect"')
    board.row("Answers")
    board.side_by_side(
        8,
        (8, NODES.latency()),
        (8, NODES.slowest()),
        (
            8,
            series(
                "Phases of probe connect",
                "Seconds of each phase of the last probe, the slowest of the chosen: resolve,"
                " connect and handshake open the connection, query waits for the answer.",
                Query(f"max by (phase) ({steps})", "{{phase}}"),
                stacked=True,
                unit="s",
            ),
        ),
    )
    board.side_by_side(
        7,
        (12, NODES.failures("Down", "NotSynced")),
        (12, write_path(NODES.m("tonwatch_target_accepts_external_messages"), "node")),
    )


def _steadiness(board: Board) -> None:
    board.row("Steadiness")
    board.side_by_side(
        7,
        (8, NODES.interruptions()),
        (
            8,
            series(
                "Clocks",
                "How far each node's clock is ahead of the local one, slow where negative. Beyond"
                " the orange lines it is reported; where all are off alike, the local one is.",
                [
                    Query(NODES.m("tonwatch_target_clock_offset_seconds"), NAMED),
                    threshold("clock_warn"),
                    threshold("clock_warn", negative=True),
                ],
                unit="suffix:s",
                runbooks=["TonwatchNodeClockSkewed", "TonwatchLocalClockSkewed"],
            ),
        ),
        (
            8,
            series(
                "Unexpected answers, a minute",
                "Answers that came too late or to no query, and seqno regressions. Many of either:"
                " several servers at one address, or a bad network.",
                [
                    NODES.a_minute("tonwatch_target_dropped_answers_total", f"{NAMED} dropped"),
                    NODES.a_minute("tonwatch_target_seqno_regressions_total", f"{NAMED} back"),
                ],
                bars=True,
                unit="short",
                empty="no unexpected answers",
            ),
        ),
    )
