"""Parses expositions, and makes scenes in which every metric has a value."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.serve.scene import NODE, PROVIDER, PUBLIC, Scene
from tests.serve.wallet_scene import WalletScene
from tonwatch.samples.sample import Probe
from tonwatch.serve.metrics import catalogue
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.serve.metrics.family import Metric
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason
from tonwatch.watch.shown import shown

ALL: tuple[Metric[Any], ...] = tuple(
    metric for group in catalogue.GROUPS for metric in group.metrics
)


class Scrape:
    """One exposition, whose samples are found by name and labels."""

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


def context_of(scene: Scene) -> Callable[[], ScrapeContext]:
    def now() -> ScrapeContext:
        view, alive = shown(scene.watcher.view, scene.watcher.age(scene.watcher.view))
        return ScrapeContext(view, "1.2.3", alive)

    return now


def written(exposition: MetricsCollector, accept: str = "") -> str:
    return b"".join(exposition.write(accept)[0]).decode()


def scrape(scene: Scene) -> Scrape:
    return Scrape(written(MetricsCollector(context_of(scene), scene.watcher.errors)))


def show_every_target_metric(scene: Scene) -> None:
    """Give every metric that is not about wallets a value.

    The local clock is eight seconds behind, and the node is catching up.
    """
    for lag in (62, 42, 22):
        scene.clock.advance(5)
        scene.answer(NODE, lag - 8, clock_offset=8.0)
        scene.answer(PUBLIC, -8, clock_offset=8.1)
        scene.answer(PROVIDER, -8)
        scene.put(NODE, Probe.CONNECT, {"connect": 0.001, "handshake": 0.002, "query": 0.001})
        scene.fail(PUBLIC, Reason.OVERLOADED, probe=Probe.CONNECT)
        scene.put(NODE, Probe.ACCOUNT, {"query": 0.001}, out_queue=(12, 8000))
        scene.watcher.evaluate()


def show_every_metric(wallet_scene: WalletScene) -> None:
    """Give every metric a value."""
    show_every_target_metric(wallet_scene)
    wallet_scene.all_read()
    wallet_scene.read("cold", kind=WalletKind.HIGHLOAD_V3, last_clean=1_790_000_000)
    troubled = replace(
        wallet_scene.failed(2),
        bounced_amount=5,
        skipped_messages=1,
        bounced_messages=1,
        compute_skipped={"no_gas": 1},
    )
    wallet_scene.count_payouts("hot", totals=troubled)
    wallet_scene.accept_messages()
    wallet_scene.watcher.evaluate()


def names_of(metric: Metric[Any]) -> set[str]:
    suffixes = ("_bucket", "_count", "_sum") if metric.type == "histogram" else ("",)
    return {metric.name + suffix for suffix in suffixes}
