"""Collects all metrics from one view at each scrape, and writes them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tonwatch.serve.metrics import catalogue
from tonwatch.serve.metrics.contexts import ScrapeContext
from tonwatch.serve.metrics.exposition import FamilyWriter, Names, format_for, head, names_of
from tonwatch.serve.metrics.family import Group, Metric
from tonwatch.system.internal_errors import Component, InternalErrors

ERRORS: Final = "tonwatch_internal_errors_total"
ERRORS_HELP: Final = "Failures of tonwatch itself, by component: bugs, which its log describes."


class MetricsCollector:
    """Collects and writes the catalogue's metrics, and `process_*` of tonwatch's own process.

    A value that cannot be read is left out alone; where sources cannot be listed, their group is.

    Args:
        context: returns what values are read from; called for each scrape.
        errors: counts failures to read them; its counts are exposed.
    """

    def __init__(self, context: Callable[[], ScrapeContext], errors: InternalErrors) -> None:
        self._context = context
        self._errors = errors
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)

    def write(self, accept: str) -> tuple[list[bytes], str]:
        """The metrics family by family, in the format that `accept` prefers; its content type.

        May be called from any thread.
        """
        content_type, openmetrics = format_for(accept)
        families: list[bytes] = []
        with self._errors.guard(Component.METRICS, "context"):
            context = self._context()
            for group in catalogue.GROUPS:
                with self._errors.guard(Component.METRICS, group.title):
                    families += list(self._families(group, context, openmetrics=openmetrics))
        process = b"# EOF\n" if openmetrics else b""
        with self._errors.guard(Component.METRICS, "process"):
            process = (generate_openmetrics if openmetrics else generate_latest)(self._process)
        families.append(head(ERRORS, "counter", ERRORS_HELP, "", openmetrics=openmetrics))
        families += [
            f'{ERRORS}{{component="{component}"}} {float(count)}\n'.encode()
            for component, count in self._errors.counts().items()
        ]
        families.append(process)
        return families, content_type

    def _families(
        self, group: Group[Any], context: ScrapeContext, *, openmetrics: bool
    ) -> Iterator[bytes]:
        """The families of a group, where it has sources."""
        sources = [
            (labels, names_of(group.labels, labels), source)
            for labels, source in group.sources(context)
        ]
        for metric in group.metrics:
            if sources and _shown(metric, context):
                writer = FamilyWriter(metric, group.labels)
                yield writer.heads(openmetrics=openmetrics)
                yield b"".join(self._samples(writer, sources))

    def _samples(
        self, writer: FamilyWriter, sources: Sequence[tuple[tuple[str, ...], Names, Any]]
    ) -> Iterator[bytes]:
        """The samples of a family, as far as they can be read, source by source."""
        metric = writer.metric
        failed = False
        for labels, names, source in sources:
            try:
                yield writer.write(names, metric.read(source))
            except Exception as error:  # noqa: BLE001 - the other values must still be exposed
                failed = True
                self._errors.failed(Component.METRICS, metric.name, error, of=" ".join(labels))
        if not failed:
            self._errors.worked(Component.METRICS, metric.name)


def _shown(metric: Metric[Any], context: ScrapeContext) -> bool:
    return context.alive or metric.lasting or metric.type in {"counter", "histogram"}
