"""Other names in rules, routes, dashboards and runbooks: what changes, and what must not."""

import json
from typing import Any

import pytest
import yaml

from tonwatch.commands.bundle.options import RUNBOOKS_URL, Names
from tonwatch.commands.bundle.text import (
    in_alertmanager,
    in_dashboard,
    in_rules,
    in_runbook,
    prometheus_rule,
)

NAMES = Names(
    jobs={"tonwatch": "ton/watch", "wallet-api": "wallets"},
    severities={"critical": "page", "warning": "ticket"},
)
ODD = Names(jobs={"tonwatch": 'it\'s "our" #1: {job}'}, severities={"critical": "P1: wake"})

MAIN = RUNBOOKS_URL.removesuffix("/docs/runbooks")

RULES = f"""\
# What this file is for.
groups:
  # The first group.
  - name: first
    interval: 30s
    rules:
      # It is away.
      - alert: TonwatchAbsent
        expr: |
          absent(up{{job="tonwatch"}} == 1)  # tonwatch, under whatever name
        for: 1m
        labels: {{severity: critical}}  # nobody looks any more
        annotations:
          summary: tonwatch itself is not scraped.
          runbook_url: {RUNBOOKS_URL}/TonwatchAbsent.md
      - alert: TonwatchSlow
        expr: |
          max by (job) (slow{{job="tonwatch", instance!=""}})

          > 1
        labels: {{severity: warning}}
      - record: job:up:sum
        expr: |
          sum by (job) (up{{job="tonwatch"}}) and ignoring (severity) ALERTS{{severity="critical"}}
        labels: {{service: tonwatch}}

  - name: second
    rules: []
# The end.
"""


class TestPlaces:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            pytest.param('up{job="tonwatch"}', 'up{job="ton/watch"}', id="job"),
            pytest.param('a{b="x",job="tonwatch"}', 'a{b="x",job="ton/watch"}', id="among others"),
            pytest.param(
                'a{job="tonwatch"} or b{job="wallet-api"}',
                'a{job="ton/watch"} or b{job="wallets"}',
                id="several",
            ),
            pytest.param(
                'ALERTS{severity="critical"} or ALERTS{severity="info"}',
                'ALERTS{severity="page"} or ALERTS{severity="info"}',
                id="severity",
            ),
        ],
    )
    def test_are_filled(self, query: str, expected: str) -> None:
        assert in_rules(query, NAMES) == expected

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param('up{job="tonwatch-2"}', id="a longer name"),
            pytest.param('up{exported_job="tonwatch"}', id="another label"),
            pytest.param('up{target="tonwatch"}', id="another label's value"),
            pytest.param('up{job=~"tonwatch.*"}', id="a pattern"),
            pytest.param('up{job=~"$job", a="$b"}', id="a variable"),
            pytest.param('label_replace(up, "job", "tonwatch", "x", "")', id="an argument"),
            pytest.param("sum by (job) (tonwatch)", id="a metric"),
        ],
    )
    def test_everything_else_stays(self, query: str) -> None:
        assert in_rules(query, NAMES) == query

    def test_values_are_quoted(self) -> None:
        assert in_rules('up{job="tonwatch"}', ODD) == r"""up{job="it's \"our\" #1: {job}"}"""


class TestRules:
    def test_without_names_nothing_changes(self) -> None:
        assert in_rules(RULES, Names()) == RULES

    def test_only_what_is_named_changes(self) -> None:
        new = in_rules(RULES, NAMES)
        changed = [
            (old, line)
            for old, line in zip(RULES.splitlines(), new.splitlines(), strict=True)
            if old != line
        ]
        assert [line.strip() for _, line in changed] == [
            'absent(up{job="ton/watch"} == 1)  # tonwatch, under whatever name',
            "labels: {severity: page}  # nobody looks any more",
            'max by (job) (slow{job="ton/watch", instance!=""})',
            "labels: {severity: ticket}",
            'sum by (job) (up{job="ton/watch"}) and ignoring (severity) ALERTS{severity="page"}',
        ]

    def test_names_that_need_quotes(self) -> None:
        first, slow, record = rules(in_rules(RULES, ODD))
        assert first["labels"]["severity"] == "P1: wake"
        job = r'''"it's \"our\" #1: {job}"'''
        assert first["expr"].startswith(f"absent(up{{job={job}}} == 1)")
        assert f"slow{{job={job}, " in slow["expr"]
        assert record["expr"].startswith(f"sum by (job) (up{{job={job}}})")

    def test_labels_are_put_on_alerts_only(self) -> None:
        names = Names(labels={"team": "payments", "tier": "1"})
        text = in_rules(RULES, names)
        first, slow, record = rules(text)
        assert first["labels"] == {"severity": "critical", "team": "payments", "tier": "1"}
        assert slow["labels"] == {"severity": "warning", "team": "payments", "tier": "1"}
        assert record["labels"] == {"service": "tonwatch"}
        assert '{severity: critical, team: payments, tier: "1"}  # nobody looks' in text

    def test_any_label_values(self) -> None:
        values = {"a": "yes", "b": "1.5", "c": 'say "hi": {x}', "d": "null", "e": "ünï # x"}
        for rule in rules(in_rules(RULES, Names(labels=values)))[:2]:
            assert {**rule["labels"], **values} == rule["labels"]

    def test_runbooks(self) -> None:
        (first, *_) = rules(in_rules(RULES, Names(runbooks_url="https://wiki.example/ton")))
        url = first["annotations"]["runbook_url"]
        assert url == "https://wiki.example/ton/TonwatchAbsent.md"


class TestPrometheusRule:
    def test_all_groups_with_their_comments(self) -> None:
        other = 'groups:\n  - name: third\n    rules:\n      - {record: a, expr: "1"}\n'
        text = prometheus_rule(
            {"a.yaml": RULES, "b.yaml": other},
            name="tw",
            namespace="monitoring",
            labels={"release": "prometheus", "on": "true"},
        )
        document = yaml.safe_load(text)
        assert document["spec"]["groups"] == [
            *yaml.safe_load(RULES)["groups"],
            *yaml.safe_load(other)["groups"],
        ]
        assert document["metadata"] == {
            "name": "tw",
            "namespace": "monitoring",
            "labels": {
                "app.kubernetes.io/name": "tonwatch",
                "release": "prometheus",
                "on": "true",
            },
        }
        assert "\n        # It is away.\n" in text

    def test_the_namespace_may_be_left_to_kubectl(self) -> None:
        text = prometheus_rule({"a.yaml": RULES}, name="tonwatch", namespace=None, labels={})
        assert "namespace" not in yaml.safe_load(text)["metadata"]


ROUTES = """\
route:
  routes:
    - matchers: [severity="critical", alertname=~"Tonwatch.+"]  # a page
      routes: &shared
        - matchers:
            - severity="warning"
            - job="wallet-api"
    - matchers: [team="critical"]
      routes: *shared
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="info"]
    equal: [severity, job]
receivers:
  - name: critical
"""


class TestAlertmanager:
    def test_without_names_nothing_changes(self) -> None:
        assert in_alertmanager(ROUTES, Names()) == ROUTES

    def test_matchers_change_and_nothing_else(self) -> None:
        assert (
            in_alertmanager(ROUTES, NAMES)
            == """\
route:
  routes:
    - matchers: [severity="page", alertname=~"Tonwatch.+"]  # a page
      routes: &shared
        - matchers:
            - severity="ticket"
            - job="wallets"
    - matchers: [team="critical"]
      routes: *shared
inhibit_rules:
  - source_matchers: [severity="page"]
    target_matchers: [severity="info"]
    equal: [severity, job]
receivers:
  - name: critical
"""
        )

    def test_names_that_need_quotes(self) -> None:
        route = yaml.safe_load(in_alertmanager(ROUTES, ODD))["route"]["routes"][0]
        assert route["matchers"] == ['severity="P1: wake"', 'alertname=~"Tonwatch.+"']


DASHBOARD: dict[str, Any] = {
    "title": "critical",
    "templating": {
        "list": [
            {
                "name": "job",
                "label": "tonwatch",
                "query": 'label_values(up{job="tonwatch"}, job)',
                "current": {"text": ["tonwatch"], "value": ["tonwatch"]},
            },
        ]
    },
    "panels": [
        {
            "targets": [
                {
                    "expr": 'count(ALERTS{severity="critical",job=~"$job"})',
                    "legendFormat": "critical",
                },
                {"expr": 'limit{limit="critical"}', "legendFormat": "critical"},
            ],
            "links": [{"url": f"{RUNBOOKS_URL}/README.md"}],
            "fieldConfig": {
                "defaults": {
                    "mappings": [{"type": "value", "options": {"0": {"text": "critical"}}}]
                },
                "overrides": [{"matcher": {"id": "byName", "options": "warning"}}],
            },
        }
    ],
}


class TestDashboard:
    def test_without_names_nothing_changes(self) -> None:
        text = json.dumps(DASHBOARD, indent=3)
        assert in_dashboard(text, Names()) == text

    def test_queries_defaults_and_colours(self) -> None:
        new = json.loads(in_dashboard(json.dumps(DASHBOARD), NAMES))
        (job,) = new["templating"]["list"]
        assert job == {
            "name": "job",
            "label": "tonwatch",
            "query": 'label_values(up{job="ton/watch"}, job)',
            "current": {"text": ["ton/watch"], "value": ["ton/watch"]},
        }
        (panel,) = new["panels"]
        assert panel["targets"] == [
            {"expr": 'count(ALERTS{severity="page",job=~"$job"})', "legendFormat": "page"},
            {"expr": 'limit{limit="critical"}', "legendFormat": "critical"},
        ]
        assert panel["fieldConfig"] == {
            "defaults": {"mappings": [{"type": "value", "options": {"0": {"text": "page"}}}]},
            "overrides": [{"matcher": {"id": "byName", "options": "warning"}}],
        }
        assert new["title"] == "critical"

    def test_links(self) -> None:
        names = Names(runbooks_url="http://wiki.example:8080/r")
        (panel,) = json.loads(in_dashboard(json.dumps(DASHBOARD), names))["panels"]
        assert panel["links"] == [{"url": "http://wiki.example:8080/r/README.md"}]


class TestRunbook:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('up{job="tonwatch"}', 'up{job="ton/watch"}'),
            ('a{severity="critical"}', 'a{severity="page"}'),
            ('(`job="tonwatch"`, unless', '(`job="ton/watch"`, unless'),
            ('job=~".*tonwatch.*"', 'job=~".*tonwatch.*"'),
            ('{job="tonwatch-2", exported_job="tonwatch"}',) * 2,
            ("the job is called tonwatch", "the job is called tonwatch"),
            ("[down](TonwatchNodeDown.md)", "[down](TonwatchNodeDown.md)"),
            (
                "[all](../diagnoses.md#lag), [it](../../README.md)",
                f"[all]({MAIN}/docs/diagnoses.md#lag), [it]({MAIN}/README.md)",
            ),
        ],
    )
    def test_matchers_and_links(self, text: str, expected: str) -> None:
        assert in_runbook(text, NAMES) == expected

    def test_values_are_quoted(self) -> None:
        assert in_runbook('up{job="tonwatch"}', ODD) == in_rules('up{job="tonwatch"}', ODD)


def rules(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
