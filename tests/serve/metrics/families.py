"""The catalogue as prometheus_client collects it, to compare the exposition writer with."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tonwatch.serve.metrics import catalogue, collector
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.serve.metrics.family import Group, Metric
from tonwatch.system.internal_errors import Component
from tonwatch.watch.store import BUCKETS

BOUNDS = (*(floatToGoString(bound) for bound in BUCKETS), "+Inf")


class _Collector(Collector):
    def __init__(self, context: ScrapeContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Family]:
        for group in catalogue.GROUPS:
            sources = list(group.sources(self._context))
            if sources:
                yield from (_family(group, metric, sources) for metric in group.metrics)
        errors = CounterMetricFamily(collector.ERRORS, collector.ERRORS_HELP, labels=("component",))
        for component in Component:
            errors.add_metric((component,), 0)
        yield errors


def registry(context: ScrapeContext) -> CollectorRegistry:
    """Every family of the catalogue, without process metrics."""
    made = CollectorRegistry(auto_describe=False)
    made.register(_Collector(context))
    return made


def _family(
    group: Group[Any], metric: Metric[Any], sources: Iterable[tuple[tuple[str, ...], Any]]
) -> Any:
    labels = (*group.labels, *metric.labels)
    made: Any
    if metric.type == "info":
        made = InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)
    else:
        make = {
            "gauge": GaugeMetricFamily,
            "counter": CounterMetricFamily,
            "histogram": HistogramMetricFamily,
        }[metric.type]
        made = make(metric.name, metric.help, labels=labels, unit=metric.unit)
    for names, source in sources:
        for values, value in _points(metric, source):
            _add(made, labels, (*names, *values), value)
    return made


def _points(metric: Metric[Any], source: Any) -> Iterable[tuple[tuple[str, ...], Any]]:
    found: Any = metric.read(source)
    if metric.labels:
        yield from found
    elif found is not None:
        yield (), found


def _add(family: Any, labels: tuple[str, ...], values: tuple[str, ...], value: Any) -> None:
    if isinstance(family, InfoMetricFamily):
        family.add_metric((), dict(zip(labels, values, strict=True)))
    elif isinstance(family, HistogramMetricFamily):
        buckets = list(zip(BOUNDS, accumulate(value.counts), strict=True))
        family.add_metric(values, buckets=buckets, sum_value=value.sum)
    else:
        family.add_metric(values, value)
