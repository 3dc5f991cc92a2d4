"""The exposition writer writes the same bytes as prometheus_client."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from tests.conftest import Clock
from tests.serve.metrics import families
from tests.serve.scraping import context_of, show_every_metric, written
from tests.serve.wallet_scene import WalletScene
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.serve.metrics.exposition import FamilyWriter, escaped, format_for, names_of, number
from tonwatch.serve.metrics.family import Metric

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def wallet_scene(clock: Clock) -> WalletScene:
    made = WalletScene(clock)
    show_every_metric(made)
    return made


def of_tonwatch(body: str) -> str:
    """Without `process_*`, whose values change between scrapes."""
    return body.partition("# HELP process_")[0]


class TestAsPrometheusClientWrites:
    def test_text(self, wallet_scene: WalletScene) -> None:
        theirs = generate_latest(families.registry(context_of(wallet_scene)())).decode()
        assert (
            of_tonwatch(
                written(MetricsCollector(context_of(wallet_scene), wallet_scene.watcher.errors))
            )
            == theirs
        )

    def test_openmetrics(self, wallet_scene: WalletScene) -> None:
        theirs = generate_openmetrics(families.registry(context_of(wallet_scene)())).decode()
        ours = of_tonwatch(
            written(
                MetricsCollector(context_of(wallet_scene), wallet_scene.watcher.errors), OPENMETRICS
            )
        )
        assert f"{ours}# EOF\n" == theirs

    @pytest.mark.parametrize(
        ("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)]
    )
    def test_it_is_parsed_to_the_same_families(
        self, wallet_scene: WalletScene, accept: str, parse: Any
    ) -> None:
        generate = generate_openmetrics if accept else generate_latest
        theirs = generate(families.registry(context_of(wallet_scene)())).decode()
        ours = [
            family
            for family in parse(
                written(
                    MetricsCollector(context_of(wallet_scene), wallet_scene.watcher.errors), accept
                )
            )
            if not family.name.startswith("process_")
        ]
        assert len(ours) > 60
        assert ours == list(parse(theirs))

    @given(st.floats() | st.integers(-(10**20), 10**20))
    @example(999_999.5)
    @example(1e6)
    @example(1e15)
    @example(-1e16)
    @example(-0.0)
    @example(True)
    def test_numbers(self, value: float) -> None:
        assert number(value) == floatToGoString(value)

    @given(st.text(), st.text())
    @example('quo"te', "back\\slash\nline")
    def test_labels(self, wallet: str, state: str) -> None:
        metric: Metric[Any] = Metric("name", "gauge", "Help.", lambda _: (), ("state",))
        labels = ("wallet", "asset")
        line = FamilyWriter(metric, labels).write(
            names_of(labels, (wallet, "native")), [((state,), 1)]
        )
        expected = f'name{{asset="native",state="{escaped(state)}",wallet="{escaped(wallet)}"}} 1.0'
        assert line.decode() == f"{expected}\n"
        if "\r" not in wallet + state and len((wallet + state).splitlines()) < 2:
            [family] = parse_text(line.decode())
            assert family.samples[0].labels == {
                "asset": "native",
                "state": state,
                "wallet": wallet,
            }


class TestFormats:
    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            pytest.param("", "text/plain; version=0.0.4; charset=utf-8", id="no Accept"),
            pytest.param("*/*", "text/plain; version=0.0.4; charset=utf-8", id="curl"),
            pytest.param(
                PROMETHEUS_3,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
                id="Prometheus",
            ),
            pytest.param(
                "text/plain;version=1.0.0;escaping=values",
                "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
                id="text 1.0.0",
            ),
            pytest.param(
                "application/openmetrics-text;version=2.<b>",
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
                id="unknown parameters are not repeated",
            ),
        ],
    )
    def test_content_type(self, accept: str, content_type: str) -> None:
        assert format_for(accept).content_type == content_type
