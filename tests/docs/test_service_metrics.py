"""The examples of the contract for services export what the contract names."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

CONTRACT: Final = (Path(__file__).parents[2] / "docs/service-metrics.md").read_text("utf-8")
TABLES: Final = set(
    re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram)", CONTRACT, re.MULTILINE)
)
CONFIGURED: Final = [("payouts", "native"), ("payouts", "usdt")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", CONTRACT, re.MULTILINE | re.DOTALL)


def test_the_payout_helper_in_python_is_whole() -> None:
    """It is run, in a process of its own since its metrics are the process's."""
    (example,) = (block for block in blocks("python") if "import Counter" in block)
    served = "start_http_server(9464)"
    assert served in example
    script = f"""
configured = {CONFIGURED}
{example.replace(served, "")}
for asset in configured:
    handed_over(asset, 12.5)
    queue_changed(asset, [])
queue_changed(configured[1], [1763900000, 1763900001])
queue_changed(configured[0], [1763900000])
queue_changed(configured[0], [])
from prometheus_client import generate_latest
print(generate_latest().decode())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    exported = {
        (sample.name, sample.labels["asset"]): sample.value
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
        if sample.name in TABLES
    }
    helper = {name for name in TABLES if name.startswith("payout_helper_")}
    oldest = "payout_helper_queue_oldest_timestamp_seconds"
    assert exported.keys() == {
        (name, asset) for name in helper for _, asset in CONFIGURED if name != oldest
    } | {(oldest, "usdt")}
    assert exported["payout_helper_payout_amount_total", "usdt"] == 12.5
    assert exported["payout_helper_payouts_failed_total", "native"] == 0
    assert exported[oldest, "usdt"] == 1763900000


def test_instruments_become_the_names_of_the_contract() -> None:
    rows = re.findall(r"^\| (.*)`([a-z_.]+)` \| (`s`)? ?\| `(\w+)` \|$", CONTRACT, re.MULTILINE)
    assert {name for *_, name in rows} == TABLES - {"http_server_active_requests"}
    for kind, instrument, unit, name in rows:
        suffix = "_seconds" if unit else "_total" if kind == "counter " else ""
        assert instrument.replace(".", "_") + suffix == name
    used = re.findall(r"(?:create_?)\w+\(\s*\"([\w.]+)\"", "".join(blocks("python") + blocks("js")))
    assert used
    assert set(used) <= {instrument for _, instrument, _, _ in rows}
