"""The build step of the end-to-end run changes durations and nothing else."""

import re
from pathlib import Path

import pytest
import yaml

from tests.e2e import shortened
from tests.shipped import ALERTS


@pytest.mark.parametrize(
    ("shipped", "short"),
    [
        ("up == 0", "up == 0"),
        ("rate(x_total[5m])", "rate(x_total[10000ms])"),
        ("rate(x_total[1m])", "rate(x_total[10000ms])"),
        ("rate(x_total[1h30m])", "rate(x_total[90000ms])"),
        ("x[ 6h ] offset 2h", "x[360000ms] offset 120000ms"),
        ("max_over_time(x[6h:1m])", "max_over_time(x[360000ms:1000ms])"),
        ("max_over_time(x[6h:])", "max_over_time(x[360000ms:])"),
        ('x{path="/a[5m]"}', 'x{path="/a[5m]"}'),
        ('x{path="\\"[5m]"}[10m]', 'x{path="\\"[5m]"}[10000ms]'),
        ('x{le="1h"} > 3600', 'x{le="1h"} > 3600'),
    ],
)
def test_a_query(shipped: str, short: str) -> None:
    assert shortened.query(shipped) == short


@pytest.mark.parametrize(
    ("shipped", "short"),
    [("30s", "5000ms"), ("1m", "10000ms"), ("15m", "12000ms"), ("0s", "0ms"), ("1h", "12000ms")],
)
def test_a_wait(shipped: str, short: str) -> None:
    assert shortened.wait(shipped) == short


def test_rules_keep_all_but_durations() -> None:
    def bare(text: str) -> str:
        return re.sub(r"[0-9]+(ms|[smhdwy])\b", "", text)

    for name, short in shortened.rule_files().items():
        shipped = yaml.safe_load((ALERTS / name).read_text())
        for before, after in zip(shipped["groups"], short["groups"], strict=True):
            assert before["name"] == after["name"]
            for rule, cut in zip(before["rules"], after["rules"], strict=True):
                assert rule.keys() == cut.keys()
                assert {k: v for k, v in rule.items() if k not in {"expr", "for"}} == {
                    k: v for k, v in cut.items() if k not in {"expr", "for"}
                }
                if not rule["expr"].startswith("vector("):
                    assert bare(rule["expr"]).split() == bare(cut["expr"]).split()


def test_routes_keep_all_but_durations_and_places() -> None:
    shipped = yaml.safe_load((ALERTS / "alertmanager.yaml").read_text())
    short = shortened.alertmanager("http://here", Path("/secret"))
    assert short["inhibit_rules"] == shipped["inhibit_rules"]
    assert [receiver["name"] for receiver in short["receivers"]] == [
        receiver["name"] for receiver in shipped["receivers"]
    ]
    assert short["route"]["group_wait"] == "10000ms"
    assert len(short["route"]["routes"]) == len(shipped["route"]["routes"])
