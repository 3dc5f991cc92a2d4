"""The page: where things are on it, and what never is."""

import json
import re
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.rendering import described, render, text_of
from tests.serve.scene import NODE, OWN_BLOCK, PROVIDER, PUBLIC, Scene
from tonwatch.samples.sample import Probe
from tonwatch.serve.health import page
from tonwatch.ton.errors import Reason

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&\n\x00\ud800"


def test_the_page_starts_with_the_diagnosis(scene: Scene) -> None:
    scene.node_down()
    html = render(scene)
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", html)
    assert heading is not None
    assert heading[1] == scene.watcher.view.diagnosis.sentence
    assert "<title>Failing: node down – tonwatch</title>" in html


def test_the_page_shows_each_target_and_its_failures(scene: Scene) -> None:
    scene.node_down()
    scene.fail(PUBLIC, Reason.HANDSHAKE_TIMEOUT, "silence", Probe.CONNECT)
    scene.watcher.evaluate()
    text = text_of(render(scene))
    assert re.search(r"node primary liteserver down", text)
    assert re.search(r"public-1 reference liteserver ok for 30 s \d+ 0.0 s 1 block \+0.1 s", text)
    assert "TCP connection refused 4 times since 08:00:20 UTC" in text
    assert "public-1 connect handshake_timeout silence" in text


def test_the_page_shows_past_diagnoses(scene: Scene) -> None:
    scene.recovered()
    html = render(scene)
    text = text_of(html)
    assert re.search(r"History .* 08:00:25 UTC 15 s node_down node refuses connections", text)
    assert re.search(r"08:00:05 UTC 20 s healthy All 3 targets", text)
    assert html.count('class="well"') == 2


def test_healthy_but_not_ready_yet_is_recovering(scene: Scene) -> None:
    scene.node_down()
    scene.ticks(1, scene.all_answer)
    text = text_of(render(scene))
    assert "Recovering All 3 targets are alive and in sync" in text
    assert "Not ready yet: 0 of 1 in sync, 1 needed" in text
    assert "Failing" not in text


def test_no_past_diagnoses_at_the_start(scene: Scene) -> None:
    assert "History" not in text_of(render(scene))


def test_the_page_shows_evidence_below_the_sentence(scene: Scene) -> None:
    scene.node_down()
    text = text_of(render(scene))
    sentence = text.index("node refuses connections")
    evidence = text.index("node down (connect_refused)")
    assert sentence < evidence < text.index("Targets")


def test_a_hash_in_a_sentence_is_cut_short_on_the_page_alone(scene: Scene) -> None:
    scene.healthy()

    def tick() -> None:
        scene.answer(NODE, zerostate=b"\x5e" * 32)
        scene.answer(PUBLIC)
        scene.answer(PROVIDER)

    scene.ticks(1, tick)
    assert "the one with zerostate 5e5e5e5e…; configured is mainnet." in text_of(render(scene))
    assert "5e" * 32 in described(scene)["diagnosis"]["sentence"]


def test_thresholds_have_their_units(scene: Scene) -> None:
    text = text_of(render(scene))
    assert "lag_warn 10 s behind the head: lagging" in text
    assert "shard_client_lag_warn 16 blocks" in text
    assert "flapping 3 interruptions" in text
    assert "flapping_window 3 min" in text


def test_a_page_that_hangs_says_so(scene: Scene) -> None:
    html = page.render(scene.healthy(), alive=False, refresh=True)
    assert "tonwatch itself hangs" in text_of(html)
    assert "<title>Failing" in html


def test_a_peers_text_is_escaped(scene: Scene) -> None:
    scene.ticks(3, lambda: scene.fail(NODE, Reason.SERVER_ERROR, HOSTILE))
    html = render(scene)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.encode(errors="replace")
    assert json.dumps(described(scene))


def test_a_network_without_a_name_is_cut_short(clock: Clock) -> None:
    scene = Scene(clock, network="ab" * 32)
    assert "tonwatch abababab…" in text_of(render(scene))


@pytest.mark.parametrize(("refresh", "there"), [(True, True), (False, False)])
def test_refresh_can_be_switched_off(scene: Scene, refresh: bool, there: bool) -> None:
    assert ('http-equiv="refresh"' in render(scene, refresh=refresh)) is there


@pytest.mark.parametrize(
    ("state", "level"),
    [
        pytest.param(lambda s: s.answer(NODE), "ok", id="ok"),
        pytest.param(lambda s: s.answer(NODE, 12), "warn", id="lagging a little"),
        pytest.param(lambda s: s.answer(NODE, 27), "bad", id="lagging too far"),
        pytest.param(lambda s: s.answer(NODE, root_hash=OWN_BLOCK), "bad", id="forked"),
        pytest.param(lambda s: s.fail(NODE, Reason.NOT_SYNCED), "bad", id="not synced"),
        pytest.param(lambda s: s.fail(NODE, Reason.RATE_LIMITED), "warn", id="throttled"),
        pytest.param(Scene.starting, "unknown", id="silent for too long"),
    ],
)
def test_the_level_of_a_state(scene: Scene, state: Any, level: str) -> None:
    scene.healthy()

    def tick() -> None:
        state(scene)
        scene.answer(PUBLIC)
        scene.answer(PROVIDER)

    view = scene.ticks(5, tick)
    assert page.level(view.judgement.verdicts["node"]) == level
