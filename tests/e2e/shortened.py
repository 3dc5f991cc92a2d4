"""The committed rules and routes with all durations cut, so that a test need not wait for hours.

Only durations change: how long an alert waits, the ranges that it looks back over, how long
Alertmanager gathers and pauses. Conditions and receivers stay as shipped.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import yaml

from tests.shipped import ALERTS

WAIT: Final = 6
"""What `for` is divided by."""

BURN: Final = 2
"""What `for` is divided by in burn alerts. Ranges are cut more than waits, so that an error budget
is spent within seconds: the alert of its cause must be notified before, as in full length."""

GROUP_WAIT: Final = 3
"""What `group_wait` is divided by. tonwatch probes at its usual interval, and a cause
that comes an interval after its symptoms must still be in time to inhibit them."""

LONGEST_WAIT: Final = 12.0
"""The longest `for`, in seconds."""

RANGE: Final = 60
"""What ranges and offsets are divided by."""

SHORTEST_RANGE: Final = 10.0
"""Seconds that hold some scrapes, which come every other second."""

GATHERING: Final = 1.0
"""Seconds between two messages about one group."""

_LIMITS: Final = {
    ("tonwatch:wallet_history_least:seconds", ""): "vector(20)",
    ("tonwatch:service_limit:seconds", "payout-settled"): "vector(5)",
}
"""Recording rules that are durations themselves, by name and label `limit`: they fit the ranges."""

_UNITS: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
    "y": 31536000.0,
}
_DURATION: Final = r"(?:[0-9]+(?:ms|[smhdwy]))+"
_IN_QUERY: Final = re.compile(
    rf'"(?:[^"\\]|\\.)*"|\[\s*({_DURATION})\s*(?::\s*({_DURATION})?\s*)?\]|\boffset\s+({_DURATION})'
)


def seconds(duration: str) -> float:
    """What Prometheus takes ``1h30m`` for."""
    parts = re.findall(r"([0-9]+)(ms|[smhdwy])", duration)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def written(duration: float) -> str:
    """Seconds as Prometheus reads them."""
    return f"{round(duration * 1000)}ms"


def wait(duration: str) -> str:
    """A `for`, cut."""
    return written(min(seconds(duration) / WAIT, LONGEST_WAIT))


def query(text: str) -> str:
    """`text` with its ranges, resolutions of subqueries and offsets cut."""

    def cut(found: re.Match[str]) -> str:
        whole, (span, step, offset) = found.group(), found.groups()
        if offset is not None:
            return f"offset {_range(offset)}"
        if span is None:
            return whole  # a string
        if ":" not in whole:
            return f"[{_range(span)}]"
        return f"[{_range(span)}:{'' if step is None else written(1.0)}]"

    return _IN_QUERY.sub(cut, text)


def _range(duration: str) -> str:
    return written(max(seconds(duration) / RANGE, SHORTEST_RANGE))


def rules(content: dict[str, Any]) -> dict[str, Any]:
    """A file of rules, evaluated as often as the server does."""
    short = deepcopy(content)
    for group in short["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            named = rule.get("record", ""), rule.get("labels", {}).get("limit", "")
            rule["expr"] = _LIMITS.get(named, query(rule["expr"]))
            if rule.get("alert", "").endswith("Burn"):
                rule["for"] = written(seconds(rule["for"]) / BURN)
            elif "for" in rule:
                rule["for"] = wait(rule["for"])
    return short


def routing(content: dict[str, Any], url: str, secret: Path) -> dict[str, Any]:
    """Alertmanager's configuration, for a run in which every instance is independent.

    Args:
        content: as shipped.
        url: each receiver's webhook is this and the receiver's name.
        secret: the file that all of them read theirs from.
    """
    # YAML's aliases are one object each; each route is cut once.
    short: dict[str, Any] = json.loads(json.dumps(content))
    for route in _routes(short["route"]):
        # A run on a Sunday night must see the same.
        route.pop("mute_time_intervals", None)
        if "group_by" in route:
            route["group_by"] = sorted({*route["group_by"], "instance"})
        if "group_wait" in route:
            route["group_wait"] = written(seconds(route["group_wait"]) / GROUP_WAIT)
        if "group_interval" in route:
            route["group_interval"] = written(GATHERING)
    for receiver in short["receivers"]:
        for webhook in receiver["webhook_configs"]:
            webhook["url"] = f"{url}/{receiver['name']}"
            webhook["http_config"]["authorization"]["credentials_file"] = str(secret)
    return short


def _routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield route
    for below in route.get("routes", ()):
        yield from _routes(below)


def rule_files() -> dict[str, dict[str, Any]]:
    """Every file of rules, cut, by its name."""
    shipped = (path for path in sorted(ALERTS.glob("*.yaml")) if path.name != "alertmanager.yaml")
    return {path.name: rules(yaml.safe_load(path.read_text())) for path in shipped}


def alertmanager(url: str, secret: Path) -> dict[str, Any]:
    """The shipped configuration of Alertmanager, cut; see `routing`."""
    return routing(yaml.safe_load((ALERTS / "alertmanager.yaml").read_text()), url, secret)
