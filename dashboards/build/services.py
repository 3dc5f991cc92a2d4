"""The services around: the payout helper, the wallet API and the analytics API."""

from typing import Final

from dashboards.build import links
from dashboards.build.board import ANY, Board, Choice
from dashboards.build.meaning import BAD, INFO
from dashboards.build.panels import series
from dashboards.build.payout_helper import limit, payout_helper
from dashboards.build.query import RATE, SERVED, Query
from dashboards.build.tables import Column, table

_COUNT: Final = "http_server_request_duration_seconds_count"
_BUCKET: Final = "http_server_request_duration_seconds_bucket"
_REFUSED: Final = 'http_response_status_code=~"4..|5.."'
_FAILED: Final = 'http_response_status_code=~"5.."'


def services() -> Board:
    board = Board(
        links.SERVICES,
        "The services around: how many requests, how fast, and how many of them fail."
        " What they must export is in docs/service-metrics.md.",
        (
            Choice(
                "service",
                "Service",
                f"label_values({_COUNT}, job)",
                all_value="",
                first=("analytics-api", "payout-helper", "wallet-api"),
            ),
            Choice(
                "service_instance",
                "Service's instance",
                f'label_values({_COUNT}{{job=~"$service"}}, instance)',
                all_value=ANY,
            ),
        ),
    )
    _now(board)
    _requests(board)
    _objectives(board)
    payout_helper(board)
    return board


def _rate(by: str, *matchers: str) -> str:
    """Requests a second."""
    chosen = ", ".join((SERVED, *matchers))
    return f"sum by ({by}) (rate({_COUNT}{{{chosen}}}{RATE}))"


def _failed(by: str) -> str:
    """Share of requests that the service could not serve; 0 where none has failed yet."""
    return f"(\n  {_rate(by, _FAILED)}\n  or {_rate(by)} * 0\n)\n/ {_rate(by)}"


def _within(quantile: str, by: str) -> str:
    """The time within which so many requests are answered."""
    buckets = f"sum by ({by}, le) (rate({_BUCKET}{{{SERVED}}}{RATE}))"
    return f"histogram_quantile({quantile}, {buckets})"


def _columns(by: str) -> list[Column]:
    return [
        Column("Requests", _rate(by), unit="reqps"),
        Column("Failed", _failed(by), unit="percentunit"),
        Column("Half within", _within("0.5", by), unit="s"),
        Column("99 % within", _within("0.99", by), unit="s"),
    ]


def _now(board: Board) -> None:
    board.side_by_side(
        8,
        (
            10,
            table(
                "Services",
                "What each service does now. Failed is the share of requests that it answers with"
                " a status from 500 on; errors of clients are not counted.",
                [Column("Service", label="job"), *_columns("job")],
                sort="Failed",
                unit="none",
                empty="no service is scraped",
                runbooks=["TonwatchWalletApiDown", "TonwatchPayoutHelperDown"],
            ),
        ),
        (
            14,
            table(
                "Routes",
                "The same for every route, the most failing first.",
                [
                    Column("Service", label="job"),
                    Column("Route", label="http_route", width=230),
                    *_columns("job, http_route"),
                ],
                sort="Failed",
                unit="none",
                empty="no service is scraped",
            ),
        ),
    )


def _requests(board: Board) -> None:
    board.row("Requests")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Requests",
                "Requests a second that each service answers, whatever the answer.",
                Query(_rate("job"), "{{job}}"),
                stacked=True,
                unit="reqps",
                empty="no service is scraped",
                runbooks=["TonwatchWalletApiDown", "TonwatchPayoutHelperDown"],
            ),
        ),
        (
            8,
            series(
                "Failed requests",
                "Share of each service's requests that it answers with a status from 500 on.",
                Query(_failed("job"), "{{job}}"),
                unit="percentunit",
                empty="no service is scraped",
                runbooks=[
                    "TonwatchWalletApiErrors",
                    "TonwatchAnalyticsApiErrors",
                    "TonwatchPayoutHelperErrors",
                ],
            ),
        ),
        (
            8,
            series(
                "Slowest requests",
                "The time within which 99 of 100 requests of each service are answered.",
                Query(_within("0.99", "job"), "{{job}}"),
                unit="s",
                empty="no service is scraped",
                runbooks=["TonwatchWalletApiSlow", "TonwatchAnalyticsApiSlow"],
            ),
        ),
    )
    board.side_by_side(
        8,
        (
            12,
            series(
                "Error responses, by status",
                "Requests a second that were answered with a status from 400 on: 4xx are"
                " errors of clients, blue; 5xx of the service, red.",
                Query(
                    f"{_rate('job, http_response_status_code', _REFUSED)} > 0",
                    "{{job}} {{http_response_status_code}}",
                ),
                stacked=True,
                bars=True,
                unit="reqps",
                colours={" 4..$": INFO, " 5..$": BAD},
                empty="no errors",
            ),
        ),
        (
            12,
            series(
                "Slowest routes",
                "The time within which 99 of 100 requests to each route are answered.",
                Query(_within("0.99", "job, http_route"), "{{job}} {{http_route}}"),
                unit="s",
                empty="no service is scraped",
                runbooks=["TonwatchWalletApiSlow", "TonwatchAnalyticsApiSlow"],
            ),
        ),
    )


def _objectives(board: Board) -> None:
    burn = 'job=~"$service"'
    board.row("Objectives")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Budget burn of requests, last hour",
                "How many times too fast the error budgets of 30 days are spent, by failed"
                " and by slow requests. At one they last the 30 days.",
                [
                    Query(f"job:http_errors:burnrate1h{{{burn}}}", "{{job}} errors"),
                    Query(f"job:http_slow:burnrate1h{{{burn}}}", "{{job}} slow"),
                ],
                unit="suffix:×",
                empty="no service is scraped",
                runbooks=[
                    "TonwatchWalletApiErrors",
                    "TonwatchWalletApiSlow",
                    "TonwatchAnalyticsApiErrors",
                    "TonwatchAnalyticsApiSlow",
                ],
            ),
        ),
        (
            8,
            series(
                "Budget burn of payouts, last hour",
                "The same for payouts that the helper could not make.",
                Query(
                    f"max by (wallet, asset) (wallet_asset:payouts_failed:burnrate1h{{{burn}}})",
                    "{{wallet}} {{asset}}",
                ),
                unit="suffix:×",
                empty="no payout helper is scraped",
                runbooks=["TonwatchPayoutHelperErrors"],
            ),
        ),
        (
            8,
            series(
                "Analytics lag",
                "Minutes since the newest event that analytics can be asked for. Over the lines its"
                " data are too old to decide by.",
                [
                    Query(
                        f"(time() - analytics_last_event_timestamp_seconds{{{SERVED}}}) / 60",
                        "{{job}} · {{instance}}",
                    ),
                    limit("analytics-lag"),
                    limit("analytics-lag-critical", bad=True),
                ],
                unit="suffix:min",
                empty="no analytics API is scraped",
                runbooks=["TonwatchAnalyticsLag"],
            ),
        ),
    )
