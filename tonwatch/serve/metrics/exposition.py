"""The two exposition formats: text 0.0.4 and OpenMetrics 1.0, as prometheus_client writes them.

Both have the same sample lines, under different metadata lines.
Source: prometheus.io/docs/instrumenting/exposition_formats and the OpenMetrics standard.
"""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import Any, Final, NamedTuple

from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from tonwatch.serve.metrics.family import Metric, Point
from tonwatch.watch.store import BUCKETS, Histogram

_BOUNDS: Final = (*(floatToGoString(bound) for bound in BUCKETS), "+Inf")

_AS_GO: Final = (-1e15, 1e6)
"""Between these Python formats a number as Go does."""


class Format(NamedTuple):
    """A format that a scraper can be answered with."""

    content_type: str
    openmetrics: bool


_TEXT: Final = Format("text/plain; version=0.0.4; charset=utf-8", openmetrics=False)
# The names need no escaping, so any escaping scheme may be declared.
_TEXT_1: Final = Format(
    "text/plain; version=1.0.0; charset=utf-8; escaping=underscores", openmetrics=False
)
_OPENMETRICS: Final = Format(
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
    openmetrics=True,
)


def format_for(accept: str) -> Format:
    """The format that an `Accept` header prefers."""
    try:
        _, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # A version that is no number: answered with the plain format.
        return _TEXT
    if content_type.startswith("application/openmetrics-text"):
        return _OPENMETRICS
    return _TEXT_1 if "version=1.0.0" in content_type else _TEXT


def head(name: str, kind: str, words: str, unit: str, *, openmetrics: bool) -> bytes:
    """The metadata lines of a family; `name` is that of its samples."""
    words = words.replace("\\", r"\\").replace("\n", r"\n")
    if not openmetrics:
        kind = "gauge" if kind == "info" else kind
        return f"# HELP {name} {words}\n# TYPE {name} {kind}\n".encode()
    words = words.replace('"', r"\"")
    name = name.removesuffix({"counter": "_total", "info": "_info"}.get(kind, ""))
    measured = f"# UNIT {name} {unit}\n" if unit else ""
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n{measured}".encode()


def escaped(value: str) -> str:
    """A label's value, escaped for double quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number(value: float) -> str:
    """A number as Go formats it, which is as Python does below a million."""
    value = float(value)
    return repr(value) if _AS_GO[0] < value < _AS_GO[1] else _large(value)


# Most are timestamps, and all that is read at one block has the same.
_large: Final = lru_cache(maxsize=1024)(floatToGoString)


Names = tuple[tuple[str, ...], str]
"""The values of a group's labels, escaped, and the whole label set as text."""


def names_of(labels: tuple[str, ...], values: tuple[str, ...]) -> Names:
    """The label set of samples that have their group's labels alone."""
    pattern, pick = _template("", labels)
    safe = tuple([escaped(value) for value in values])
    return safe, pattern % pick(safe)


class FamilyWriter:
    """Writes the samples of one family.

    Args:
        metric: the family.
        labels: of its group; their values come first.
    """

    def __init__(self, metric: Metric[Any], labels: tuple[str, ...]) -> None:
        self.metric = metric
        names = (*labels, *metric.labels)
        self._name = metric.name
        self._own = len(metric.labels)
        self.labelled = bool(metric.labels)
        self._is_histogram = metric.type == "histogram"
        self._is_info = metric.type == "info"
        if self._is_histogram:
            self._pattern, self._pick = _template(f"{metric.name}_bucket", (*names, "le"))
            self._count, self._pick_plain = _template(f"{metric.name}_count", names)
            self._sum, _ = _template(f"{metric.name}_sum", names)
        else:
            self._pattern, self._pick = _template(metric.name, names)

    def heads(self, *, openmetrics: bool) -> bytes:
        """The metadata lines."""
        metric = self.metric
        return head(metric.name, metric.type, metric.help, metric.unit, openmetrics=openmetrics)

    def write(self, names: Names, values: Any) -> bytes:
        """One source's samples.

        Args:
            names: the values of the group's labels.
            values: what `read` has returned.

        Raises:
            Exception: of any type, where the values are not valid.
        """
        if self.labelled:
            return "".join([self._sample(names, point) for point in values]).encode()
        if values is None:
            return b""
        return f"{self._name}{names[1]}{number(values)}\n".encode()

    def _sample(self, names: Names, point: Point) -> str:
        values, value = point
        if len(values) != self._own:
            raise ValueError(f"{len(values)} label values for {self._own} labels")
        if isinstance(value, Histogram) != self._is_histogram:
            raise TypeError(f"a {type(value).__name__} for a {self.metric.type}")
        labels = (*names[0], *[escaped(str(each)) for each in values])
        if isinstance(value, Histogram):
            return "".join(self._histogram(labels, value))
        written = "1.0" if self._is_info else number(value)
        return f"{self._pattern % self._pick(labels)}{written}\n"

    def _histogram(self, labels: tuple[str, ...], value: Histogram) -> Iterable[str]:
        if len(value.counts) != len(_BOUNDS):
            raise ValueError(f"{len(value.counts)} counts for {len(_BOUNDS)} buckets")
        counts = list(accumulate(value.counts))
        for bound, count in zip(_BOUNDS, counts, strict=True):
            yield f"{self._pattern % self._pick((*labels, bound))}{number(count)}\n"
        plain = self._pick_plain(labels)
        yield f"{self._count % plain}{number(counts[-1])}\n"
        yield f"{self._sum % plain}{number(value.sum)}\n"


@cache  # the catalogue has few names and labels
def _template(name: str, labels: tuple[str, ...]) -> tuple[str, Callable[[tuple[str, ...]], Any]]:
    """A pattern of a sample's name and labels, and what puts values in the labels' order."""
    order = sorted(range(len(labels)), key=labels.__getitem__)
    inner = ",".join(f'{labels[index]}="%s"' for index in order)
    pick: Callable[[tuple[str, ...]], Any] = itemgetter(*order) if order else tuple
    return (f"{name}{{{inner}}} " if order else f"{name} "), pick
