"""What panels of wallets and their assets have in common.

The table has a row for each tonwatch that watches a wallet. All else shows a wallet once, however
many watch it: the least of what they say that it holds, and the most of what they have counted.
"""

from typing import Final

from grafana_foundation_sdk.models import dashboard

from dashboards.build.meaning import BAD, WARN
from dashboards.build.panels import series
from dashboards.build.query import RATE, Query, grown, m, threshold

WALLET: Final = 'wallet=~"$wallet"'
ASSET: Final = 'asset=~"$asset"'

NAMED: Final = "{{wallet}} {{asset}}"

KEY: Final = "wallet, asset"
ROW: Final = f"job, instance, {KEY}"


def of_wallets(metric: str) -> str:
    return m(metric, WALLET)


def of_assets(metric: str) -> str:
    return m(metric, WALLET, ASSET)


def each(metric: str) -> str:
    """Without the metric's name, so that columns join."""
    return f"max by ({ROW}) ({of_assets(metric)})"


def in_range(metric: str) -> str:
    """Amount within the dashboard's time range."""
    return f"max by ({ROW}) (increase({of_assets(metric)}[$__range]))"


def held(metric: str) -> str:
    return f"min by ({KEY}) ({of_assets(metric)})"


def counted(metric: str) -> str:
    return f"max by ({KEY}) ({of_assets(metric)})"


def in_all(metric: str) -> str:
    """A number of all wallets together."""
    return f"sum(max by (wallet) ({of_wallets(metric)}))"


def an_hour(metric: str) -> str:
    """Amounts an hour."""
    return f"3600 * max by ({KEY}) (rate({of_assets(metric)}{RATE}))"


def a_minute(metric: str) -> str:
    """Events a minute."""
    return f"60 * max by ({KEY}) (rate({of_assets(metric)}{RATE}))"


def since_the_last_bar(metric: str, by: str = KEY) -> str:
    """Counters of failures, which have no series before the first."""
    return f"({grown(of_assets(metric), '$__interval', by)}) > 0"


def runway(by: str, *matchers: str) -> str:
    """Seconds that each asset lasts; absent where nothing is spent."""
    return f"min by ({by}) ({m('wallet_asset:tonwatch_wallet_runway_seconds:min', *matchers)})"


def runways(*matchers: str) -> dashboard.Panel:
    """The same over time, with the limits."""
    return series(
        "Runway",
        "Hours that each balance lasts at the faster of the rates of the last six and 24 hours; a"
        " week or more is drawn as a week. Below the lines alerts fire. A balance that is not"
        " spent is not shown.",
        [
            Query(f"clamp_max({runway(KEY, *matchers)} / 3600, 7 * 24)", NAMED),
            _limit("short", WARN),
            _limit("critical", BAD),
        ],
        unit="suffix:h",
        decimals=0,
        empty="nothing is spent",
        runbooks=["TonwatchWalletRunwayShort", "TonwatchWalletRunwayCritical"],
    )


def _limit(name: str, colour: str) -> Query:
    recorded = f'tonwatch:wallet_runway_limit:seconds{{limit="{name}"}}'
    return Query(f"max({recorded}) / 3600", name, colour)


def troubles(*matchers: str) -> dashboard.Panel:
    """Recent failed or bounced payouts, with the limits."""
    failed, bounced = (
        f"max by (wallet) ({m(f'tonwatch_wallet_recent_{what}_payouts', *matchers)})"
        for what in ("failed", "bounced")
    )
    return series(
        "Recent failed or bounced payouts",
        "Within the configured window. Over the red line the finding is payouts_failing, over the"
        " orange one payouts_bouncing.",
        [
            Query(failed, "{{wallet}} failed"),
            Query(bounced, "{{wallet}} bounced"),
            threshold("payout_failures", bad=True),
            threshold("payout_bounces"),
        ],
        unit="short",
        decimals=0,
        empty="no wallet has payouts",
        runbooks=["TonwatchPayoutsFailing", "TonwatchPayoutsBouncing"],
    )
