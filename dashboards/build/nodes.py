"""Our own node and other liteservers."""

from typing import Final

from dashboards.build import links, meaning, slo
from dashboards.build.board import Board
from dashboards.build.panels import series, states
from dashboards.build.query import RATE, Query, threshold
from dashboards.build.tables import Column
from dashboards.build.targets import NAMED, Targets

NODES: Final = Targets("node", 'kind="liteserver"', "node")


def nodes() -> Board:
    board = Board(
        links.NODES,
        "Nodes and liteservers: do they answer, are they in sync, how fast are they.",
        (NODES.choice,),
    )
    _now(board)
    _sync(board)
    _answers(board)
    _steadiness(board)
    board.row("Objectives")
    board.side_by_side(7, *slo.objectives(NODES))
    return board


def _now(board: Board) -> None:
    board.side_by_side(
        4,
        (
            6,
            NODES.count(
                "Answering",
                "tonwatch_target_up",
                "Share of the chosen nodes that answer questions.",
                "TonwatchNodeDown",
            ),
        ),
        (
            6,
            NODES.count(
                "Usable",
                "tonwatch_target_usable",
                "Share of the chosen nodes that are in sync within the limits of readiness.",
                "TonwatchNodeNotSynced",
            ),
        ),
        (
            6,
            NODES.worst(
                "Furthest behind",
                "tonwatch_target_behind_seconds",
                "s",
                "The distance to the head of the chosen node that is furthest behind.",
                "TonwatchNodeLagging",
            ),
        ),
        (
            6,
            NODES.worst(
                "Slowest",
                "tonwatch_target_latency_seconds",
                "s",
                "Median latency of the slowest of the chosen nodes.",
                "TonwatchNodeSlow",
            ),
        ),
    )
    board.side_by_side(
        7,
        (
            24,
            NODES.listed(
                "Nodes",
                "How each stands now, the worst first. In sync in: by the rate at which it has"
                " caught up so far. Messages: whether the newest probing message came through to"
                " the wallet.",
                [
                    Column("Behind", NODES.each("tonwatch_target_behind_seconds"), unit="s"),
                    Column("Blocks behind", NODES.each("tonwatch_target_behind_blocks")),
                    Column("Shard gap", NODES.each("tonwatch_target_shard_gap_blocks")),
                    Column(
                        "In sync in",
                        NODES.each("tonwatch_target_catch_up_seconds"),
                        unit="dtdurations",
                    ),
                    Column("Latency", NODES.each("tonwatch_target_latency_seconds"), unit="s"),
                    Column("Clock", NODES.each("tonwatch_target_clock_offset_seconds"), unit="s"),
                    Column(
                        "Messages",
                        NODES.each("tonwatch_target_write_path"),
                        mappings=meaning.yes_no("come through", "do not"),
                    ),
                ],
            ),
        ),
    )
    board.side_by_side(7, (24, NODES.over_time()))


def _sync(board: Board) -> None:
    board.row("In sync")
    board.side_by_side(
        8,
        (
            8,
            NODES.behind("TonwatchNodeLagging", "TonwatchNodeStalled", "TonwatchNodeCatchingUp"),
        ),
        (
            8,
            series(
                "Shard client behind the masterchain",
                "Blocks that the shard client, which serves accounts, is behind the node's own"
                " masterchain. Over the orange line it is lagging, over the red one not ready.",
                [
                    Query(NODES.m("tonwatch_target_shard_gap_blocks"), NAMED),
                    threshold("shard_gap_warn"),
                    threshold("shard_gap_unready", bad=True),
                ],
                unit="short",
                decimals=0,
                runbooks=["TonwatchNodeShardLagging"],
            ),
        ),
        (
            8,
            series(
                "New blocks",
                "Masterchain blocks that each node takes in. The chain makes the same number for"
                " all: more is catching up, fewer is falling behind.",
                Query(f"deriv({NODES.m('tonwatch_target_seqno')}{RATE})", NAMED),
                unit="cps",
                runbooks=["TonwatchNodeStalled", "TonwatchChainStalled"],
            ),
        ),
    )


def _answers(board: Board) -> None:
    board.row("Answers")
    board.side_by_side(
        8,
        (8, NODES.latency("TonwatchNodeSlow")),
        (8, NODES.slowest()),
        (8, NODES.phases("connect")),
    )
    board.side_by_side(
        8,
        (12, NODES.failures("TonwatchNodeDown", "TonwatchNodeNotSynced")),
        (
            12,
            states(
                "Messages come through",
                "Whether the newest message that a wallet must refuse was refused by the wallet"
                " itself. While it is not, payouts sent through this node do not happen.",
                Query(NODES.m("tonwatch_target_write_path"), NAMED),
                unit="none",
                mappings=meaning.yes_no("come through", "do not"),
                empty="no wallet has write_probe",
                runbooks=["TonwatchWritePathBroken"],
            ),
        ),
    )


def _steadiness(board: Board) -> None:
    board.row("Steadiness")
    board.side_by_side(
        7,
        (8, NODES.interruptions("TonwatchNodeFlapping")),
        (
            8,
            series(
                "Clocks",
                "How far each node's clock is ahead of ours, or behind where negative. Beyond the"
                " orange lines it is reported; where all are off alike, it is ours.",
                [
                    Query(NODES.m("tonwatch_target_clock_offset_seconds"), NAMED),
                    threshold("clock_warn"),
                    threshold("clock_warn", negative=True),
                ],
                unit="s",
                runbooks=["TonwatchNodeClockSkewed", "TonwatchLocalClockSkewed"],
            ),
        ),
        (
            8,
            series(
                "Answers out of place",
                "Answers that came too late or that nobody asked for, and steps back of the seqno."
                " Many of either: several servers behind one address, or a bad way to it.",
                [
                    Query(
                        f"60 * rate({NODES.m('tonwatch_target_dropped_answers_total')}{RATE})",
                        f"{NAMED} dropped",
                    ),
                    Query(
                        f"60 * rate({NODES.m('tonwatch_target_steps_back_total')}{RATE})",
                        f"{NAMED} back",
                    ),
                ],
                bars=True,
                unit="cpm",
            ),
        ),
    )
