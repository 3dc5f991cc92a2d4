"""The unit of each configured threshold, and its value as text."""

from typing import Final, Literal, get_args

from tonwatch.config.models import Thresholds
from tonwatch.watch.sentences import duration

Unit = Literal["seconds", "blocks", "interruptions", "payouts", "transactions"]

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)

_UNITS: Final[dict[str, Unit]] = {
    "shard_client_lag_warn": "blocks",
    "shard_client_lag_unready": "blocks",
    "flapping": "interruptions",
    "payout_failures": "payouts",
    "payout_bounces": "payouts",
    "payout_backlog": "transactions",
}


def unit_of(name: str) -> Unit:
    """The unit of a threshold; seconds for most."""
    return _UNITS.get(name, "seconds")


def described(thresholds: Thresholds) -> list[tuple[str, str, str]]:
    """Name, value with its unit, and meaning of each."""
    return [
        (
            name,
            duration(value) if unit_of(name) == "seconds" else f"{value} {unit_of(name)}",
            Thresholds.model_fields[name].description or "",
        )
        for name, value in thresholds
    ]
