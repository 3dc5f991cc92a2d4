"""How many series there are: each costs memory in the Prometheus that scrapes tonwatch."""

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families as parse

from benchmarks.metrics import LargeSetup
from tests.conftest import Clock
from tests.serve.scraping import context_of, show_every_metric, written
from tests.serve.wallet_scene import WalletScene
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.contexts import ScrapeContext


def within(body: str, limit: int) -> None:
    """Fails with the biggest families where there are more series.

    Args:
        body: an exposition.
        limit: series, those of tonwatch's own process included.
    """
    sizes = Counter({family.name: len(family.samples) for family in parse(body)})
    biggest = "\n".join(f"{count:6} {name}" for name, count in sizes.most_common(20))
    assert sizes.total() <= limit, f"{sizes.total()} series, the most of them here:\n{biggest}"


def test_two_liteservers_a_provider_and_two_wallets(clock: Clock) -> None:
    """Every metric has a value, and some probes and payouts have failed."""
    wallet_scene = WalletScene(clock)
    show_every_metric(wallet_scene)
    within(written(MetricsCollector(context_of(wallet_scene), wallet_scene.watcher.errors)), 400)


def test_a_thousand_wallets_of_two_assets() -> None:
    """The payouts of all are counted, and each account has had one that failed."""
    large = LargeSetup()
    large.read()
    large.count()
    context = ScrapeContext(large.watcher.view, "1.2.3", alive=True)
    within(written(MetricsCollector(lambda: context, large.watcher.errors)), 25_000)
