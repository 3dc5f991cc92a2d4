"""Panels count the first event of a counter that appears with it, evaluated by Prometheus."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from dashboards.build.query import grown
from tests.shipped import promtool

CASES: Final = {
    "the first events": ("_x10 2x9", 12, 2),
    "the first event is over": ("_x10 2x19", 25, 0),
    "one more": ("2x10 3x9", 12, 1),
    "nothing new": ("2x20", 12, 0),
    "tonwatch started again": ("5x10 1x9", 12, 1),
    "it was away meanwhile": ("5x5 stale _x4 1x9", 12, 1),
}
"""A counter minute by minute, and by how much it has grown within five minutes at one of them."""


@pytest.mark.parametrize("by", ["", "reason"], ids=["each series", "by a label"])
@pytest.mark.parametrize(("values", "minute", "growth"), CASES.values(), ids=CASES.keys())
def test_growth(tmp_path: Path, by: str, values: str, minute: int, growth: int) -> None:
    rules = {"groups": [{"name": "all", "rules": [{"record": "a:b:c", "expr": "vector(0)"}]}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    series = [{"series": 'counter{reason="a"}', "values": values}]
    expected = [{"labels": '{reason="a"}', "value": growth}]
    asked = {
        "expr": grown("counter", "5m", by),
        "eval_time": f"{minute}m",
        "exp_samples": expected,
    }
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
    content = {"rule_files": ["rules.yaml"], "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(content))
    promtool("test", "rules", tmp_path / "test.yaml")
