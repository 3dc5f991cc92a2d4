"""The catalogue of metrics: what it names is emitted, documented, and named as Prometheus asks."""

from pathlib import Path
from typing import Any

import pytest

from tests.serve.scraping import ALL, everything, names_of, scrape
from tests.serve.stage import Stage
from tonwatch.serve import catalogue, metrics
from tonwatch.serve.reading import Metric


def test_what_it_names_is_emitted_and_nothing_else(stage: Stage) -> None:
    everything(stage)
    emitted = {
        sample.name
        for family in scrape(stage).families
        for sample in family.samples
        if not sample.name.startswith("process_")
    }
    named = {name for metric in ALL for name in names_of(metric)} | {metrics.ERRORS}
    assert emitted == named


def test_labels_are_as_it_says(stage: Stage) -> None:
    everything(stage)
    of_targets: set[Metric[Any]] = {*catalogue.TARGET, *catalogue.PROBE}
    labels = {
        name: {*metric.labels} | ({"target"} if metric in of_targets else set())
        for metric in ALL
        for name in names_of(metric)
    }
    for family in scrape(stage).families:
        for sample in family.samples:
            if sample.name in labels:
                assert set(sample.labels) - {"le"} == labels[sample.name], sample.name


def test_the_documentation_is_up_to_date() -> None:
    written = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert written.read_text(encoding="utf-8") == metrics.documentation(), (
        "write it anew: python -m tonwatch.serve.metrics > docs/metrics.md"
    )


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_conventions(metric: Metric[Any]) -> None:
    assert metric.name.startswith("tonwatch_")
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert metric.name.endswith("_info") == (metric.type == "info")
    assert "_timestamp" not in metric.name or metric.name.endswith("_timestamp_seconds")
    assert metric.help.endswith(".")
    if metric.unit == "seconds":
        assert "econds" in metric.help
    if metric.unit == "blocks":
        assert "locks" in metric.help
