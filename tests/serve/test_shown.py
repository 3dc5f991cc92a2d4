"""What is shown while no new judgement is made: nothing that may be outdated."""

import json
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.conftest import Client, served
from tests.serve.rendering import text_of
from tests.serve.scene import NODE, PROVIDER, PUBLIC, Scene
from tests.serve.scraping import Scrape, scrape, show_every_metric
from tests.serve.wallet_scene import WalletScene
from tonwatch.serve.health import page
from tonwatch.serve.health.document import document
from tonwatch.ton.errors import Reason
from tonwatch.watch.shown import Shown, shown
from tonwatch.watch.view import INTERVAL as TICK

PROBE = {"interval": "1s", "timeout": "800ms", "stale_after": "4s"}


def now(scene: Scene) -> Shown:
    view = scene.watcher.view
    return shown(view, scene.watcher.age(view))


def described(scene: Scene) -> dict[str, Any]:
    view, alive = now(scene)
    return document(view, alive=alive)


async def ready_and_live(client: Client) -> list[tuple[int, str]]:
    answers = [await client.get(path) for path in ("/ready", "/live")]
    return [(answer.status, (await answer.text()).strip()) for answer in answers]


class TestBetweenTwoJudgements:
    def test_all_is_as_it_was_judged(self, scene: Scene) -> None:
        view = scene.healthy()
        scene.clock.advance(TICK)
        assert now(scene) == (view, True)
        assert now(scene).view is view

    @pytest.mark.parametrize(
        ("age", "known"),
        [pytest.param(19.5, True, id="young"), pytest.param(20.5, False, id="old")],
    )
    @pytest.mark.parametrize(
        "name",
        [
            "tonwatch_target_up",
            "tonwatch_target_seqno",
            "tonwatch_target_lag_seconds",
            "tonwatch_probe_phase_duration_seconds",
            "tonwatch_head_seqno",
        ],
    )
    def test_answers_age_by_the_present_time(
        self, scene: Scene, name: str, age: float, known: bool
    ) -> None:
        scene.healthy()
        scene.clock.advance(12)
        scene.watcher.evaluate()
        scene.clock.advance(age - 12)
        assert bool(scrape(scene).values(name)) is known
        assert scrape(scene).values("tonwatch_ready") == [1]

    def test_an_answer_ages_after_a_newer_failure_too(self, scene: Scene) -> None:
        scene.healthy()
        scene.clock.advance(12)
        for target in (NODE, PUBLIC, PROVIDER):
            scene.fail(target, Reason.QUERY_TIMEOUT, "no answer within 3 s")
        scene.watcher.evaluate()
        assert scrape(scene).values("tonwatch_target_seqno", target="node")
        scene.clock.advance(8.5)
        seen = scrape(scene)
        assert not seen.values("tonwatch_target_seqno")
        assert seen.values("tonwatch_target_up", target="node")

    @pytest.mark.parametrize(("age", "known"), [(34.5, True), (35.5, False)])
    @pytest.mark.parametrize("name", ["tonwatch_wallet_balance", "tonwatch_contract_code_matches"])
    def test_balances_age_too(self, clock: Clock, name: str, age: float, known: bool) -> None:
        wallet_scene = WalletScene(clock)
        show_every_metric(wallet_scene)
        clock.advance(27)
        wallet_scene.watcher.evaluate()
        clock.advance(age - 27)
        assert bool(scrape(wallet_scene).values(name)) is known

    def test_the_document_and_the_page_say_how_old_it_is_now(self, scene: Scene) -> None:
        scene.healthy()
        scene.clock.advance(5)
        health = described(scene)
        assert health["time"] == "2027-01-15T08:00:20Z"
        assert health["targets"][0]["probes"]["head"]["age_seconds"] == 5
        assert health["diagnosis"]["cause"] == "healthy"
        view, alive = now(scene)
        html = page.render(view, alive=alive, refresh=True)
        assert "5.0 s ago" in text_of(html)


class TestNotJudged:
    """No judgement for `stale_after`, or ten seconds."""

    @pytest.fixture
    def short_lived(self, clock: Clock) -> Scene:
        """Results are stale after four seconds."""
        return Scene(clock, probe=PROBE)

    async def test_ready_says_no_before_live(self, short_lived: Scene) -> None:
        short_lived.healthy()
        async with served(short_lived) as client:
            short_lived.clock.advance(3.9)
            assert await ready_and_live(client) == [(200, "ready"), (200, "alive")]
            short_lived.clock.advance(0.1)
            words = "not alive: nothing has been evaluated for {} seconds; see tonwatch's log"
            assert await ready_and_live(client) == [(503, words.format(4)), (200, "alive")]
            short_lived.clock.advance(6)
            assert [status for status, _ in await ready_and_live(client)] == [503, 503]

    async def test_metrics_are_absent(self, short_lived: Scene) -> None:
        judged = short_lived.healthy().snapshot.wall
        async with served(short_lived) as client:
            short_lived.clock.advance(4)
            seen = Scrape(await (await client.get("/metrics")).text())
        assert not seen.values("tonwatch_ready")
        assert not seen.values("tonwatch_target_up")
        assert seen.values("tonwatch_target_info")
        assert seen.value("tonwatch_last_evaluation_timestamp_seconds") == judged

    async def test_the_document(self, clock: Clock) -> None:
        wallet_scene = WalletScene(clock)
        show_every_metric(wallet_scene)
        counted = described(wallet_scene)["wallets"]
        since = described(wallet_scene)["time"]
        clock.advance(60)
        async with served(wallet_scene) as client:
            answer = await client.get("/health?format=json")
            assert answer.status == 503
            health = json.loads(await answer.text())
        assert (health["status"], health["alive"], health["head"]) == ("fail", False, None)
        assert health["time"] != since
        assert health["diagnosis"] == {
            "cause": "no_data",
            "sentence": f"Nothing has been evaluated since {since}.",
            "since": since,
            "for_seconds": 60,
            "target": None,
            "account": None,
            "impact": "What is shown may not be true any more.",
            "runbook": "runbooks/TonwatchNoData.md",
            "evidence": [],
        }
        assert health["also"] == []
        readiness = health["readiness"]
        assert (readiness["phase"], readiness["ready"]) == ("unready", False)
        assert {each["ready"] for each in readiness["targets"].values()} == {None}
        for target in health["targets"]:
            assert (target["state"], target["usable"], target["up"]) == ("unknown", False, False)
            assert target["why"].endswith(f"nothing has been evaluated since {since}.")
            nothing = {"seqno", "root_hash", "lag_seconds", "shard_client_lag_blocks", "latency_ms"}
            assert {target[key] for key in nothing} == {None}
        for wallet, before in zip(health["wallets"], counted, strict=True):
            assert (wallet["state"], wallet["low"], wallet["frozen"]) == (None, False, False)
            for asset, was in zip(wallet["assets"], before["assets"], strict=True):
                nothing = {"amount", "balance", "state", "age_seconds", "source", "trouble"}
                assert {asset[key] for key in nothing} == {None}
                assert asset["payouts"] == was["payouts"], "what was counted stays true"
        assert {contract["matches"] for contract in health["contracts"]} == {None}

    async def test_the_page(self, clock: Clock) -> None:
        wallet_scene = WalletScene(clock)
        show_every_metric(wallet_scene)
        since = described(wallet_scene)["time"]
        clock.advance(60)
        async with served(wallet_scene) as client:
            html = await (await client.get("/health?format=html")).text()
        text = text_of(html)
        assert "<title>Failing: no data" in html
        assert "tonwatch itself hangs." in text
        assert f"Nothing has been evaluated since {since}." in text
        assert "unready" in text
        assert 'class="ok"' not in html, "no row is well"
        assert "proven" not in text

    def test_it_still_drains(self, short_lived: Scene) -> None:
        short_lived.healthy()
        short_lived.watcher.drain()
        short_lived.clock.advance(4)
        assert described(short_lived)["readiness"]["phase"] == "draining"
