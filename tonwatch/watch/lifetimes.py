"""How long what was observed counts and is shown: the one place that defines too old."""

from typing import Final

from tonwatch.config.models import ProbeConfig
from tonwatch.samples.sample import Probe

ROUNDS: Final = 2.5
"""Intervals for which results of infrequent probes count: one of them may be lost."""


def lifetime(probe: Probe, config: ProbeConfig) -> float:
    """Seconds from the end of a probe until its sample no longer counts."""
    match probe:
        case Probe.HEAD | Probe.PAYOUTS:
            return config.stale_after
        case Probe.CONNECT:
            return config.stale_after + config.connect_interval
        case Probe.ACCOUNT:
            return config.stale_after + config.account_interval
        case Probe.BALANCE:
            return config.stale_after + config.wallet_interval
        case Probe.FORK:
            return ROUNDS * config.fork_interval
        case Probe.COMPARE:
            return ROUNDS * config.compare_interval
        case Probe.WRITE:
            return ROUNDS * config.write_interval
