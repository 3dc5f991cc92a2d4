"""Whether tonwatch itself works."""

from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.build import links, meaning
from dashboards.build.alerts import OF_ITSELF, firing
from dashboards.build.board import Board
from dashboards.build.panels import series, states
from dashboards.build.query import RATE, Query, coded_by, m, threshold
from dashboards.build.stats import ALL_IS_GOOD, count, stat
from dashboards.build.tables import Column, table

EVALUATED: Final = "tonwatch_last_evaluation_timestamp_seconds"


def itself() -> Board:
    board = Board(links.ITSELF, "tonwatch's own health: does it run, does it probe often enough.")
    _now(board)
    _looking(board)
    _process(board)
    return board


def _now(board: Board) -> None:
    phase = coded_by("readiness", "tonwatch_readiness", meaning.PHASES, "job, instance")
    board.side_by_side(
        3,
        (
            6,
            stat(
                "Scraped",
                "Share of the chosen instances that Prometheus can scrape. Without a scrape the"
                " other dashboards have gaps.",
                Query(f"avg({m('up')})"),
                unit="percentunit",
                decimals=0,
                steps=ALL_IS_GOOD,
                empty="no instance",
                runbooks=["TonwatchAbsent"],
            ),
        ),
        (
            6,
            stat(
                "Last evaluation",
                "Age of the oldest last evaluation. It is seconds, plus the time since the last"
                " scrape; where it grows, tonwatch hangs.",
                Query(f"time() - min({m(EVALUATED)})"),
                unit="s",
                decimals=0,
                empty="no instance",
                runbooks=["TonwatchHanging"],
            ),
        ),
        (
            6,
            count(
                "Probes skipped",
                "Probes of the time range that did not begin because the one before was running. A"
                " few are usual with slow targets; many mean that tonwatch has too little CPU.",
                f"round(sum(increase({m('tonwatch_probe_overruns_total')}[$__range])))",
                "TonwatchProbesOverrunning",
                empty="no instance",
                colour=meaning.WARN,
            ),
        ),
        (
            6,
            count(
                "Internal errors",
                "Failures of tonwatch itself since it started. Each is a bug in tonwatch, which its"
                " log describes; /health names the component.",
                f"sum({m('tonwatch_internal_errors_total')})",
                "TonwatchInternalErrors",
                empty="no instance",
            ),
        ),
    )
    board.side_by_side(
        6,
        (
            12,
            table(
                "Instances",
                "Every chosen instance: whether it is scraped, what /ready answers, when it last"
                " evaluated, its version and when it started.",
                [
                    Column("Instance", label="instance"),
                    Column(
                        "Scraped",
                        f"max by (job, instance) ({m('up')})",
                        mappings=meaning.yes_no(),
                        filled=True,
                        width=90,
                    ),
                    Column(
                        "Readiness",
                        phase,
                        mappings=meaning.words(meaning.PHASES),
                        filled=True,
                        width=100,
                    ),
                    Column(
                        "Evaluated",
                        f"1000 * max by (job, instance) ({m(EVALUATED)})",
                        unit="dateTimeFromNow",
                        width=140,
                    ),
                    Column(
                        "Started",
                        f"1000 * max by (job, instance) ({m('tonwatch_start_timestamp_seconds')})"
                        "\n  * on (job, instance) group_left (version)"
                        f" {m('tonwatch_build_info')}",
                        unit="dateTimeFromNow",
                        width=120,
                    ),
                    Column("Version", label="version", width=80),
                    Column("Job", label="job"),
                ],
                sort="Evaluated",
                descending=False,
                unit="none",
                empty="no instance",
            ),
        ),
        (12, firing(OF_ITSELF, 'job=~"$job|", instance=~"$instance|"', ("target",))),
    )
    board.side_by_side(
        4,
        (
            24,
            states(
                "Readiness",
                "What /ready answered over time. A gap means that tonwatch was not scraped.",
                Query(phase, "{{instance}}"),
                unit="none",
                mappings=meaning.words(meaning.PHASES),
                empty="no instance",
            ),
        ),
    )


def _looking(board: Board) -> None:
    board.row("Probes")
    results = m("tonwatch_probes_total")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Probes a second",
                "Probes that ended, by probe, whatever their outcome.",
                Query(f"sum by (probe) (rate({results}{RATE}))", "{{probe}}"),
                stacked=True,
                unit="short",
            ),
        ),
        (
            8,
            series(
                "Probes skipped, a minute",
                "Probes that did not begin because the one before was running, by probe.",
                Query(
                    "sum by (job, instance, target, probe)"
                    f" (60 * rate({m('tonwatch_probe_overruns_total')}{RATE})) > 0",
                    "{{target}} {{probe}} · {{instance}}",
                ),
                bars=True,
                stacked=True,
                unit="short",
                empty="none was skipped",
                runbooks=["TonwatchProbesOverrunning", "TonwatchNoData"],
            ),
        ),
        (
            8,
            series(
                "Local clock",
                "Offset of the servers' clocks from the local one, the median: positive where the"
                " local clock is slow. Beyond the lines, where most agree, the local clock is"
                " off.",
                [
                    Query(
                        "quantile by (job, instance)"
                        f" (0.5, {m('tonwatch_target_clock_offset_seconds')})",
                        "{{instance}}",
                    ),
                    threshold("clock_warn"),
                    threshold("clock_warn", negative=True),
                ],
                unit="suffix:s",
                runbooks=["TonwatchLocalClockSkewed"],
            ),
        ),
    )


def _process(board: Board) -> None:
    board.row("Its process")
    board.side_by_side(
        7,
        (
            6,
            series(
                "CPU",
                "Share of one core, which is all that tonwatch can use: near 100 % it probes"
                " less often than it should.",
                Query(f"rate({m('process_cpu_seconds_total')}{RATE})", "{{instance}}"),
                unit="percentunit",
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
                "Open file descriptors, and in red their limit.",
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
        for unit in ("seconds", "blocks", "interruptions", "payouts", "transactions")
    )
    board.row("Thresholds")
    board.side_by_side(
        11,
        (12, _configured("Configured times", "s", "of time", seconds)),
        (
            12,
            _configured(
                "Configured counts",
                "none",
                "that count blocks, interruptions, payouts or transactions",
                "\n or ".join(counts),
            ),
        ),
    )


def _configured(title: str, unit: str, of: str, thresholds: str) -> dashboard.Panel:
    return table(
        title,
        f"The thresholds {of} that tonwatch evaluates by, from its configuration. Where the"
        " chosen instances differ, the highest.",
        [
            Column("Threshold", label="threshold"),
            Column("Value", thresholds, unit=unit),
        ],
        sort="Threshold",
        descending=False,
        unit="none",
        empty="no instance",
    )
