"""Other names in rules, routes, dashboards and runbooks: what changes, and what must not."""

import json
from typing import Any

import pytest
import yaml

from tonwatch.commands.bundle.options import RUNBOOKS_URL, Names
from tonwatch.commands.bundle.text import (
    in_alertmanager,
    in_dashboard,
    in_promql,
    in_rules,
    in_runbook,
    prometheus_rule,
    severities,
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
        expr: absent(up{{job="tonwatch"}} == 1)  # tonwatch, under whatever name
        for: 1m
        labels:
          severity: critical  # nobody looks any more
        annotations:
          summary: tonwatch itself is not scraped.
          runbook_url: {RUNBOOKS_URL}/TonwatchAbsent.md
      - alert: TonwatchSlow
        expr: |
          # job="tonwatch" in a comment isn't a matcher
          max by (job) (slow{{job="tonwatch", instance!=""}})

          > 1
        labels: {{severity: warning, team: "nobody"}}
      - alert: TonwatchQuoted
        expr: 'ALERTS{{severity="critical"}} and label_replace(up, "job", "tonwatch", "", "")'
      - record: job:up:sum
        expr: "sum by (job) (up{{job=\\"tonwatch\\"}})"
        labels: {{severity: critical}}

  - name: second
    rules: []
# The end.
"""


class TestPromql:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            pytest.param('up{job="tonwatch"}', 'up{job="ton/watch"}', id="matcher"),
            pytest.param(
                "up{a='x',job = 'tonwatch'}", "up{a='x',job = \"ton/watch\"}", id="quotes"
            ),
            pytest.param('up{job!="tonwatch"}', 'up{job!="ton/watch"}', id="negated"),
            pytest.param(
                'up{job=~"tonwatch|wallet-api|other"}',
                'up{job=~"ton/watch|wallets|other"}',
                id="alternatives",
            ),
            pytest.param(
                'a{job=~"(tonwatch|x)",b=~"tonwatch"}',
                'a{job=~"(ton/watch|x)",b=~"tonwatch"}',
                id="group",
            ),
            pytest.param(
                'ALERTS{severity="critical"} or ALERTS{severity=~"warning|info"}',
                'ALERTS{severity="page"} or ALERTS{severity=~"ticket|info"}',
                id="severity",
            ),
            pytest.param(
                'label_values(tonwatch_up{job="tonwatch"}, job)',
                'label_values(tonwatch_up{job="ton/watch"}, job)',
                id="grafana",
            ),
        ],
    )
    def test_matchers_change(self, expression: str, expected: str) -> None:
        assert in_promql(expression, NAMES) == expected

    @pytest.mark.parametrize(
        "expression",
        [
            pytest.param('up{job="tonwatch-2"}', id="a longer name"),
            pytest.param('up{exported_job="tonwatch"}', id="another label"),
            pytest.param('up{target="tonwatch"}', id="another label's value"),
            pytest.param('up{job=~"tonwatch.*"}', id="a pattern"),
            pytest.param('up{job=~"$job", a="$b"}', id="a variable"),
            pytest.param('label_replace(up, "job", "tonwatch", "x", "")', id="an argument"),
            pytest.param('up{a="job=\\"tonwatch\\""}', id="inside of a string"),
            pytest.param('up{a="}", b="{job="} # {job="tonwatch"}', id="a comment"),
            pytest.param("sum by (job) (tonwatch)", id="a metric"),
            pytest.param('rate(x[${__interval}]) == bool 1 # job="tonwatch"', id="outside"),
        ],
    )
    def test_everything_else_stays(self, expression: str) -> None:
        assert in_promql(expression, NAMES) == expression

    def test_values_are_quoted(self) -> None:
        assert (
            in_promql('up{job="tonwatch"}', ODD) == r'up{job="it' + "'" + r's \"our\" #1: {job}"}'
        )

    def test_values_are_no_patterns(self) -> None:
        names = Names(jobs={"tonwatch": "a.b-c"})
        assert in_promql('up{job=~"tonwatch|x"}', names) == r'up{job=~"a\\.b-c|x"}'


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
            'expr: absent(up{job="ton/watch"} == 1)  # tonwatch, under whatever name',
            "severity: page  # nobody looks any more",
            'max by (job) (slow{job="ton/watch", instance!=""})',
            'labels: {severity: ticket, team: "nobody"}',
            'expr: \'ALERTS{severity="page"} and label_replace(up, "job", "tonwatch", "", "")\'',
            "expr: 'sum by (job) (up{job=\"ton/watch\"})'",
            "labels: {severity: page}",
        ]

    def test_names_that_need_quotes(self) -> None:
        first, slow, quoted, record = rules(in_rules(RULES, ODD))
        assert first["labels"]["severity"] == "P1: wake"
        job = r'''"it's \"our\" #1: {job}"'''
        assert first["expr"] == f"absent(up{{job={job}}} == 1)"
        assert f"slow{{job={job}, " in slow["expr"]
        assert quoted["expr"].startswith('ALERTS{severity="P1: wake"} and')
        assert record["expr"] == f"sum by (job) (up{{job={job}}})"

    def test_labels_are_put_on_alerts_only(self) -> None:
        names = Names(labels={"team": "payments", "tier": "1"})
        text = in_rules(RULES, names)
        first, slow, quoted, record = rules(text)
        assert first["labels"] == {"severity": "critical", "team": "payments", "tier": "1"}
        assert slow["labels"] == {"severity": "warning", "team": "payments", "tier": "1"}
        assert quoted["labels"] == {"team": "payments", "tier": "1"}
        assert record["labels"] == {"severity": "critical"}
        assert "severity: critical  # nobody looks any more\n" in text

    def test_labels_may_say_anything(self) -> None:
        values = {"a": "yes", "b": "1.5", "c": 'say "hi": {x}', "d": "null", "e": "ünï # x"}
        for rule in rules(in_rules(RULES, Names(labels=values)))[:3]:
            assert {**rule["labels"], **values} == rule["labels"]

    def test_runbooks(self) -> None:
        (first, *_) = rules(in_rules(RULES, Names(runbooks_url="https://wiki.example/ton")))
        url = first["annotations"]["runbook_url"]
        assert url == "https://wiki.example/ton/TonwatchAbsent.md"

    def test_severities(self) -> None:
        assert severities(RULES) == {"critical", "warning"}


class TestPrometheusRule:
    def test_all_groups_with_their_comments(self) -> None:
        other = 'groups:\n- name: third\n  rules:\n  - {record: a, expr: "1"}\n'
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
        - matchers: [severity = warning]
        - matchers:
            - 'severity=~"critical|warning"'
            - job=wallet-api
    - matchers: [team="critical"]
      routes: *shared
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: ['severity!~"info|critical"']
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
        - matchers: [severity = ticket]
        - matchers:
            - 'severity=~"page|ticket"'
            - job=wallets
    - matchers: [team="critical"]
      routes: *shared
inhibit_rules:
  - source_matchers: [severity="page"]
    target_matchers: ['severity!~"info|page"']
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
            {"name": "service", "type": "constant", "query": "wallet-api"},
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
                    "mappings": [{"type": "value", "options": {"critical": {"index": 0}}}]
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
        job, service = new["templating"]["list"]
        assert job == {
            "name": "job",
            "label": "tonwatch",
            "query": 'label_values(up{job="ton/watch"}, job)',
            "current": {"text": ["ton/watch"], "value": ["ton/watch"]},
        }
        assert service["query"] == "wallets"
        (panel,) = new["panels"]
        assert panel["targets"] == [
            {"expr": 'count(ALERTS{severity="page",job=~"$job"})', "legendFormat": "page"},
            {"expr": 'limit{limit="critical"}', "legendFormat": "critical"},
        ]
        assert panel["fieldConfig"] == {
            "defaults": {"mappings": [{"type": "value", "options": {"page": {"index": 0}}}]},
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
            ('a{severity=~"critical|info"}', 'a{severity=~"page|info"}'),
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
        assert in_runbook('up{job="tonwatch"}', ODD) == in_promql('up{job="tonwatch"}', ODD)


def rules(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
