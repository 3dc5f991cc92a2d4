"""The page: what is where on it, and what never is."""

import json
import re
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.shown import described, render, text_of
from tests.serve.stage import NODE, OWN_BLOCK, PROVIDER, PUBLIC, Stage
from tonwatch.samples.sample import Probe
from tonwatch.serve.health import page
from tonwatch.ton.errors import Reason

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&\n\x00\ud800"


def test_the_page_says_it_first(stage: Stage) -> None:
    stage.node_down()
    html = render(stage)
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", html)
    assert heading is not None
    assert heading[1] == stage.watcher.view.diagnosis.sentence
    assert "<title>Failing: node down – tonwatch</title>" in html


def test_the_page_shows_each_target_and_its_failures(stage: Stage) -> None:
    stage.node_down()
    stage.fail(PUBLIC, Reason.HANDSHAKE_TIMEOUT, "silence", Probe.CONNECT)
    stage.watcher.look()
    text = text_of(render(stage))
    assert re.search(r"node primary liteserver down", text)
    assert re.search(r"public-1 reference liteserver ok for 30 s \d+ 0.0 s 1 block \+0.1 s", text)
    assert "TCP connection refused 4 times since 08:00:20 UTC" in text
    assert "public-1 connect handshake_timeout silence" in text


def test_the_page_tells_what_was_before(stage: Stage) -> None:
    stage.recovered()
    html = render(stage)
    text = text_of(html)
    assert re.search(r"History .* 08:00:25 UTC 15 s node_down node refuses connections", text)
    assert re.search(r"08:00:05 UTC 20 s healthy All 3 targets", text)
    assert html.count('class="well"') == 2


def test_what_is_well_but_not_ready_yet_recovers(stage: Stage) -> None:
    stage.node_down()
    stage.ticks(1, stage.answers)
    text = text_of(render(stage))
    assert "Recovering All 3 targets are alive and in sync" in text
    assert "Not ready yet: 0 of 1 in sync, 1 needed" in text
    assert "Failing" not in text


def test_nothing_was_before_the_start(stage: Stage) -> None:
    assert "History" not in text_of(render(stage))


def test_the_page_shows_evidence_below_the_sentence(stage: Stage) -> None:
    stage.node_down()
    text = text_of(render(stage))
    sentence = text.index("node refuses connections")
    evidence = text.index("node down (connect_refused: TCP connection refused)")
    assert sentence < evidence < text.index("Targets")


def test_a_hash_in_a_sentence_is_cut_short_on_the_page_alone(stage: Stage) -> None:
    stage.healthy()

    def tick() -> None:
        stage.answer(NODE, zerostate=b"\x5e" * 32)
        stage.answer(PUBLIC)
        stage.answer(PROVIDER)

    stage.ticks(1, tick)
    assert "the one with zerostate 5e5e5e5e…." in text_of(render(stage))
    assert "5e" * 32 in described(stage)["diagnosis"]["sentence"]


def test_thresholds_have_their_units(stage: Stage) -> None:
    text = text_of(render(stage))
    assert "lag_warn 10 s behind the head: lagging" in text
    assert "shard_client_lag_warn 16 blocks" in text
    assert "flapping 3 interruptions" in text
    assert "flapping_window 3 min" in text


def test_a_page_that_hangs_says_so(stage: Stage) -> None:
    html = page.render(stage.healthy(), alive=False, refresh=True)
    assert "tonwatch itself hangs" in text_of(html)
    assert "<title>Failing" in html


def test_a_peers_words_stay_words(stage: Stage) -> None:
    stage.ticks(3, lambda: stage.fail(NODE, Reason.SERVER_ERROR, HOSTILE))
    html = render(stage)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.encode(errors="replace")
    assert json.dumps(described(stage))


def test_a_network_without_a_name_is_cut_short(clock: Clock) -> None:
    stage = Stage(clock, network="ab" * 32)
    assert "tonwatch abababab…" in text_of(render(stage))


@pytest.mark.parametrize(("refresh", "there"), [(True, True), (False, False)])
def test_the_page_can_be_kept_still(stage: Stage, refresh: bool, there: bool) -> None:
    assert ('http-equiv="refresh"' in render(stage, refresh=refresh)) is there


@pytest.mark.parametrize(
    ("state", "level"),
    [
        pytest.param(lambda s: s.answer(NODE), "ok", id="ok"),
        pytest.param(lambda s: s.answer(NODE, 12), "warn", id="lagging a little"),
        pytest.param(lambda s: s.answer(NODE, 27), "bad", id="lagging too far"),
        pytest.param(lambda s: s.answer(NODE, root_hash=OWN_BLOCK), "bad", id="forked"),
        pytest.param(lambda s: s.fail(NODE, Reason.NOT_SYNCED), "bad", id="not synced"),
        pytest.param(lambda s: s.fail(NODE, Reason.RATE_LIMITED), "warn", id="throttled"),
        pytest.param(Stage.nothing, "unknown", id="silent for too long"),
    ],
)
def test_how_bad_a_state_looks(stage: Stage, state: Any, level: str) -> None:
    stage.healthy()

    def tick() -> None:
        state(stage)
        stage.answer(PUBLIC)
        stage.answer(PROVIDER)

    view = stage.ticks(5, tick)
    assert page.level(view.judgement.verdicts["node"]) == level
