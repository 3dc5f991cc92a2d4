"""Whether tonwatch itself can be believed."""

from dashboards.build import links, meaning
from dashboards.build.alerts import firing
from dashboards.build.board import Board
from dashboards.build.panels import ZERO_IS_GOOD, series, stat, states
from dashboards.build.query import RATE, Query, coded_by, m, threshold
from dashboards.build.tables import Column, table


def itself() -> Board:
    board = Board(links.ITSELF, "tonwatch's own health: is it there, does it look often enough.")
    _now(board)
    _looking(board)
    _process(board)
    return board


def _now(board: Board) -> None:
    board.side_by_side(
        5,
        (
            5,
            stat(
                "Scraped",
                "Share of the chosen tonwatches that Prometheus can read. Where it is not all, what"
                " the other dashboards show of them ends there.",
                Query(f"avg({m('up')})"),
                unit="percentunit",
                decimals=0,
                steps=((None, meaning.BAD), (1, meaning.OK)),
                empty="no tonwatch",
                runbooks=["TonwatchAbsent"],
            ),
        ),
        (
            5,
            stat(
                "Last judged",
                "Age of the oldest last judgement. It is seconds, plus the time since the last"
                " scrape; where it grows, tonwatch hangs.",
                Query(f"time() - min({m('tonwatch_view_timestamp_seconds')})"),
                unit="s",
                decimals=0,
                empty="no tonwatch",
                runbooks=["TonwatchHanging"],
            ),
        ),
        (
            4,
            stat(
                "Values left out",
                "Values that could not be read since tonwatch started. Each is a bug in tonwatch,"
                " which its log names.",
                Query(f"sum({m('tonwatch_collector_errors_total')})"),
                unit="none",
                steps=ZERO_IS_GOOD,
                empty="no tonwatch",
                runbooks=["TonwatchCollectorErrors"],
            ),
        ),
        (
            10,
            table(
                "Instances",
                "Every chosen tonwatch: its version and when it started.",
                [
                    Column("Instance", label="instance"),
                    Column("Job", label="job"),
                    Column("Version", label="version"),
                    Column(
                        "Started",
                        f"1000 * {m('tonwatch_start_timestamp_seconds')}"
                        "\n  * on (job, instance) group_left (version)"
                        f" {m('tonwatch_build_info')}",
                        unit="dateTimeFromNow",
                    ),
                ],
                sort="Started",
                unit="none",
                empty="no tonwatch",
            ),
        ),
    )
    board.side_by_side(
        6,
        (
            12,
            states(
                "Readiness",
                "What /ready told over time.",
                Query(
                    coded_by("phase", "tonwatch_readiness", meaning.PHASES, "instance"),
                    "{{instance}}",
                ),
                unit="none",
                mappings=meaning.words(meaning.PHASES),
                empty="no tonwatch",
            ),
        ),
        (12, firing('job=~"$job|", instance=~"$instance|"')),
    )


def _looking(board: Board) -> None:
    board.row("How it looks")
    results = m("tonwatch_probe_results_total")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Probes",
                "Probes that ended, by kind, whatever they found.",
                Query(f"sum by (probe) (rate({results}{RATE}))", "{{probe}}"),
                stacked=True,
                unit="ops",
            ),
        ),
        (
            8,
            series(
                "Beats skipped",
                "Probes that did not begin because the one before still ran. A few come with slow"
                " targets; many mean that tonwatch has too little CPU.",
                Query(
                    "sum by (job, instance, target, probe)"
                    f" (60 * rate({m('tonwatch_probe_overruns_total')}{RATE}))",
                    "{{target}} {{probe}} · {{instance}}",
                ),
                bars=True,
                stacked=True,
                unit="cpm",
                runbooks=["TonwatchProbesOverrunning", "TonwatchNoData"],
            ),
        ),
        (
            8,
            series(
                "Our clock",
                "Seconds that the clock of tonwatch's machine is behind the servers' clocks. There"
                " are only values while it is off and the fault is ours.",
                [
                    Query(m("tonwatch_clock_offset_seconds"), "{{instance}}"),
                    threshold("clock_warn"),
                ],
                unit="s",
                runbooks=["TonwatchLocalClockSkewed"],
            ),
        ),
    )


def _process(board: Board) -> None:
    board.row("Its process")
    board.side_by_side(
        8,
        (
            6,
            series(
                "CPU",
                "Cores in use. tonwatch runs on one: near one it looks less often than it should.",
                Query(f"rate({m('process_cpu_seconds_total')}{RATE})", "{{instance}}"),
                unit="short",
            ),
        ),
        (
            6,
            series(
                "Memory",
                "Resident memory. It grows with the number of wallets, and stays flat otherwise.",
                Query(m("process_resident_memory_bytes"), "{{instance}}"),
                unit="bytes",
            ),
        ),
        (
            6,
            series(
                "Files and sockets",
                "Open file descriptors, and in red how many it may have.",
                [
                    Query(m("process_open_fds"), "{{instance}}"),
                    Query(f"min({m('process_max_fds')})", "limit", meaning.BAD),
                ],
                unit="short",
                decimals=0,
            ),
        ),
        (
            6,
            series(
                "Scrapes",
                "How long Prometheus takes to read /metrics.",
                Query(m("scrape_duration_seconds"), "{{instance}}"),
                unit="s",
            ),
        ),
    )
    seconds, *counts = (
        f"max by (threshold) ({m(f'tonwatch_threshold_{unit}')})"
        for unit in ("seconds", "blocks", "interruptions", "failures", "bounces", "transactions")
    )
    board.side_by_side(
        9,
        (
            12,
            table(
                "Configured times",
                "The thresholds of time that tonwatch judges by, from its configuration.",
                [
                    Column("Threshold", label="threshold"),
                    Column("Time", seconds, unit="s"),
                ],
                sort="Threshold",
                descending=False,
                unit="none",
                empty="no tonwatch",
            ),
        ),
        (
            12,
            table(
                "Configured counts",
                "The thresholds that count blocks, interruptions, payouts or transactions.",
                [
                    Column("Threshold", label="threshold"),
                    Column("Count", "\n or ".join(counts)),
                ],
                sort="Threshold",
                descending=False,
                unit="none",
                empty="no tonwatch",
            ),
        ),
    )
