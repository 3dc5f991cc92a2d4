"""Synthetic series besides the metrics of tonwatch.

The services around tonwatch, the process of tonwatch, and Prometheus' own metrics of scrapes.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, TextIO

from history import INSTANCE, JOB, SCRAPE, write

_BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    math.inf,
)
"""Of OpenTelemetry's histograms of durations, in seconds."""

_SPREAD: Final = 0.55
"""Sigma of a duration's logarithm."""

_WAVE: Final = 4 * 3600.0
"""Seconds from one peak of requests to the next."""

_PAID: Final = re.compile(
    r"tonwatch_wallet_(?P<what>sent_messages|sent_amount)_total{job=[^,]*,instance=[^,]*,(?P<names>[^}]*)}"
    r" (?P<value>\S+) (?P<now>\S+)"
)
_FAILING: Final = (145.0, 155.0)
"""Minutes between which payouts of one wallet fail; as in evening.yaml."""

_LOST: Final = 24
_LOST_AT: Final = 150.0
"""The number of USDT payouts claimed at that minute that are not on the chain."""


@dataclass(frozen=True)
class Trouble:
    """An incident of some minutes.

    Attributes:
        begin, end: minutes since the history began.
        failing: share of requests that fail.
        slower: factor of their durations.
    """

    begin: float
    end: float
    failing: float = 0.0
    slower: float = 1.0


@dataclass(frozen=True)
class Route:
    """A route of a service.

    Attributes:
        a_second: requests, on average.
        median: seconds that they take.
        rejected: share of client errors.
    """

    job: str
    method: str
    path: str
    a_second: float
    median: float
    rejected: float = 0.01
    troubles: tuple[Trouble, ...] = ()


_FLOWS_SLOW: Final = Trouble(183, 199, failing=0.01, slower=6)
_RESTART: Final = Trouble(100, 108, failing=0.12, slower=2.5)
_ROUTES: Final = (
    Route("wallet-api", "GET", "/v1/wallets/{id}", 14, 0.012, 0.02),
    Route("wallet-api", "GET", "/v1/wallets/{id}/balance", 22, 0.018, 0.004, (_RESTART,)),
    Route("wallet-api", "POST", "/v1/transfers", 3.5, 0.11, 0.03, (_RESTART,)),
    Route("analytics-api", "GET", "/v1/jettons/{id}/holders", 4, 0.16, 0.01),
    Route("analytics-api", "GET", "/v1/flows", 2.2, 0.32, 0.01, (_FLOWS_SLOW,)),
    Route("payout-helper", "POST", "/payouts", 0.35, 0.22, 0, (Trouble(145, 155, 0.4, 1.5),)),
    Route("payout-helper", "GET", "/payouts/{id}", 1.1, 0.009, 0.02),
)
_INSTANCES: Final[Mapping[str, tuple[str, ...]]] = {
    "wallet-api": ("wallet-api-0:8080", "wallet-api-1:8080"),
    "analytics-api": ("analytics-api-0:8080",),
    "payout-helper": ("payout-helper-0:8080",),
}


def services(file: TextIO, begin: float, end: float) -> None:
    """Write the series of the services around tonwatch.

    Args:
        file: gets samples, as that of `history.play`.
        begin, end: Unix seconds.
    """
    random = Random("services")
    counted = [
        _Histogram(route, instance, status)
        for route in _ROUTES
        for instance in _INSTANCES[route.job]
        for status in (200, 404, 500)
    ]
    for now in _scrapes(begin, end):
        for histogram in counted:
            histogram.advance(now, (now - begin) / 60, random)
            histogram.write(file, now)
        # It lags the chain a little, and more while its queries are slow.
        late = 14 + 5 * random.random() + 7 * 60 * _share(_FLOWS_SLOW, (now - begin) / 60)
        newest = f"analytics_last_event_timestamp_seconds {now - late:.3f}"
        write(file, newest, "analytics-api", _INSTANCES["analytics-api"][0], now)
        for job, instances in _INSTANCES.items():
            for instance in instances:
                write(file, "up 1", job, instance, now)


class _Histogram:
    """Requests to a route of an instance that end with a status."""

    def __init__(self, route: Route, instance: str, status: int) -> None:
        self._route = route
        self._instance = instance
        self._status = status
        self._buckets = [0] * len(_BOUNDS)
        self._sum = 0.0
        self._of = (
            f'http_request_method="{route.method}",http_route="{route.path}",'
            f'http_response_status_code="{status}"'
        )

    def advance(self, now: float, minute: float, random: Random) -> None:
        """Add the requests since the last scrape."""
        route = self._route
        troubles = [each for each in route.troubles if each.begin <= minute < each.end]
        failing = sum((each.failing for each in troubles), 0.0002)
        slower = math.prod(each.slower for each in troubles)
        share = {200: 1 - failing - route.rejected, 404: route.rejected, 500: failing}
        load = 1 + 0.25 * math.sin(2 * math.pi * now / _WAVE)
        each = route.a_second * load * share[self._status] / len(_INSTANCES[route.job])
        for _ in range(_poisson(each * SCRAPE, random)):
            took = random.lognormvariate(math.log(route.median * slower), _SPREAD)
            self._sum += took
            self._buckets[next(i for i, bound in enumerate(_BOUNDS) if took <= bound)] += 1

    def write(self, file: TextIO, now: float) -> None:
        name = "http_server_request_duration_seconds"
        count = 0
        for bound, more in zip(_BOUNDS, self._buckets, strict=True):
            count += more
            le = "+Inf" if math.isinf(bound) else f"{bound:g}"
            self._sample(file, f'{name}_bucket{{{self._of},le="{le}"}} {count}', now)
        self._sample(file, f"{name}_count{{{self._of}}} {count}", now)
        self._sample(file, f"{name}_sum{{{self._of}}} {self._sum:.6f}", now)

    def _sample(self, file: TextIO, sample: str, now: float) -> None:
        write(file, sample, self._route.job, self._instance, now)


def payouts(file: TextIO, history: Iterable[str], begin: float) -> None:
    """Write the metrics of the payout helper, from the payouts that tonwatch counted.

    Args:
        file: gets samples, as that of `history.play`.
        history: the samples of tonwatch.
        begin: when they begin, Unix seconds.
    """
    random = Random("payouts")
    instance, *_ = _INSTANCES["payout-helper"]
    failed: Counter[str] = Counter()
    waiting: dict[str, float] = {}
    paid: dict[str, float] = {}
    for line in history:
        found = _PAID.match(line)
        if found is None:
            continue
        what, names, value, now = found["what"], found["names"], float(found["value"]), found["now"]
        minute = (float(now) - begin) / 60
        sample = partial(write, file, job="payout-helper", instance=instance, time=float(now))
        lost = _LOST if '"usdt"' in names and '"payouts"' in names and minute >= _LOST_AT else 0
        if what == "sent_amount":
            sample(f"payout_helper_payout_amount_total{{{names}}} {value + lost * 15}")
            continue
        sample(f"payout_helper_payouts_sent_total{{{names}}} {value + lost}")
        if _FAILING[0] <= minute < _FAILING[1] and 'wallet="refunds"' in names:
            failed[names] += _poisson(3 * SCRAPE / 60, random)
        sample(f'payout_helper_payouts_failed_total{{{names},reason="rejected"}} {failed[names]}')
        if value > paid.get(names, -1):
            paid[names], waiting[names] = value, float(now) - random.uniform(1, 12)
        due = float(now) - waiting[names]
        size = round(due / 20) if due > 60 else random.choice((0, 0, 1, 2))
        sample(f"payout_helper_queue_size{{{names}}} {size}")
        if size:
            sample(f"payout_helper_queue_oldest_timestamp_seconds{{{names}}} {waiting[names]:.3f}")


def process(file: TextIO, begin: float, end: float, samples: int) -> None:
    """Write the metrics of tonwatch's process, and of Prometheus about its scrapes.

    Args:
        file: gets samples, as that of `history.play`.
        begin, end: Unix seconds.
        samples: in a scrape.
    """
    random = Random("process")
    cpu = 0.0
    metrics: dict[str, Callable[[], float]] = {
        "process_resident_memory_bytes": lambda: 68e6 + 4e6 * random.random(),
        "process_virtual_memory_bytes": lambda: 412e6,
        "process_open_fds": lambda: random.choice((27, 28, 28, 28, 29)),
        "process_max_fds": lambda: 1024,
        "process_start_time_seconds": lambda: begin,
        "up": lambda: 1,
        "scrape_duration_seconds": lambda: random.lognormvariate(math.log(0.004), 0.2),
        "scrape_samples_scraped": lambda: samples,
        "scrape_samples_post_metric_relabeling": lambda: samples,
    }
    for now in _scrapes(begin, end):
        cpu += SCRAPE * random.uniform(0.026, 0.034)
        write(file, f"process_cpu_seconds_total {cpu:.3f}", JOB, INSTANCE, now)
        for name, value in metrics.items():
            write(file, f"{name} {value():.9g}", JOB, INSTANCE, now)


def _scrapes(begin: float, end: float) -> Iterator[float]:
    return (begin + number * SCRAPE for number in range(1, int((end - begin) / SCRAPE) + 1))


def _share(trouble: Trouble, minute: float) -> float:
    """The elapsed share of a trouble; 0 outside."""
    share = (minute - trouble.begin) / (trouble.end - trouble.begin)
    return share if 0 <= share <= 1 else 0.0


def _poisson(expected: float, random: Random) -> int:
    """A random number of events with this mean."""
    if expected > 30:
        return max(0, round(random.gauss(expected, math.sqrt(expected))))
    least, count, product = math.exp(-expected), 0, random.random()
    while product > least:
        count += 1
        product *= random.random()
    return count
