"""Reads expositions back, and knows what ought to be in them."""

from typing import Any

from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.serve.stage import NODE, PROVIDER, PUBLIC, Stage
from tonwatch.probes.sample import Probe
from tonwatch.serve import catalogue, metrics
from tonwatch.serve.reading import Metric
from tonwatch.serve.scene import Scene

ALL: tuple[Metric[Any], ...] = (
    *catalogue.CHAIN,
    *catalogue.VERDICT,
    *catalogue.TARGET,
    *catalogue.PROBE,
    *catalogue.ITSELF,
)


class Scrape:
    """One exposition, asked by name and labels."""

    def __init__(self, body: str) -> None:
        self.families: list[Family] = list(parse_text(body))
        self._samples = [sample for family in self.families for sample in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float:
        [value] = self.values(name, **labels)
        return value

    def holding(self, name: str, label: str, **labels: str) -> list[str]:
        """The values of `label` whose series is 1."""
        return [
            sample.labels[label]
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items() and sample.value
        ]


def scrape(stage: Stage) -> Scrape:
    watcher = stage.watcher
    registry = metrics.registry(lambda: Scene(watcher.view, stage.config, "1.2.3", watcher.alive))
    body, _ = metrics.exposition(registry, "")
    return Scrape(body.decode())


def everything(stage: Stage) -> None:
    """A scene in which every metric has something to say.

    Our clock is eight seconds behind, and the node is catching up.
    """
    for lag in (62, 42, 22):
        stage.clock.advance(5)
        stage.answer(NODE, lag - 8, clock_offset=8.0)
        stage.answer(PUBLIC, -8, clock_offset=8.1)
        stage.answer(PROVIDER, -8)
        stage.put(NODE, Probe.CONNECT, {"connect": 0.001, "handshake": 0.002, "query": 0.001})
        stage.watcher.look()


def names_of(metric: Metric[Any]) -> set[str]:
    suffixes = ("_bucket", "_count", "_sum") if metric.type == "histogram" else ("",)
    return {metric.name + suffix for suffix in suffixes}
