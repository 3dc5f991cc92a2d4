"""Severities and numbers in runbooks are those of the rules."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests import shipped

FOLDER: Final = Path(__file__).parents[2] / "docs/runbooks"
RULES: Final = list(shipped.rules())
TARGETS: Final = {
    rule["labels"]["slo"]: float(rule["expr"].removeprefix("vector(").removesuffix(")"))
    for rule in RULES
    if rule.get("record") == "tonwatch:slo_target:ratio"
}


def text_of(alert: str) -> str:
    return " ".join((FOLDER / f"{alert}.md").read_text().split())


def test_severities_are_those_of_the_rules(subtests: pytest.Subtests) -> None:
    for alert in sorted({rule["alert"] for rule in RULES if "alert" in rule}):
        severities = {rule["labels"]["severity"] for rule in RULES if rule.get("alert") == alert}
        with subtests.test(alert):
            written = set(re.findall(r"\*(critical|warning|info)\*", text_of(alert)))
            assert written <= severities


@pytest.mark.parametrize("slo", ["availability", "freshness"])
@pytest.mark.parametrize("kind", ["node", "provider"])
def test_minutes_of_burn_alerts(kind: str, slo: str) -> None:
    target = TARGETS[f"{kind}-{slo}"]
    text = text_of(f"Tonwatch{kind.title()}{slo.title()}Burn")
    hour, six, day, three = (
        round(factor * (1 - target) * window)
        for factor, window in ((14.4, 60), (6, 360), (3, 1440), (1, 4320))
    )
    assert f"the objective of {target * 100:g} % " in text
    assert f"for {hour} minutes of the last hour, or {six} of the last six;" in text
    assert day == three
    assert f"for {day} minutes of the last day, or of the last three days." in text
    table = f"| {hour} minutes, {six} minutes | {day} minutes, {three} minutes |"
    assert f"{target * 100:g} % of the time {table}" in text_of("README")


@pytest.mark.parametrize(
    ("slo", "alert", "row"),
    [
        ("wallet-api-errors", "TonwatchWalletApiErrors", "wallet API without 5xx"),
        ("wallet-api-latency", "TonwatchWalletApiSlow", "wallet API in time"),
        ("analytics-api-errors", "TonwatchAnalyticsApiErrors", "analytics API without 5xx"),
        ("analytics-api-latency", "TonwatchAnalyticsApiSlow", "analytics API in time"),
        ("payout-helper-errors", "TonwatchPayoutHelperErrors", "payouts that the helper"),
    ],
)
def test_shares_of_burn_alerts(slo: str, alert: str, row: str) -> None:
    allowed = 100 * (1 - TARGETS[slo])
    shares = [f"{factor * allowed:.2g} %" for factor in (14.4, 6, 3, 1)]
    [line] = [ln for ln in (FOLDER / "README.md").read_text().splitlines() if f"| {row}" in ln]
    assert f"{TARGETS[slo] * 100:g} %" in line
    assert re.findall(r"[\d.]+ %", line)[1:] == shares
    found = re.findall(r"([\d.]+ %)", text_of(alert).partition("## Impact")[0])
    assert found
    assert set(found) <= set(shares)
