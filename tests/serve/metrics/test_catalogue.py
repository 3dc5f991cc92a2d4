"""The catalogue: its metrics are emitted, documented and named by Prometheus' conventions."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Clock
from tests.programs import program
from tests.serve.scene import Scene
from tests.serve.scraping import (
    ALL,
    context_of,
    names_of,
    scrape,
    show_every_metric,
    show_every_target_metric,
    written,
)
from tests.serve.wallet_scene import WalletScene
from tonwatch.serve.metrics import catalogue, collector
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.docs import documentation
from tonwatch.targets.registry import KINDS


@pytest.fixture
def wallet_scene(clock: Clock) -> WalletScene:
    made = WalletScene(clock)
    show_every_metric(made)
    return made


def test_its_metrics_are_emitted_and_no_others(wallet_scene: WalletScene) -> None:
    emitted = {
        sample.name
        for family in scrape(wallet_scene).families
        for sample in family.samples
        if not sample.name.startswith("process_")
    }
    named = {name for metric in ALL for name in names_of(metric)} | {collector.ERRORS}
    assert emitted == named


def test_labels_are_those_of_the_catalogue(wallet_scene: WalletScene) -> None:
    labels = {
        name: {*group.labels, *metric.labels}
        for group in catalogue.GROUPS
        for metric in group.metrics
        for name in names_of(metric)
    }
    for family in scrape(wallet_scene).families:
        for sample in family.samples:
            if sample.name in labels:
                assert set(sample.labels) - {"le"} == labels[sample.name], sample.name


CONFIGURED = {"target", "wallet", "contract"}
FREE = {"version", "protocol_version", "exit_code", "le", "role", "local", "threshold"}


def test_every_value_of_a_label_is_documented(wallet_scene: WalletScene) -> None:
    _, values = documentation(KINDS).split("## Values of labels")
    emitted = {
        (label, value)
        for family in scrape(wallet_scene).families
        for sample in family.samples
        for label, value in sample.labels.items()
        if label not in CONFIGURED | FREE and value not in {"usdt", "liteserver", "toncenter-v2"}
    }
    assert {label for label, _ in emitted} == {
        *("state", "cause", "phase", "asset", "probe", "reason", "component"),
        *("outcome", "status", "wallet_version", "proven", "transaction_phase", "skip_reason"),
        *("readiness", "refusal"),
    }
    assert {(label, value) for label, value in emitted if f"`{value}`" not in values} == set()


def test_a_label_means_one_thing() -> None:
    """Each is explained once, but for `reason`: by the probe that failed."""
    _, values = documentation(KINDS).split("## Values of labels")
    explained = Counter(
        label
        for names in re.findall(r"^- ((?:`\w+`(?:, )?)+)", values, re.MULTILINE)
        for label in re.findall(r"`(\w+)`", names)
    )
    assert [label for label, times in explained.items() if times > 1] == ["reason"]
    labels = {label for group in catalogue.GROUPS for label in group.labels}
    labels |= {label for metric in ALL for label in metric.labels}
    assert set(explained) == labels | {"component"}


def test_no_series_of_wallets_where_there_are_none(scene: Scene) -> None:
    show_every_target_metric(scene)
    names = {family.name for family in scrape(scene).families}
    assert not {name for name in names if "_wallet_" in name or "_contract_" in name}
    assert not scrape(scene).values("tonwatch_probes_total", probe="balance")


def test_the_documentation_is_up_to_date() -> None:
    written = Path(__file__).parents[3] / "docs" / "metrics.md"
    assert written.read_text(encoding="utf-8") == documentation(KINDS), (
        "write it anew: python -m tonwatch.serve.metrics > docs/metrics.md"
    )


def test_promtool_finds_nothing(wallet_scene: WalletScene) -> None:
    tool = program("promtool")
    text = written(MetricsCollector(context_of(wallet_scene), wallet_scene.watcher.errors))
    checked = subprocess.run(
        [tool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_conventions(subtests: pytest.Subtests) -> None:
    for metric in ALL:
        with subtests.test(metric.name):
            assert metric.name.startswith("tonwatch_")
            assert metric.name.endswith("_total") == (metric.type == "counter")
            assert metric.name.endswith("_info") == (metric.type == "info")
            assert "_timestamp" not in metric.name or metric.name.endswith("_timestamp_seconds")
            assert metric.help.endswith(".")
            if metric.unit == "seconds":
                assert "econds" in metric.help
            if metric.unit == "blocks":
                assert "locks" in metric.help
