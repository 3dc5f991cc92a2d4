"""The rules follow their conventions. Their unit tests run in test_versions.py."""

import re
from collections.abc import Iterator
from typing import Final

import promql_parser
import pytest
import yaml

from tests.alerts.unit_tests import selectors
from tests.shipped import ALERTS, Rule, rules
from tonwatch.serve.metrics import catalogue, collector
from tonwatch.serve.thresholds import UNITS
from tonwatch.watch.findings import Cause, alert_of

FILES: Final = ("recording", "tonwatch", "slo")
UNIT_TESTS: Final = (
    *("whole", "nodes", "providers", "targets", "joins", "wallets", "itself"),
    *("runway", "stopped", "slo", "slo-days"),
)
RUNBOOKS: Final = "https://github.com/tonwatch/tonwatch/blob/main/docs/runbooks"

FURTHER: Final = {
    *("TonwatchWalletRunwayShort", "TonwatchWalletRunwayCritical", "TonwatchPayoutsStopped"),
    *("TonwatchProbesOverrunning", "TonwatchHanging", "TonwatchAbsent"),
    *("TonwatchInternalErrors", "TonwatchWatchdog", "TonwatchLagCritical"),
    *("TonwatchNodeAvailabilityBurn", "TonwatchNodeFreshnessBurn"),
    *("TonwatchProviderAvailabilityBurn", "TonwatchProviderFreshnessBurn"),
}
"""Alerts that no cause is named after."""

RULES: Final = [rule for file in FILES for rule in rules(file)]
ALERTING: Final = [rule for rule in RULES if "alert" in rule]
RECORDED: Final = {rule["record"] for rule in RULES if "record" in rule}
NAMES: Final = {rule["alert"] for rule in ALERTING}


def named(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def test_every_cause_has_its_alert_and_there_are_no_others() -> None:
    assert set(filter(None, map(alert_of, Cause))) | FURTHER == NAMES


def cases() -> Iterator[tuple[str, bool]]:
    """What is expected of which alert: that it fires, or that it does not."""
    for name in UNIT_TESTS:
        content = yaml.safe_load((ALERTS / "tests" / f"{name}.yaml").read_text(encoding="utf-8"))
        for test in content["tests"]:
            for case in test.get("alert_rule_test", ()):
                yield case["alertname"], bool(case.get("exp_alerts"))


def test_every_alert_is_tested_to_fire_and_not_to() -> None:
    tested = set(cases())
    assert {name for name, _ in tested} == NAMES
    assert {(name, fires) for name in NAMES for fires in (True, False)} - tested == set()


def seconds(duration: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([smh])", duration))


def test_conventions_of_alerts(subtests: pytest.Subtests) -> None:
    for rule in ALERTING:
        with subtests.test(named(rule)):
            name, notes = rule["alert"], rule["annotations"]
            assert re.fullmatch(r"Tonwatch([A-Z][a-z]+)+", name)
            assert set(rule["labels"]) == {"severity"}
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert seconds(rule["for"]) >= 30, "two scrapes at least"
            assert set(notes) == {"summary", "description", "runbook_url"}
            assert notes["runbook_url"] == f"{RUNBOOKS}/{name}.md"
            assert notes["summary"].endswith(".")
            assert "{{" not in notes["summary"], "what is the same for all is a summary"
            assert re.search(r"\b[Ff]irst\b", notes["description"]), "what to do first"


def test_a_name_has_one_rule_for_each_severity() -> None:
    pairs = [(rule["alert"], rule["labels"]["severity"]) for rule in ALERTING]
    assert len(pairs) == len(set(pairs))


def test_recording_rules_are_named_level_metric_operation(subtests: pytest.Subtests) -> None:
    for name in sorted(RECORDED):
        with subtests.test(name):
            assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name)


BY_HAND: Final = {0, 1}
"""Truth values, and nothing at all; every other number has a metric or a recording rule."""


def test_thresholds_are_metrics(subtests: pytest.Subtests) -> None:
    for rule in ALERTING:
        with subtests.test(named(rule)):
            expression = re.sub(r'"[^"]*"|\[[^]]*\]|offset \S+', "", rule["expr"])
            if rule["alert"].endswith("Burn"):
                expression = re.sub(
                    r"[\d.]+ \* \(1 - scalar", "", expression
                )  # by how much too fast
            assert {
                float(n) for n in re.findall(r"(?<![\w.:])\d+(?:\.\d+)?\b", expression)
            } <= BY_HAND


ABOUT: Final = {"target", "wallet", "asset", "contract"}
"""Labels that say what an alert is about."""

LABELS: Final = {
    metric.name: {*group.labels, *metric.labels}
    for group in catalogue.GROUPS
    for metric in group.metrics
} | {
    collector.ERRORS: set(),
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity", *ABOUT},
}
TARGET_LABELS: Final = {"instance", "job"}
EVERY_LABEL: Final = TARGET_LABELS.union(*LABELS.values())


def test_metrics_and_labels_are_in_the_catalogue(subtests: pytest.Subtests) -> None:
    for rule in RULES:
        with subtests.test(named(rule)):
            found = list(selectors(promql_parser.parse(rule["expr"])))
            assert found or "vector(" in rule["expr"]
            for selector in found:
                if selector.name in RECORDED:
                    continue
                assert selector.name in LABELS
                wanted = {matcher.name for matcher in selector.matchers.matchers}
                assert wanted <= LABELS[selector.name] | TARGET_LABELS, selector.name
            modifiers = re.findall(r"\b(?:on|by|without|group_left) \(([^)]*)\)", rule["expr"])
            used = {
                label.strip()
                for labels in modifiers
                for label in labels.split(",")
                if label.strip()
            }
            assert used <= EVERY_LABEL


def test_every_threshold_in_a_rule_is_configured_in_that_unit() -> None:
    from tonwatch.config.models import Thresholds
    from tonwatch.serve.thresholds import unit_of

    configured = {(unit_of(name), name) for name in Thresholds.model_fields}
    asked = {
        pair
        for rule in RULES
        for pair in re.findall(
            rf'tonwatch_threshold_({"|".join(UNITS)}){{threshold="(\w+)"}}', rule["expr"]
        )
    }
    assert asked
    assert asked <= configured
