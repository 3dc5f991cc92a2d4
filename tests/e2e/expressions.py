"""Every shipped query: of rules and of dashboards."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.e2e import shortened

DASHBOARDS: Final = Path(__file__).parents[2] / "dashboards"

_ROLE: Final = "the same rule for the other role is played; not every row is played for both"
_DAYS: Final = "it compares with a day or a week before, which are hours even when cut"

QUIET: Final[Mapping[str, str]] = {
    "slo.yaml: TonwatchProvider*Burn *": "providers are references in the rows that break them",
    **{
        f"tonwatch.yaml: Tonwatch{each}": _ROLE
        for each in (
            "NodeLagging info",
            "NodeCatchingUp info",
            "NodeShardLagging critical",
            "NodeShardLagging info",
            "NodeForked warning",
            "NodeDisproved critical",
            "NodeThrottled info",
            "NodeFlapping info",
            "NodeNotSynced warning",
            "NodeStalled warning",
            "NodeClockSkewed info",
            "NodeSlow info",
            "ProviderDown critical",
            "ProviderUnauthorized critical",
            "ProviderThrottled warning",
            "ProviderStalled critical",
            "ProviderLagging warning",
            "ProviderShardLagging critical",
            "ProviderShardLagging warning",
            "ProviderForked critical",
            "ProviderDisproved critical",
            "ProviderFlapping warning",
            "ProviderSlow warning",
            "WrongNetwork warning",
            "ProofInvalid warning",
            "WritePathBroken warning",
            "LagCritical warning",
            "NoData *",
        )
    },
    "tonwatch.yaml: TonwatchPayoutsStopped critical": _DAYS,
    "recording.yaml: wallet:tonwatch_wallet_sent_messages:increase1h_min1d": _DAYS,
    "services.yaml: TonwatchWalletApiTrafficDrop warning": _DAYS,
    "services.yaml: TonwatchPayoutsUnaccounted critical": "its share is of 65 real minutes",
    "tonwatch.yaml: TonwatchInternalErrors warning": "it takes a bug in tonwatch",
    "tonwatch.yaml: TonwatchLocalResources critical": "it takes a machine without descriptors",
    "tonwatch.yaml: TonwatchStateDirFailing warning": "it takes a disk that cannot be written",
    "tonwatch.yaml: TonwatchWriteProbeIdle warning": "it takes a wallet of an unknown kind",
    "tonwatch.yaml: TonwatchProbesOverrunning warning": "it takes a machine with too much to do",
    "tonwatch.yaml: TonwatchHanging critical": "it takes a tonwatch that hangs",
}
"""Queries that never have an answer in the run, as patterns of their places, and why."""

_BUILT_IN: Final = {
    "__rate_interval": "10s",
    "__interval": "10s",
    "__range": "5m",
}
"""What Grafana sets by itself, for scrapes that come every other second."""


class Expression(NamedTuple):
    """A query and where it is written."""

    place: str
    text: str

    @property
    def quiet(self) -> str:
        """Why it may have no answer; empty where it must have one."""
        reasons = (why for pattern, why in QUIET.items() if fnmatchcase(self.place, pattern))
        return next(reasons, "")


def of_rules() -> Iterator[Expression]:
    """Those of the rules, cut as they are in the run."""
    for file, content in shortened.rule_files().items():
        for group in content["groups"]:
            for rule in group["rules"]:
                name = rule.get("alert") or rule["record"]
                marks = "".join(f" {value}" for value in rule.get("labels", {}).values())
                yield Expression(f"{file}: {name}{marks}", rule["expr"])


def of_dashboards() -> Iterator[Expression]:
    """Those of all panels, with every variable as it is at first."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text())
        values = dict(_variables(board))
        for panel in _panels(board["panels"]):
            for target in panel.get("targets", ()):
                place = f"{path.name}: {panel['title']} {target.get('refId', '')}".rstrip()
                yield Expression(place, filled_in(target["expr"], values))


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """`text` with Grafana's variables replaced.

    Raises:
        KeyError: there is no such variable.
    """
    known = _BUILT_IN | dict(values)
    return re.sub(
        r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", lambda found: known[found[1] or found[2]], text
    )


def _variables(board: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for variable in board["templating"]["list"]:
        chosen = variable.get("current", {}).get("value", "$__all")
        values = [chosen] if isinstance(chosen, str) else chosen
        everything = variable.get("allValue") or ".+"
        yield (
            variable["name"],
            everything if values in ([], [""], ["$__all"]) else "|".join(values),
        )


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))
