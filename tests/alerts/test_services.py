"""The rules for the surrounding services, their unit tests, and the metrics contract."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "alerts" / "services.yaml"
CONTRACT: Final = (ROOT / "docs" / "service-metrics.md").read_text(encoding="utf-8")
UNIT_TESTS: Final = sorted((ROOT / "alerts" / "tests").glob("services*.yaml"))

GROUPS: Final[list[dict[str, Any]]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALERTS: Final = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
NAMES: Final = sorted({rule["alert"] for rule in ALERTS})
CASES: Final[list[dict[str, Any]]] = [
    case
    for path in UNIT_TESTS
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
]

TEXT_BLOCKS: Final = re.findall(r"^```text\n(.*?)^```", CONTRACT, re.MULTILINE | re.DOTALL)
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def asked(case: dict[str, Any], name: str) -> list[set[str]]:
    """The expected alerts of each test case that asks for this alert alone."""
    return [
        {sample["labels"] for sample in check["exp_samples"]}
        for check in case["promql_expr_test"]
        if f'"{name}"' in check["expr"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_seen_firing_and_silent_and_resolved(name: str) -> None:
    seen = [firing for case in CASES if (firing := asked(case, name))]
    assert any(any(firing) for firing in seen), "it never fires"
    assert any(not all(firing) for firing in seen), "it is never silent"
    assert any(before - after for firing in seen for before, after in pairwise(firing) if before), (
        "it never resolves"
    )


def test_nothing_fires_without_the_services_metrics() -> None:
    assert any(
        asked["expr"] == "ALERTS" and not asked["exp_samples"]
        for case in CASES
        for asked in case["promql_expr_test"]
    )


def test_names_of_jobs_are_in_one_group() -> None:
    elsewhere = [
        rule
        for group in GROUPS
        for rule in group["rules"]
        if "job=" in rule["expr"] and group["name"] != "tonwatch-service-jobs"
    ]
    assert elsewhere == []


def test_alerts_have_no_limits_of_their_own(subtests: pytest.Subtests) -> None:
    """Only windows, burn factors, seconds in a window and 0 are written as numbers."""
    for rule in ALERTS:
        with subtests.test(f"{rule['alert']} {rule['labels']}"):
            bare = re.sub(r"\[[^]]*\]|offset \w+|\w+:\w+:\w+|\"[^\"]*\"", " ", rule["expr"])
            numbers = {float(found) for found in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", bare)}
            assert numbers <= {0, 1, 3, 6, 14.4, 1800, 3900}


def test_alerts_are_written_as_the_others(subtests: pytest.Subtests) -> None:
    for rule in ALERTS:
        notes = rule["annotations"]
        with subtests.test(f"{rule['alert']} {rule['labels']}"):
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert notes.keys() == {"summary", "description", "runbook_url"}
            assert "{{" not in notes["summary"]
            assert notes["runbook_url"].endswith(f"/docs/runbooks/{rule['alert']}.md")


class TestTheContract:
    @pytest.mark.parametrize("block", TEXT_BLOCKS, ids=lambda block: block.split()[2])
    def test_examples_parse(self, block: str) -> None:
        families = list(text_string_to_metric_families(block))
        assert families
        assert all(family.type != "unknown" and family.samples for family in families)

    def test_the_example_is_whole(self) -> None:
        """It has every metric and label that the rules read, and the standard buckets."""
        samples = [
            sample
            for block in TEXT_BLOCKS
            for family in text_string_to_metric_families(block)
            for sample in family.samples
        ]
        text = RULES.read_text(encoding="utf-8")
        read = set(re.findall(r"\b(?:http_server|payout_helper|analytics)_\w+", text))
        assert read <= {sample.name for sample in samples}
        labels = {label for sample in samples for label in sample.labels}
        assert {"http_route", "http_response_status_code", "wallet", "asset", "reason"} <= labels
        bounds = {sample.labels["le"] for sample in samples if "le" in sample.labels}
        assert {float(bound) for bound in bounds} == {*BOUNDS, float("inf")}

    def test_buckets_that_the_rules_read_are_written_alike_by_every_client(self) -> None:
        """Some write whole numbers as `1`, others as `1.0`."""
        read = re.findall(r'le=~"([^|]+)\|', RULES.read_text(encoding="utf-8"))
        assert read
        for bound in (float(found.replace("\\", "")) for found in read):
            assert bound in BOUNDS
            assert not bound.is_integer()

    def test_it_names_the_buckets_and_the_jobs(self) -> None:
        text = RULES.read_text(encoding="utf-8")
        for bound in re.findall(r'le=~"([^|]+)\|', text):
            assert f'le="{bound.replace(chr(92), "")}"' in CONTRACT
        for job in re.findall(r'job="([\w-]+)"', text):
            assert f"`{job}`" in CONTRACT
