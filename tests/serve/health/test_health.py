"""What /health says of a situation, in the document and on the page."""

import json
import re
from typing import Any

import pytest

from tests.configs import make_target
from tests.conftest import Clock
from tests.serve.shown import described, render, text_of
from tests.serve.stage import NODE, OWN_BLOCK, PROVIDER, PUBLIC, Stage
from tonwatch.serve.health.document import status
from tonwatch.ton.errors import Reason
from tonwatch.watch.diagnosis import WITNESSES

KEY = "58" + "66" * 31


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
        "barred_by": [],
        "reason": "ok",
        "detail": None,
        "seqno": said["head"]["seqno"],
        "root_hash": said["head"]["seqno"].to_bytes(32, "big").hex(),
        "block_time": "2027-01-15T08:00:14Z",
        "lag_seconds": 0.0,
        "lag_blocks": 0,
        "in_sync_in_seconds": None,
        "shard_client_seqno": said["head"]["seqno"] - 1,
        "shard_gap_blocks": 1,
        "clock_offset_seconds": 0.1,
        "latency_ms": 0.4,
        "idle_seconds": 0.0,
        "interruptions": 0,
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
    assert said["diagnosis"]["runbook"] == "runbooks/TonwatchNodeDown.md"
    assert said["targets"][0]["why"] == said["diagnosis"]["sentence"]
    assert said["targets"][0]["barred_by"] == ["down"]
    assert said["targets"][0]["seqno"] is None
    failures = said["targets"][0]["failures"]
    assert [failure["reason"] for failure in failures] == ["connect_refused"] * 4
    assert [failure["age_seconds"] for failure in failures] == [0, 5, 10, 15]


def test_a_diagnosis_comes_with_its_evidence(stage: Stage) -> None:
    stage.node_down()
    said = described(stage)["diagnosis"]
    assert said["target"] == "node"
    assert said["evidence"][0] == "node: down (connect_refused: TCP connection refused)"
    assert [line.split(":")[0] for line in said["evidence"]] == ["node", "public-1", "toncenter"]


def test_what_else_is_wrong_has_evidence_of_its_own(stage: Stage) -> None:
    stage.healthy()

    def tick() -> None:
        stage.fail(NODE, Reason.CONNECT_REFUSED, "TCP connection refused")
        stage.answer(PUBLIC)
        stage.fail(PROVIDER, Reason.RATE_LIMITED, "HTTP 429")

    stage.ticks(3, tick)
    [also] = described(stage)["also"]
    assert (also["cause"], also["target"], also["primary"]) == (
        "provider_throttled",
        "toncenter",
        False,
    )
    assert also["evidence"][0] == "toncenter: throttled (rate_limited: HTTP 429)"


def test_the_past_is_told_newest_first(stage: Stage) -> None:
    stage.recovered()
    past = described(stage)["history"]
    assert [(ended["cause"], ended["for_seconds"]) for ended in past] == [
        ("node_down", 15),
        ("healthy", 20),
        ("starting", 5),
    ]
    assert past[0] == {
        "cause": "node_down",
        "sentence": "node refuses connections: no process listens on its port"
        " (TCP connection refused).",
        "since": "2027-01-15T08:00:25Z",
        "until": "2027-01-15T08:00:40Z",
        "for_seconds": 15,
        "target": "node",
        "account": None,
    }


def test_a_node_that_catches_up_has_an_estimate(stage: Stage) -> None:
    stage.catching_up()
    said = described(stage)
    assert said["diagnosis"]["cause"] == "node_catching_up"
    assert said["targets"][0]["in_sync_in_seconds"] == pytest.approx(15, abs=1)
    assert said["targets"][0]["barred_by"] == ["lagging"]
    assert re.search(r"30 s 75 blocks in sync in 1\d s", text_of(render(stage)))


def test_a_fork_is_told_with_its_root_hashes(stage: Stage) -> None:
    view = stage.forked()
    assert view.judgement.head is not None
    seqno = view.judgement.head.seqno
    others = seqno.to_bytes(32, "big").hex()
    [told] = described(stage)["forks"]
    assert told == {
        "seqno": seqno,
        "root_hashes": {"node": OWN_BLOCK.hex(), "public-1": others, "toncenter": others},
        "minority": ["node"],
    }
    line = f"Block {seqno} is {others[:8]}… to public-1, toncenter but 9e3f5ac1… to node"
    assert line in text_of(render(stage))


def test_a_tie_is_told_without_a_minority(stage: Stage) -> None:
    stage.disagreeing()
    [told] = described(stage)["forks"]
    text = text_of(render(stage))
    assert told["minority"] == []
    assert set(told["root_hashes"]) == {"node", "public-1"}
    assert f"node block {told['seqno']} has root hash 9e3f5ac1…" in text
    assert text.count(f"Its block {told['seqno']} is disputed.") == 2


def test_another_networks_block_is_no_fork(stage: Stage) -> None:
    stage.healthy()

    def tick() -> None:
        stage.answer(NODE, root_hash=OWN_BLOCK)
        stage.answer(PUBLIC)
        stage.answer(PROVIDER, root_hash=b"\x01" * 32, zerostate=b"\x5e" * 32)

    stage.ticks(2, tick)
    [told] = described(stage)["forks"]
    assert "toncenter" not in told["root_hashes"]


def test_broken_egress_names_who_cannot_be_reached(stage: Stage) -> None:
    stage.cut_off()
    said = described(stage)
    assert said["diagnosis"]["cause"] == "egress_broken"
    assert said["unreachable"] == ["node", "public-1", "toncenter"]


@pytest.mark.parametrize(
    ("times", "words"),
    [(1, "Interrupted once in the last 3 min."), (2, "Interrupted 2 times in the last 3 min.")],
)
def test_interruptions_are_told_before_it_is_flapping(stage: Stage, times: int, words: str) -> None:
    stage.healthy()
    for _ in range(times):
        stage.ticks(2, stage.without_node)
        stage.ticks(2, stage.answers)
    assert described(stage)["targets"][0]["interruptions"] == times
    assert words in text_of(render(stage))


def test_flapping_is_said_once(stage: Stage) -> None:
    stage.flapping()
    text = text_of(render(stage))
    assert text.count("3 interruptions in the last minutes") == 1
    assert "Interrupted" not in text


@pytest.mark.parametrize(
    "happened",
    [
        pytest.param(Stage.nothing, id="starting"),
        pytest.param(Stage.healthy, id="healthy"),
        pytest.param(Stage.node_down, id="down"),
        pytest.param(Stage.catching_up, id="catching up"),
        pytest.param(Stage.forked, id="forked"),
        pytest.param(Stage.cut_off, id="cut off"),
    ],
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

    def tick() -> None:
        age = next(ages)
        for target in stage.targets:
            stage.answer(target, age)

    view = stage.ticks(4, tick)
    assert (status(view), view.readiness.ready) == ("fail", True)
    assert "The chain stands still" in text_of(render(stage))


def test_a_lagging_reference_is_a_warning(stage: Stage) -> None:
    stage.healthy()

    def tick() -> None:
        stage.answer(NODE)
        stage.answer(PROVIDER)
        stage.answer(PUBLIC, 30)

    assert status(stage.ticks(2, tick)) == "warn"


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
        assert ".internal" not in shown
        assert "/run/secrets" not in shown
        assert KEY not in shown


@pytest.fixture
def crowd(clock: Clock) -> Stage:
    """Two hundred targets."""
    targets = tuple(make_target(f"node-{number}", "liteserver", "primary") for number in range(200))
    return Stage(clock, targets=targets)


def test_many_targets_make_one_page(crowd: Stage) -> None:
    crowd.healthy()
    assert render(crowd).count('data-label="Block"') == 200


def test_much_trouble_is_told_shortly(crowd: Stage) -> None:
    """Every target is told once what is wrong with it, and few of them above the table."""
    crowd.healthy()

    def tick() -> None:
        for target in crowd.targets[:100]:
            crowd.fail(target, Reason.HANDSHAKE_TIMEOUT, "silence")
        for target in crowd.targets[100:]:
            crowd.answer(target)

    crowd.ticks(3, tick)
    html = render(crowd)
    assert html.count("accepts TCP but stays silent") == 100
    assert "And 91 more, each with its target below." in text_of(html)
    said = described(crowd)
    # The target itself, and a few that are well.
    assert len(said["diagnosis"]["evidence"]) == 1 + WITNESSES
    assert [len(finding["evidence"]) for finding in said["also"]] == [1 + WITNESSES] * 99


def test_much_evidence_is_told_shortly(crowd: Stage) -> None:
    made = int(crowd.clock.wall_time)

    def tick() -> None:
        for target in crowd.targets:
            crowd.answer(target, seqno=1000, gen_utime=made)

    crowd.ticks(5, tick)
    assert len(described(crowd)["diagnosis"]["evidence"]) == 200
    assert "and 192 more" in text_of(render(crowd))
