"""/metrics: all families built anew from one View at each scrape.

`python -m tonwatch.serve.metrics` writes docs/metrics.md to stdout.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector as CollectorBase
from prometheus_client.utils import floatToGoString

from tonwatch.serve import catalogue
from tonwatch.serve.reading import Metric, Of, Point
from tonwatch.serve.reasons import REASONS
from tonwatch.serve.scene import Scene, Seen
from tonwatch.watch.board import BUCKETS, Histogram
from tonwatch.watch.diagnosis import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.verdict import State

log = structlog.get_logger(__name__)

ERRORS: Final = "tonwatch_collector_errors_total"
ERRORS_HELP: Final = (
    "Values left out of /metrics because reading them failed: bugs in tonwatch, its log names them."
)

_BOUNDS: Final = (*(floatToGoString(bound) for bound in BUCKETS), "+Inf")


class Collector(CollectorBase):
    """Reads the catalogue off a scene.

    A value that cannot be read costs that value alone: it is counted, and
    logged once until it can be read again.
    """

    def __init__(self, scene: Callable[[], Scene]) -> None:
        self._scene = scene
        self._errors = 0
        self._broken: set[tuple[str, str]] = set()

    def collect(self) -> Iterator[Family]:
        scene = self._scene()
        judgement = scene.view.judgement
        seen = {
            name: Seen(scene, record, judgement.verdicts[name])
            for name, record in scene.view.snapshot.records.items()
            if name in judgement.verdicts
        }
        for metric in (*catalogue.CHAIN, *catalogue.VERDICT, *catalogue.ITSELF):
            if _shown(metric, scene):
                yield _family(metric, metric.labels, self._points(metric, "", scene))
        for target_metric in (*catalogue.TARGET, *catalogue.PROBE):
            if _shown(target_metric, scene):
                points = [
                    ((name, *values), value)
                    for name, of_target in seen.items()
                    for values, value in self._points(target_metric, name, of_target)
                ]
                yield _family(target_metric, ("target", *target_metric.labels), points)
        yield CounterMetricFamily(ERRORS, ERRORS_HELP, value=self._errors)

    def _points(self, metric: Metric[Of], target: str, source: Of) -> list[Point]:
        key = (metric.name, target)
        try:
            points = [_checked(metric, *point) for point in metric.read(source)]
        except Exception:
            # Whatever it is, it must not take the other values with it.
            self._errors += 1
            if key not in self._broken:
                self._broken.add(key)
                log.exception("metric left out", metric=metric.name, target=target)
            return []
        if key in self._broken:
            self._broken.discard(key)
            log.info("metric is back", metric=metric.name, target=target)
        return points


def registry(scene: Callable[[], Scene]) -> CollectorRegistry:
    """What /metrics exposes: the catalogue, and `process_*` of tonwatch's own process."""
    made = CollectorRegistry(auto_describe=False)
    made.register(Collector(scene))
    ProcessCollector(registry=made)
    return made


def exposition(source: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that `accept` prefers, and its content type."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # A version that is no number; whoever asks like that gets the plain format.
        encode, content_type = choose_encoder("")
    return encode(source), content_type


def _shown(metric: Metric[Of], scene: Scene) -> bool:
    return scene.alive or metric.lasting or metric.type in {"counter", "histogram"}


def _checked(metric: Metric[Of], values: tuple[str, ...], value: float | Histogram) -> Point:
    """A point that can be printed: an error while printing would take all metrics with it."""
    if len(values) != len(metric.labels):
        raise ValueError(f"{len(values)} label values for {len(metric.labels)} labels")
    if isinstance(value, Histogram) != (metric.type == "histogram"):
        raise TypeError(f"a {type(value).__name__} for a {metric.type}")
    if isinstance(value, Histogram):
        if len(value.counts) != len(_BOUNDS):
            raise ValueError(f"{len(value.counts)} counts for {len(_BOUNDS)} buckets")
    else:
        value = float(value)
    return tuple(str(label) for label in values), value


def _family(metric: Metric[Of], labels: tuple[str, ...], points: Iterable[Point]) -> Family:
    if metric.type == "info":
        info = InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)
        for values, _ in points:
            info.add_metric((), dict(zip(labels, values, strict=True)))
        return info
    if metric.type == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=labels, unit=metric.unit)
        for values, value in points:
            if isinstance(value, Histogram):
                buckets = list(zip(_BOUNDS, accumulate(value.counts), strict=True))
                histogram.add_metric(values, buckets=buckets, sum_value=value.sum)
        return histogram
    make = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = make(metric.name, metric.help, labels=labels, unit=metric.unit)
    for values, value in points:
        if not isinstance(value, Histogram):
            family.add_metric(values, value)
    return family


_INTRODUCTION: Final = """\
# Metrics

<!-- Generated: python -m tonwatch.serve.metrics > docs/metrics.md -->

`/metrics` speaks Prometheus' text format and OpenMetrics, whichever `Accept` prefers. Units are
base units; points in time are Unix time in seconds, so that age is `time() - metric`.

- A value that is not known, or older than `probe.stale_after`, is **absent**: the last one is
  never shown in its place. Where tonwatch itself hangs, only what stays true is left: counters,
  histograms, thresholds, what a target is, and the timestamps of tonwatch's start, of its last
  judgement and of a target's last answer.
- `target` is the configured name. No metric carries an address, a URL or a key.
- Every counter starts at 0, also for reasons that have not occurred yet.
- State sets (`tonwatch_target_state`, `tonwatch_diagnosis`, `tonwatch_readiness`) have one series
  for each possible value: 1 for the one that holds, 0 for the others.
- `process_*` (CPU, memory, file descriptors, start time) are of tonwatch's own process.
"""


_STEPS: Final = (
    "- `phase` of `tonwatch_probe_phase_seconds`: the steps of a probe, such as `resolve`,"
    " `connect`, `handshake`, `ping`, `query`; a step not needed or not reached is absent"
)


def documentation() -> str:
    """docs/metrics.md."""
    sections: tuple[tuple[str, Iterable[Metric[Scene]] | Iterable[Metric[Seen]]], ...] = (
        ("The chain", catalogue.CHAIN),
        ("Diagnosis and readiness", catalogue.VERDICT),
        ("Targets", catalogue.TARGET),
        ("Probes", catalogue.PROBE),
        ("tonwatch itself", catalogue.ITSELF),
    )
    lines = [_INTRODUCTION]
    for title, metrics in sections:
        lines += [f"## {title}\n", "| Metric | Type | Labels | Meaning |", "|---|---|---|---|"]
        common = ("target",) if title in {"Targets", "Probes"} else ()
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in (*common, *metric.labels))
            lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
        if metrics is catalogue.ITSELF:
            lines.append(f"| `{ERRORS}` | counter |  | {ERRORS_HELP} |")
        lines.append("")
    lines += [
        "## Values of labels\n",
        f"- `state`: {_words(State)}",
        f"- `cause`, in the order of blame: {_words(Cause)}",
        f"- `phase` of `tonwatch_readiness`: {_words(Phase)}",
        _STEPS,
    ]
    lines += [
        f"- `reason` of probe `{probe}` on targets of kind `{kind}`: {_words(reasons)}"
        for kind, probes in REASONS.items()
        for probe, reasons in probes.items()
    ]
    return "\n".join(lines) + "\n"


def _words(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    sys.stdout.write(documentation())
