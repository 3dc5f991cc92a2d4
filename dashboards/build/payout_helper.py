"""The payout helper: what it pays, what waits, and whether the chain agrees."""

from typing import Final

from dashboards.build.board import Board
from dashboards.build.meaning import BAD, WARN
from dashboards.build.panels import series
from dashboards.build.query import RATE, SERVED, Query, m

_NAMED: Final = "{{wallet}} {{asset}}"

_KEY: Final = "wallet, asset"


def limit(name: str, *, bad: bool = False) -> Query:
    """A limit that the rules for services record, in minutes, as a dashed line."""
    colour = BAD if bad else WARN
    return Query(f'max(tonwatch:service_limit:seconds{{limit="{name}"}}) / 60', name, colour)


def payout_helper(board: Board) -> None:
    board.row("Payout helper")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Payouts made, a minute",
                "Payouts that the helper reports as sent.",
                Query(_a_minute("payout_helper_payouts_sent_total"), _NAMED),
                stacked=True,
                unit="short",
                empty="no payout helper is scraped",
                runbooks=["TonwatchPayoutHelperDown"],
            ),
        ),
        (
            8,
            series(
                "Payouts failed, a minute",
                "Payouts that the helper could not make, by reason.",
                Query(
                    f"{_a_minute('payout_helper_payouts_failed_total', f'{_KEY}, reason')} > 0",
                    f"{_NAMED} {{{{reason}}}}",
                ),
                stacked=True,
                bars=True,
                unit="short",
                colours={".": BAD},
                empty="no payout failed",
                runbooks=["TonwatchPayoutHelperErrors"],
            ),
        ),
        (
            8,
            series(
                "Longest wait in the queue",
                "Minutes that the oldest payout of each queue has waited. Over the lines it is"
                " reported: look at the wallet first, then at the helper's log.",
                [
                    Query(
                        f"max by ({_KEY})"
                        f" (time() - payout_helper_queue_oldest_timestamp_seconds{{{SERVED}}}) / 60"
                        f"\n  and max by ({_KEY}) (payout_helper_queue_size{{{SERVED}}}) > 0"
                        f"\nor 0 * max by ({_KEY}) (payout_helper_queue_size{{{SERVED}}})",
                        _NAMED,
                    ),
                    limit("payout-queue"),
                    limit("payout-queue-critical", bad=True),
                ],
                unit="suffix:min",
                empty="no payout helper is scraped",
                runbooks=["TonwatchPayoutQueueStuck"],
            ),
        ),
    )
    _against_the_chain(board)


def _a_minute(metric: str, by: str = _KEY) -> str:
    return f"60 * sum by ({by}) (rate({metric}{{{SERVED}}}{RATE}))"


def _against_the_chain(board: Board) -> None:
    paid = m("tonwatch_wallet_sent_messages_total")
    board.row("Payouts reported by the helper and seen on chain")
    board.side_by_side(
        8,
        (
            8,
            series(
                "Reported and seen, payouts a minute",
                "Payouts that the helper reports, and those that tonwatch saw on chain. The two"
                " lines should be the same, a minute apart.",
                [
                    Query(_a_minute("payout_helper_payouts_sent_total"), f"{_NAMED} reported"),
                    Query(
                        f"60 * max by ({_KEY}) (rate({paid}{RATE}))"
                        f"\n  and sum by ({_KEY}) (payout_helper_payouts_sent_total{{{SERVED}}})",
                        f"{_NAMED} seen",
                    ),
                ],
                unit="short",
                empty="no payout helper is scraped",
            ),
        ),
        (
            8,
            series(
                "Reported, but not seen",
                "Payouts of the last hour that the helper reports and the chain does not show. Over"
                " the dashed lines it is more than can be pending: receivers are not paid.",
                [_difference("unaccounted"), _tolerated()],
                unit="short",
                empty="nothing to compare yet: it takes an hour",
                runbooks=["TonwatchPayoutsUnaccounted"],
            ),
        ),
        (
            8,
            series(
                "Seen, but not reported",
                "Payouts of the last hour that the chain shows and the helper did not make. Over"
                " the dashed lines somebody else may hold the key.",
                [_difference("unexplained"), _tolerated()],
                unit="short",
                empty="nothing to compare yet: it takes an hour",
                runbooks=["TonwatchPayoutsUnexplained"],
            ),
        ),
    )


def _difference(which: str) -> Query:
    recorded = m(f"wallet_asset:payouts_{which}:delta1h", 'measure="payouts"')
    # What the one side has less than the other is the other panel's.
    return Query(f"clamp_min(max by ({_KEY}) ({recorded}), 0)", _NAMED)


def _tolerated() -> Query:
    recorded = 'wallet_asset:payouts_tolerated:max65m{measure="payouts"}'
    return Query(recorded, f"{_NAMED} pending", WARN)
