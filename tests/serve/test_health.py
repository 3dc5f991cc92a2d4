"""What /health says, as a document and as a page."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.conftest import Clock
from tests.serve.stage import NODE, PROVIDER, PUBLIC, Stage
from tonwatch.probes.sample import Probe
from tonwatch.serve import page
from tonwatch.serve.health import document, status
from tonwatch.serve.sparkline import sparkline
from tonwatch.serve.words import offset, short_time
from tonwatch.ton.errors import Reason
from tonwatch.watch.board import Target

KEY = "58" + "66" * 31
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&\n\x00\ud800"


def render(stage: Stage, *, refresh: bool = True) -> str:
    return page.render(stage.watcher.view, stage.config, alive=True, refresh=refresh)


def described(stage: Stage) -> dict[str, Any]:
    return document(stage.watcher.view, stage.config)


def text_of(html: str) -> str:
    """What a reader of the page reads."""
    words: list[str] = []

    class Reader(HTMLParser):
        hidden = False

        def handle_starttag(self, tag: str, _: object) -> None:
            self.hidden = tag == "style"

        def handle_data(self, data: str) -> None:
            if not self.hidden:
                words.append(data)

    Reader().feed(html)
    return " ".join(" ".join(words).split())


def test_a_healthy_document(stage: Stage) -> None:
    stage.healthy()
    said = described(stage)
    node = said["targets"][0]
    assert said["status"] == "pass"
    assert said["diagnosis"]["cause"] == "healthy"
    assert said["diagnosis"]["for_seconds"] == 10
    assert said["diagnosis"]["since"] == "2027-01-15T08:00:05Z"
    assert said["uptime_seconds"] == 15
    assert said["readiness"]["targets"] == {
        "node": {"ready": True, "good_in_a_row": 3, "bad_in_a_row": 0}
    }
    assert node | {"probes": 0, "failures": 0} == {
        "name": "node",
        "kind": "liteserver",
        "role": "primary",
        "state": "ok",
        "since": "2027-01-15T08:00:05Z",
        "why": None,
        "up": True,
        "usable": True,
        "reason": "ok",
        "detail": None,
        "seqno": said["head"]["seqno"],
        "root_hash": said["head"]["seqno"].to_bytes(32, "big").hex(),
        "block_time": "2027-01-15T08:00:14Z",
        "behind_seconds": 0.0,
        "behind_blocks": 0,
        "shard_client_seqno": said["head"]["seqno"] - 1,
        "shard_gap_blocks": 1,
        "clock_offset_seconds": 0.1,
        "latency_ms": 0.4,
        "idle_seconds": 0.0,
        "protocol_version": "1.1",
        "steps_back": 0,
        "dropped_answers": 2,
        "probes": 0,
        "failures": 0,
    }
    assert node["probes"]["head"]["phases_ms"] == {"ping": 0.2, "query": 0.4}


def test_a_document_of_trouble(stage: Stage) -> None:
    stage.node_down()
    said = described(stage)
    assert said["status"] == "fail"
    assert said["diagnosis"]["runbook"] == "diagnoses.md#node_down"
    assert said["targets"][0]["why"] == "connect refused: TCP connection refused"
    assert said["targets"][0]["seqno"] is None
    failures = said["targets"][0]["failures"]
    assert [failure["reason"] for failure in failures] == ["connect_refused"] * 4
    assert [failure["age_seconds"] for failure in failures] == [0, 5, 10, 15]


@pytest.mark.parametrize(
    "happened", [Stage.nothing, Stage.healthy, Stage.node_down], ids=["start", "well", "down"]
)
def test_the_document_is_plain_json(stage: Stage, happened: Any) -> None:
    happened(stage)
    said = described(stage)
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_nothing_watched_is_a_document_too(clock: Clock) -> None:
    stage = Stage(clock, targets=())
    assert described(stage)["targets"] == []
    assert "Nothing is configured" in text_of(render(stage))


def test_a_stalled_chain_fails_though_the_node_stays_ready(stage: Stage) -> None:
    stage.healthy()
    ages = iter(range(5, 100, 5))

    def beat() -> None:
        age = next(ages)
        for target in stage.targets:
            stage.answer(target, age)

    view = stage.beats(4, beat)
    assert (status(view), view.readiness.ready) == ("fail", True)
    assert "The chain stands still" in text_of(render(stage))


def test_a_lagging_reference_is_a_warning(stage: Stage) -> None:
    stage.healthy()

    def beat() -> None:
        stage.answer(NODE)
        stage.answer(PROVIDER)
        stage.answer(PUBLIC, 30)

    assert status(stage.beats(2, beat)) == "warn"


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
    assert re.search(r"public-1 reference liteserver ok \d+ 0.0 s 1 block \+0.1 s 0.40 ms", text)
    assert "TCP connection refused 4 times since 08:00:20 UTC" in text
    assert "public-1 connect handshake_timeout silence" in text


def test_a_page_that_hangs_says_so(stage: Stage) -> None:
    html = page.render(stage.healthy(), stage.config, alive=False, refresh=True)
    assert "tonwatch itself hangs" in text_of(html)
    assert "<title>Failing" in html


def test_a_peers_words_stay_words(stage: Stage) -> None:
    stage.beats(3, lambda: stage.fail(NODE, Reason.SERVER_ERROR, HOSTILE))
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


def test_no_address_is_shown(clock: Clock) -> None:
    stage = Stage(
        clock,
        liteservers=[{"name": "node", "host": "node.internal", "port": 40001, "key": KEY}],
        providers=[
            {
                "name": "toncenter",
                "kind": "toncenter-v2",
                "url": "https://rpc.internal/api/v2",
                "api_key_file": "/run/secrets/key",
            }
        ],
    )
    stage.node_down()
    for shown in (render(stage), json.dumps(described(stage))):
        assert "internal" not in shown
        assert "/run/secrets" not in shown
        assert KEY not in shown


@pytest.mark.parametrize(
    ("state", "level"),
    [
        pytest.param(lambda s: s.answer(NODE), "ok", id="ok"),
        pytest.param(lambda s: s.answer(NODE, 12), "warn", id="lagging a little"),
        pytest.param(lambda s: s.answer(NODE, 27), "bad", id="lagging too far"),
        pytest.param(lambda s: s.fail(NODE, Reason.NOT_SYNCED), "bad", id="not synced"),
        pytest.param(lambda s: s.fail(NODE, Reason.RATE_LIMITED), "warn", id="throttled"),
        pytest.param(Stage.nothing, "unknown", id="silent for too long"),
    ],
)
def test_how_bad_a_state_looks(stage: Stage, state: Any, level: str) -> None:
    stage.healthy()

    def beat() -> None:
        state(stage)
        stage.answer(PUBLIC)
        stage.answer(PROVIDER)

    view = stage.beats(5, beat)
    assert page.level(view.judgement.verdicts["node"]) == level


class TestSparkline:
    def test_gaps_where_nothing_was_learnt(self) -> None:
        line = sparkline([(40, 1.0), (30, 1.0), (20, None), (10, 2.0)], window=60, floor=2.0)
        assert line.path == "M40 11h0L60 11M100 2h0"
        assert list(line.failures) == [80]
        assert (line.low, line.high) == (1.0, 2.0)

    def test_what_is_older_than_the_window_is_left_out(self) -> None:
        assert sparkline([(61, 1.0)], window=60, floor=1.0).path == ""

    def test_noise_below_the_floor_stays_flat(self) -> None:
        assert sparkline([(0, 0.001)], window=60, floor=1.0).path == "M120 20h0"

    @pytest.mark.parametrize(("limit", "y"), [(5.0, 11.0), (10.0, 2.0), (20.0, None)])
    def test_a_limit_is_drawn_where_it_is_on_the_scale(self, limit: float, y: float | None) -> None:
        assert sparkline([(0, 10.0)], window=60, floor=1.0, limit=limit).limit == y

    def test_nothing_at_all(self) -> None:
        line = sparkline([], window=60, floor=1.0)
        assert (line.path, line.low, line.high) == ("", None, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.00034, "0.34 ms"), (0.0012, "1.2 ms"), (0.0449, "45 ms"), (0.9996, "1.0 s"), (12, "12 s")],
)
def test_short_times(seconds: float, words: str) -> None:
    assert short_time(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "±0.0 s"), (0.3, "+0.3 s"), (-12.2, "−12 s")]
)
def test_offsets_have_a_sign(seconds: float, words: str) -> None:
    assert offset(seconds) == words


def test_many_targets_make_one_page(clock: Clock) -> None:
    targets = tuple(Target(f"node-{number}", "liteserver", "primary") for number in range(200))
    stage = Stage(clock, targets=targets)
    stage.healthy()
    assert render(stage).count('data-label="Block"') == 200
