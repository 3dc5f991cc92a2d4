"""What /health says in each situation, in the document and on the page."""

import json
import re
from typing import Any

import pytest

from tests.configs import make_target
from tests.conftest import Clock
from tests.serve.rendering import described, render, text_of
from tests.serve.scene import NODE, OWN_BLOCK, PROVIDER, PUBLIC, Scene
from tonwatch.samples.sample import Probe
from tonwatch.serve.health.document import status
from tonwatch.ton.errors import Reason
from tonwatch.watch.diagnosis import WITNESSES

KEY = "58" + "66" * 31


def test_a_healthy_document(scene: Scene) -> None:
    scene.healthy()
    health = described(scene)
    node = health["targets"][0]
    assert health["status"] == "pass"
    assert health["diagnosis"]["cause"] == "healthy"
    assert health["diagnosis"]["for_seconds"] == 10
    assert health["diagnosis"]["since"] == "2027-01-15T08:00:05Z"
    assert health["uptime_seconds"] == 15
    assert health["readiness"]["targets"] == {
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
        "gates": [],
        "reason": "ok",
        "detail": None,
        "seqno": health["head"]["seqno"],
        "root_hash": health["head"]["seqno"].to_bytes(32, "big").hex(),
        "block_time": "2027-01-15T08:00:14Z",
        "lag_seconds": 0.0,
        "lag_blocks": 0,
        "in_sync_in_seconds": None,
        "shard_client_seqno": health["head"]["seqno"] - 1,
        "shard_client_lag_blocks": 1,
        "shard_lag_seconds": 0.0,
        "clock_offset_seconds": 0.1,
        "latency_ms": 0.4,
        "idle_seconds": 0.0,
        "interruptions": 0,
        "protocol_version": "1.1",
        "steps_back": 0,
        "dropped_answers": 2,
        "out_queue": None,
        "probes": 0,
        "failures": 0,
    }
    assert node["probes"]["head"]["phases_ms"] == {"ping": 0.2, "query": 0.4}


def test_a_document_while_the_node_is_down(scene: Scene) -> None:
    scene.node_down()
    health = described(scene)
    assert health["status"] == "fail"
    assert health["diagnosis"]["runbook"] == "runbooks/TonwatchNodeDown.md"
    assert health["diagnosis"]["impact"] == "Clients of node can neither read nor pay."
    assert health["targets"][0]["why"] == health["diagnosis"]["sentence"]
    assert health["targets"][0]["barred_by"] == ["down"]
    assert health["targets"][0]["gates"] == [], "no gate decides about one that does not answer"
    assert health["readiness"]["by_policy"] is None
    assert health["targets"][0]["seqno"] is None
    failures = health["targets"][0]["failures"]
    assert [failure["reason"] for failure in failures] == ["connect_refused"] * 4
    assert [failure["age_seconds"] for failure in failures] == [0, 5, 10, 15]


def test_a_diagnosis_comes_with_its_evidence(scene: Scene) -> None:
    scene.node_down()
    diagnosis = described(scene)["diagnosis"]
    assert diagnosis["target"] == "node"
    assert diagnosis["evidence"][0] == "node: down (connect_refused)"
    assert [line.split(":")[0] for line in diagnosis["evidence"]] == [
        "node",
        "public-1",
        "toncenter",
    ]


def test_what_else_is_wrong_has_evidence_of_its_own(scene: Scene) -> None:
    scene.healthy()

    def tick() -> None:
        scene.fail(NODE, Reason.CONNECT_REFUSED, "TCP connection refused")
        scene.answer(PUBLIC)
        scene.fail(PROVIDER, Reason.RATE_LIMITED, "HTTP 429")

    scene.ticks(3, tick)
    [also] = described(scene)["also"]
    assert (also["cause"], also["target"], also["primary"]) == (
        "provider_throttled",
        "toncenter",
        False,
    )
    assert re.fullmatch(r"toncenter: throttled at block \d+ \(rate_limited\)", also["evidence"][0])
    assert also["runbook"] == "runbooks/TonwatchProviderThrottled.md"
    assert also["impact"] == ("Some queries to toncenter are refused; others with this key too.")


def test_a_primary_that_is_not_ok_and_ready_by_policy(clock: Clock) -> None:
    scene = Scene(clock, readiness={"gates": {"lagging": False}})
    scene.healthy()
    scene.ticks(4, lambda: scene.others(lambda: scene.answer(NODE, 27)))
    policy = "Ready by policy: `readiness.gates.lagging` is off."
    assert described(scene)["readiness"]["by_policy"] == policy
    assert "Ready by policy: readiness.gates.lagging is off." in text_of(render(scene))
    assert "<code>readiness.gates.lagging</code>" in render(scene)


def test_the_gate_by_which_a_target_is_not_ready(scene: Scene) -> None:
    scene.healthy()
    scene.ticks(3, lambda: scene.others(lambda: scene.answer(NODE, 27)))
    health = described(scene)
    assert health["targets"][0]["gates"] == ["readiness.gates.lagging"]
    assert health["readiness"]["by_policy"] is None
    assert "Not usable by readiness.gates.lagging" in text_of(render(scene))


def test_the_page_says_what_a_finding_means_and_where_its_runbook_is(scene: Scene) -> None:
    scene.healthy()

    def tick() -> None:
        scene.fail(NODE, Reason.CONNECT_REFUSED)
        scene.answer(PUBLIC)
        scene.fail(PROVIDER, Reason.RATE_LIMITED, "HTTP 429")

    scene.ticks(3, tick)
    text = text_of(render(scene))
    assert "Clients of node can neither read nor pay." in text
    assert "Some queries to toncenter are refused; others with this key too." in text
    assert "runbooks/TonwatchProviderThrottled.md" in text


def test_how_fast_blocks_come_and_how_many_sources_say_so(scene: Scene) -> None:
    scene.ticks(6, scene.all_answer)
    health = described(scene)
    assert health["head"]["block_interval_seconds"] == pytest.approx(0.4, abs=0.05)
    assert health["head"]["usual_block_interval_seconds"] == pytest.approx(0.4, abs=0.05)
    assert health["independent_sources"] == 3


def test_an_outbound_queue_is_shown_until_it_is_too_old(scene: Scene) -> None:
    scene.healthy()
    scene.put(NODE, Probe.ACCOUNT, {"query": 0.001}, out_queue=(812, 8000))
    scene.watcher.evaluate()
    assert described(scene)["targets"][0]["out_queue"] == {"messages": 812, "limit_messages": 8000}
    scene.ticks(8, scene.all_answer)
    assert described(scene)["targets"][0]["out_queue"] is None


def test_another_server_of_a_target_is_in_the_history(scene: Scene) -> None:
    scene.healthy()
    scene.ticks(1, lambda: scene.others(lambda: scene.answer(NODE, version=0x102)))
    scene.ticks(1, lambda: scene.others(lambda: scene.answer(NODE, version=0x103)))
    scene.ticks(1, lambda: scene.others(lambda: scene.answer(NODE, version=0x103)))
    assert described(scene)["server_changes"] == [
        {
            "time": time,
            "target": "node",
            "trait": "protocol_version",
            "was": was,
            "now": now,
        }
        for time, was, now in [
            ("2027-01-15T08:00:25Z", "1.2", "1.3"),
            ("2027-01-15T08:00:20Z", "1.1", "1.2"),
        ]
    ]
    text = text_of(render(scene))
    assert "node has another protocol version since 08:00:25 UTC : 1.3 , before it 1.2" in text


def test_past_diagnoses_are_listed_newest_first(scene: Scene) -> None:
    scene.recovered()
    past = described(scene)["history"]
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


def test_a_node_that_catches_up_has_an_estimate(scene: Scene) -> None:
    scene.catching_up()
    health = described(scene)
    assert health["diagnosis"]["cause"] == "node_catching_up"
    assert health["targets"][0]["in_sync_in_seconds"] == pytest.approx(15, abs=1)
    assert health["targets"][0]["barred_by"] == ["lagging"]
    assert re.search(r"30 s 75 blocks in sync in 1\d s", text_of(render(scene)))


def test_a_fork_is_shown_with_its_root_hashes(scene: Scene) -> None:
    view = scene.forked()
    assert view.judgement.head is not None
    seqno = view.judgement.head.seqno
    others = seqno.to_bytes(32, "big").hex()
    [fork] = described(scene)["forks"]
    assert fork == {
        "seqno": seqno,
        "root_hashes": {"node": OWN_BLOCK.hex(), "public-1": others, "toncenter": others},
        "minority": ["node"],
    }
    line = f"Block {seqno} is {others[:8]}… to public-1, toncenter but 9e3f5ac1… to node"
    assert line in text_of(render(scene))


def test_a_tie_is_shown_without_a_minority(scene: Scene) -> None:
    scene.disagreeing()
    [fork] = described(scene)["forks"]
    text = text_of(render(scene))
    assert fork["minority"] == []
    assert set(fork["root_hashes"]) == {"node", "public-1"}
    assert f"node block {fork['seqno']} has root hash 9e3f5ac1…" in text
    assert text.count(f"Other targets have another block {fork['seqno']}.") == 2


def test_another_networks_block_is_no_fork(scene: Scene) -> None:
    scene.healthy()

    def tick() -> None:
        scene.answer(NODE, root_hash=OWN_BLOCK)
        scene.answer(PUBLIC)
        scene.answer(PROVIDER, root_hash=b"\x01" * 32, zerostate=b"\x5e" * 32)

    scene.ticks(2, tick)
    [fork] = described(scene)["forks"]
    assert "toncenter" not in fork["root_hashes"]


def test_broken_egress_names_the_unreachable_targets(scene: Scene) -> None:
    scene.egress_broken()
    health = described(scene)
    assert health["diagnosis"]["cause"] == "egress_broken"
    assert health["unreachable"] == ["node", "public-1", "toncenter"]


@pytest.mark.parametrize(
    ("times", "words"),
    [(1, "Interrupted once in the last 3 min."), (2, "Interrupted 2 times in the last 3 min.")],
)
def test_interruptions_are_shown_before_the_state_is_flapping(
    scene: Scene, times: int, words: str
) -> None:
    scene.healthy()
    for _ in range(times):
        scene.ticks(2, scene.node_refuses)
        scene.ticks(2, scene.all_answer)
    assert described(scene)["targets"][0]["interruptions"] == times
    assert words in text_of(render(scene))


def test_flapping_is_shown_once(scene: Scene) -> None:
    scene.flapping()
    text = text_of(render(scene))
    assert text.count("3 interruptions in the last minutes") == 1
    assert "Interrupted" not in text


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(Scene.starting, id="starting"),
        pytest.param(Scene.healthy, id="healthy"),
        pytest.param(Scene.node_down, id="down"),
        pytest.param(Scene.catching_up, id="catching up"),
        pytest.param(Scene.forked, id="forked"),
        pytest.param(Scene.egress_broken, id="cut off"),
    ],
)
def test_the_document_is_plain_json(scene: Scene, situation: Any) -> None:
    situation(scene)
    health = described(scene)
    assert json.loads(json.dumps(health, allow_nan=False)) == health


def test_a_document_without_targets(clock: Clock) -> None:
    scene = Scene(clock, targets=())
    assert described(scene)["targets"] == []
    assert "No targets are configured" in text_of(render(scene))


def test_a_stalled_chain_fails_though_the_node_stays_ready(scene: Scene) -> None:
    scene.healthy()
    ages = iter(range(5, 100, 5))

    def tick() -> None:
        age = next(ages)
        for target in scene.targets:
            scene.answer(target, age)

    view = scene.ticks(4, tick)
    assert (status(view), view.readiness.ready) == ("fail", True)
    assert "The chain is stalled" in text_of(render(scene))


def test_a_lagging_reference_is_a_warning(scene: Scene) -> None:
    scene.healthy()

    def tick() -> None:
        scene.answer(NODE)
        scene.answer(PROVIDER)
        scene.answer(PUBLIC, 30)

    assert status(scene.ticks(2, tick)) == "warn"


def test_no_address_is_shown(clock: Clock) -> None:
    scene = Scene(
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
    scene.node_down()
    for shown in (render(scene), json.dumps(described(scene))):
        assert ".internal" not in shown
        assert "/run/secrets" not in shown
        assert KEY not in shown


@pytest.fixture
def crowd(clock: Clock) -> Scene:
    """Two hundred targets."""
    targets = tuple(make_target(f"node-{number}", "liteserver", "primary") for number in range(200))
    return Scene(clock, targets=targets)


def test_many_targets_make_one_page(crowd: Scene) -> None:
    crowd.healthy()
    assert render(crowd).count('data-label="Block"') == 200


def test_many_findings_are_short(crowd: Scene) -> None:
    """Every target's trouble is shown once, and few of them above the table."""
    crowd.healthy()

    def tick() -> None:
        for target in crowd.targets[:100]:
            crowd.fail(target, Reason.HANDSHAKE_TIMEOUT, "silence")
        for target in crowd.targets[100:]:
            crowd.answer(target)

    crowd.ticks(3, tick)
    html = render(crowd)
    assert html.count("accepts TCP but does not answer") == 100
    assert "And 91 more, each with its target below." in text_of(html)
    health = described(crowd)
    # The target itself, and a few healthy ones.
    assert len(health["diagnosis"]["evidence"]) == 1 + WITNESSES
    assert [len(finding["evidence"]) for finding in health["also"]] == [1 + WITNESSES] * 99


def test_much_evidence_is_short(crowd: Scene) -> None:
    made = int(crowd.clock.wall_time)

    def tick() -> None:
        for target in crowd.targets:
            crowd.answer(target, seqno=1000, gen_utime=made)

    crowd.ticks(5, tick)
    assert len(described(crowd)["diagnosis"]["evidence"]) == 200
    assert "and 192 more" in text_of(render(crowd))
