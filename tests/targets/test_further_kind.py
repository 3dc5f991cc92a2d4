"""A target kind from outside is configured, probed, judged, exposed and shown."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.targets.toy import ToyKind, ToyServer
from tonwatch.commands import run
from tonwatch.config import loader
from tonwatch.config.loader import ConfigError
from tonwatch.config.models import Config
from tonwatch.serve.metrics.docs import documentation
from tonwatch.targets.registry import KINDS, Kinds, sections

KINDS_AND_TOY: Kinds = (*KINDS, ToyKind)

CONFIG = """\
providers:
  - {name: theirs, kind: toy, url: "URL", requests_per_second: 100}
probe: {interval: 100ms, timeout: 90ms, stale_after: 5s}
readiness: {drain_delay: 0s}
serve: {host: 127.0.0.1, port: 0}
"""


def load(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "tonwatch.yaml"
    file.write_text(text)
    return loader.load(file, sections(KINDS_AND_TOY))


class Watched:
    """A server of the toy kind, and the daemon that watches it."""

    def __init__(self, server: ToyServer, session: aiohttp.ClientSession, url: str) -> None:
        self.server = server
        self._session = session
        self._url = url

    async def get(self, path: str) -> str:
        async with self._session.get(f"{self._url}{path}") as response:
            return await response.text()

    async def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Values by metric and labels."""
        families = text_string_to_metric_families(await self.get("/metrics"))
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    async def value(self, name: str, **labels: str) -> float | None:
        """Of a metric of the target."""
        labels["target"] = "theirs"
        return (await self.metrics()).get((name, frozenset(labels.items())))

    async def until_state(self, state: str) -> None:
        async with asyncio.timeout(20):
            while not await self.value("tonwatch_target_state", state=state):
                await asyncio.sleep(0.05)

    async def until_ready(self) -> None:
        async with asyncio.timeout(20):
            while await self.get("/ready") != "ready\n":
                await asyncio.sleep(0.05)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    server = ToyServer()
    runner, url = await server.start()
    stop, urls = asyncio.Event(), asyncio.Queue[str]()
    config = await asyncio.to_thread(load, tmp_path, CONFIG.replace("URL", url))
    daemon = asyncio.create_task(
        run.run(config, stop, kinds=KINDS_AND_TOY, serving=urls.put_nowait)
    )
    async with aiohttp.ClientSession() as session:
        yield Watched(server, session, await urls.get())
    stop.set()
    await daemon
    await runner.cleanup()


async def test_it_is_probed_judged_exposed_and_shown(watched: Watched) -> None:
    watched.server.block |= {"seqno": 7, "time": int(time.time())}
    await watched.until_state("ok")
    about = {"kind": "toy", "role": "primary", "local": "true"}
    assert await watched.value("tonwatch_target_info", **about) == 1
    assert await watched.value("tonwatch_target_up") == 1
    assert await watched.value("tonwatch_target_seqno") == 7
    health = json.loads(await watched.get("/health?format=json"))
    [target] = health["targets"]
    assert (target["name"], target["kind"], target["state"]) == ("theirs", "toy", "ok")
    assert "theirs" in await watched.get("/health?format=html")
    await watched.until_ready()


async def test_its_failures_are_named_after_a_provider(watched: Watched) -> None:
    watched.server.status = 500
    await watched.until_state("down")
    health = json.loads(await watched.get("/health?format=json"))
    assert health["diagnosis"]["cause"] == "provider_down"
    watched.server.status = 429
    await watched.until_state("throttled")
    health = json.loads(await watched.get("/health?format=json"))
    assert health["diagnosis"]["cause"] == "provider_throttled"


async def test_only_its_own_probes_are_counted(watched: Watched) -> None:
    await watched.until_state("ok")
    counted = {
        dict(labels)["probe"]
        for name, labels in await watched.metrics()
        if name == "tonwatch_probes_total"
    }
    assert counted == {"head"}


def test_it_is_documented() -> None:
    assert "probe `head` on targets of kind `toy`: `key_unavailable`" in documentation(
        KINDS_AND_TOY
    )


@pytest.mark.parametrize(
    ("written", "error"),
    [
        pytest.param(
            "{name: it, kind: toi, url: 'http://x'}",
            "tonwatch.yaml:1: providers[0].kind: unknown kind 'toi'; did you mean toy?",
            id="another kind",
        ),
        pytest.param(
            "{name: it, url: 'http://x'}",
            "tonwatch.yaml:1: providers[0].kind: missing; it is required here",
            id="no kind",
        ),
        pytest.param(
            "{name: it, kind: toy, ulr: 'http://x'}",
            "providers[0].ulr: unknown key; did you mean url?",
            id="a key misspelt",
        ),
        pytest.param(
            "{name: it, kind: toy, url: 'http://x'}, {name: it2, kind: toy, url: 'http://x/'}",
            "providers[0] and providers[1] are one server, by the same URL",
            id="one server twice",
        ),
    ],
)
def test_mistakes_in_its_configuration(tmp_path: Path, written: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"providers: [{written}]")
    assert error in str(caught.value)
