"""What queries of wallets and their assets have in common."""

from typing import Final

from dashboards.build.meaning import BAD, WARN
from dashboards.build.query import RATE, Query, m

WALLET: Final = 'wallet=~"$wallet"'
ASSET: Final = 'asset=~"$asset"'

NAMED: Final = "{{wallet}} {{asset}}"

KEY: Final = "job, instance, wallet, asset"

LIMITS: Final = (
    Query('max(tonwatch:wallet_runway_limit:seconds{limit="short"})', "short", WARN),
    Query('max(tonwatch:wallet_runway_limit:seconds{limit="critical"})', "critical", BAD),
)
"""The runways below which alerts fire."""


def runway(*matchers: str) -> str:
    """Seconds for each wallet and asset; absent where nothing is spent."""
    recorded = m("wallet_asset:tonwatch_wallet_runway_seconds:min", *matchers)
    return f"max by (job, instance, wallet, asset) ({recorded})"


def of_wallets(metric: str, *matchers: str) -> str:
    return m(metric, WALLET, *matchers)


def of_assets(metric: str, *matchers: str) -> str:
    return m(metric, WALLET, ASSET, *matchers)


def each(metric: str) -> str:
    """Without the metric's name, so that columns join."""
    return f"max by ({KEY}) ({of_assets(metric)})"


def an_hour(metric: str) -> str:
    """Coins, as a rate that people can imagine."""
    return f"3600 * sum by ({KEY}) (rate({of_assets(metric)}{RATE}))"


def a_minute(metric: str, by: str = KEY) -> str:
    """Events, likewise."""
    return f"60 * sum by ({by}) (rate({of_assets(metric)}{RATE}))"


def in_range(metric: str) -> str:
    """Coins within the dashboard's time range."""
    return f"sum by ({KEY}) (increase({of_assets(metric)}[$__range]))"
