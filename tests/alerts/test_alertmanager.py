"""The example for Alertmanager: it is valid, and everybody is told what is theirs.

That rules silence each other as they should is shown with real alerts in tests/e2e/.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG = Path(__file__).parents[2] / "alerts" / "alertmanager.yaml"

NODE = {"job": "tonwatch", "instance": "sidecar:9717", "target": "node-1"}
PURSE = {"job": "tonwatch", "instance": "sidecar:9717", "wallet": "hot", "asset": "native"}
WHOLE = {"job": "tonwatch", "instance": "sidecar:9717"}
NODES, PAYOUTS, PLATFORM = "ton-nodes", "payouts", "platform"

ROUTES: list[tuple[str, dict[str, str], str, str]] = [
    ("NodeDown", NODE, NODES, "critical"),
    ("NodeDown", NODE, NODES, "warning"),
    ("NodeLagging", NODE, NODES, "warning"),
    ("LagCritical", NODE, NODES, "critical"),
    ("ProviderDown", NODE, NODES, "warning"),
    ("WrongNetwork", NODE, NODES, "critical"),
    ("WritePathBroken", NODE, NODES, "critical"),
    ("NodeAvailabilityBurn", NODE, NODES, "critical"),
    ("ProviderFreshnessBurn", NODE, NODES, "warning"),
    ("ChainStalled", WHOLE, NODES, "critical"),
    ("SourcesDisagree", WHOLE, NODES, "warning"),
    ("EgressBroken", WHOLE, PLATFORM, "critical"),
    ("LocalClockSkewed", WHOLE, PLATFORM, "warning"),
    ("Absent", {"job": "tonwatch"}, PLATFORM, "critical"),
    ("Hanging", WHOLE, PLATFORM, "critical"),
    ("CollectorErrors", WHOLE, PLATFORM, "warning"),
    ("ProbesOverrunning", NODE, PLATFORM, "warning"),
    ("NoData", NODE, PLATFORM, "warning"),
    ("WalletLow", PURSE, PAYOUTS, "critical"),
    ("WalletRunwayShort", PURSE, PAYOUTS, "warning"),
    ("WalletRunwayCritical", PURSE, PAYOUTS, "critical"),
    ("WalletFrozen", PURSE, PAYOUTS, "critical"),
    ("WalletUnread", PURSE, PAYOUTS, "warning"),
    ("PayoutsFailing", PURSE, PAYOUTS, "critical"),
    ("PayoutsStopped", PURSE, PAYOUTS, "warning"),
    ("PayoutsUnaccounted", {"job": "payout-helper"}, PAYOUTS, "critical"),
    ("PayoutHelperDown", {"job": "payout-helper"}, PAYOUTS, "critical"),
    ("PayoutHelperErrors", {"job": "payout-helper"}, PAYOUTS, "warning"),
    ("ContractChanged", WHOLE | {"contract": "escrow"}, PAYOUTS, "critical"),
    ("WalletApiDown", {"job": "wallet-api"}, PLATFORM, "critical"),
    ("WalletApiErrors", {"job": "wallet-api", "http_route": "/send"}, PLATFORM, "critical"),
    ("WalletApiSlow", {"job": "wallet-api"}, PLATFORM, "warning"),
    ("AnalyticsApiErrors", {"job": "analytics-api"}, PLATFORM, "warning"),
    ("AnalyticsLag", {"job": "analytics-api"}, PLATFORM, "critical"),
    # The label `team` goes before what the alert is about.
    ("NodeDown", NODE | {"team": "platform"}, PLATFORM, "critical"),
    ("WalletLow", PURSE | {"team": "ton-nodes"}, NODES, "warning"),
    ("WalletApiDown", {"job": "wallet-api", "team": "payouts"}, PAYOUTS, "critical"),
    ("Absent", {"job": "tonwatch", "team": "ton-nodes"}, NODES, "critical"),
    # A team that has no route of its own.
    ("NodeDown", NODE | {"team": "somebody"}, NODES, "critical"),
]


def amtool(*arguments: str) -> str:
    """What it prints; a test that needs it is skipped where it is not installed."""
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed: apt install prometheus-alertmanager")
    ended = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def receivers_of(labels: dict[str, str]) -> list[str]:
    written = (f"{name}={value}" for name, value in labels.items())
    told = amtool("config", "routes", "test", f"--config.file={CONFIG}", *written)
    return told.split()


def config() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return content


def routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """This route and all below it."""
    yield route
    for below in route.get("routes", ()):
        yield from routes(below)


def webhooks() -> Iterator[dict[str, Any]]:
    for receiver in config()["receivers"]:
        yield from receiver["webhook_configs"]


def test_it_is_valid() -> None:
    amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("name", "labels", "team", "severity"),
    ROUTES,
    ids=[
        f"{name}-{severity}{'-team-' + labels['team'] if 'team' in labels else ''}"
        for name, labels, _, severity in ROUTES
    ],
)
def test_who_is_told(name: str, labels: dict[str, str], team: str, severity: str) -> None:
    place = "pager" if severity == "critical" else "chat"
    told = receivers_of({"alertname": f"Tonwatch{name}", "severity": severity} | labels)
    assert told == [f"{team}-{place}"]


@pytest.mark.parametrize("labels", [NODE, PURSE, NODE | {"team": "payouts"}])
def test_nobody_is_called_for_information(labels: dict[str, str]) -> None:
    named = {"alertname": "TonwatchNodeCatchingUp", "severity": "info"}
    assert receivers_of(named | labels) == ["notes"]


def test_the_watchdog_goes_to_the_switch_alone() -> None:
    labels = {"alertname": "TonwatchWatchdog", "severity": "info", "team": "platform"}
    assert receivers_of(labels) == ["dead-mans-switch"]


def test_alerts_of_others_are_not_lost() -> None:
    assert receivers_of({"alertname": "DiskFull", "severity": "critical"}) == ["ton-nodes-chat"]


def test_every_receiver_is_used() -> None:
    used = {route["receiver"] for route in routes(config()["route"]) if "receiver" in route}
    assert used == {receiver["name"] for receiver in config()["receivers"]}


def test_pages_are_never_muted() -> None:
    muted = [route for route in routes(config()["route"]) if "mute_time_intervals" in route]
    assert muted
    assert all(route["matchers"] == ['severity="warning"'] for route in muted)


def test_secrets_stay_in_files() -> None:
    for webhook in webhooks():
        assert set(webhook["http_config"]["authorization"]) == {"credentials_file"}
        assert re.fullmatch(r"https://[a-z.-]+\.example/[a-z/-]+", webhook["url"])


def test_rules_silence_within_one_tonwatch() -> None:
    for rule in config()["inhibit_rules"]:
        assert {"job", "instance"} <= set(rule["equal"])
