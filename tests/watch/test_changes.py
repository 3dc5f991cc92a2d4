"""Findings are logged when they begin and when they end, at a limited rate."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.conftest import Clock
from tests.serve.scene import NODE, Scene
from tests.serve.wallet_scene import WalletScene
from tonwatch.ton.errors import Reason
from tonwatch.watch.changes import MOST, WINDOW, Changes
from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.readiness import Phase

LOW = Finding(Cause.WALLET_LOW, "hot holds 3 TON.", 0.0, account="hot")
DOWN = Finding(Cause.NODE_DOWN, "node refuses connections.", 0.0, target="node")
SLOW = Finding(Cause.PROVIDER_SLOW, "toncenter takes 2 s.", 0.0, target="toncenter")
WELL = Finding(Cause.HEALTHY, "All are well.", 0.0)
STARTING = Finding(Cause.STARTING, "2 of 2 targets have not been probed yet.", 0.0)


class Log:
    """The log of findings given by the test, one view a second."""

    def __init__(self) -> None:
        self.changes = Changes((), Cause.STARTING, Phase.STARTING)
        self.now = 0.0

    def see(self, *findings: Finding) -> list[Any]:
        """What is logged for a view with these findings."""
        self.now += 1.0
        with capture_logs() as lines:
            self.changes.findings(findings, self.now)
        return list(lines)


@pytest.fixture
def log() -> Log:
    return Log()


def summaries(lines: Sequence[Any]) -> list[str]:
    return [
        f"{line['event']}: {line['cause']} {line.get('target') or line.get('account') or ''}"
        for line in lines
    ]


def test_each_begins_once_and_ends_once(log: Log) -> None:
    assert summaries(log.see(STARTING)) == []
    assert summaries(log.see(DOWN, LOW)) == [
        "finding begins: node_down node",
        "finding begins: wallet_low hot",
    ]
    assert summaries(log.see(DOWN, LOW)) == []
    assert summaries(log.see(LOW)) == ["finding ended: node_down node"]
    assert summaries(log.see(WELL)) == ["finding ended: wallet_low hot"]
    assert summaries(log.see(WELL)) == []


def test_a_line_has_all_fields_of_the_finding(log: Log) -> None:
    impact = "Clients of node can neither read nor pay."
    [line] = log.see(replace(DOWN, impact=impact))
    assert line == {
        "event": "finding begins",
        "log_level": "warning",
        "cause": Cause.NODE_DOWN,
        "target": "node",
        "sentence": "node refuses connections.",
        "impact": impact,
    }
    [line] = log.see(WELL)
    assert "impact" not in line
    assert (line["log_level"], line["sentence"]) == ("info", "node refuses connections.")


def test_other_numbers_are_not_logged(log: Log) -> None:
    log.see(LOW)
    for coins in (2, 1, 0):
        assert log.see(replace(LOW, sentence=f"hot holds {coins} TON.", since=9.0)) == []
    [line] = log.see(WELL)
    assert line["sentence"] == "hot holds 0 TON."


def test_another_order_is_not_logged(log: Log) -> None:
    log.see(DOWN, SLOW)
    assert log.see(SLOW, DOWN) == []


def test_the_same_cause_of_two_targets(log: Log) -> None:
    other = replace(DOWN, target="node-2")
    assert summaries(log.see(DOWN)) == ["finding begins: node_down node"]
    assert summaries(log.see(DOWN, other)) == ["finding begins: node_down node-2"]
    assert summaries(log.see(other)) == ["finding ended: node_down node"]


def test_wallets_that_share_a_finding_are_named(log: Log) -> None:
    """A few have a line each, all others share one that names them."""
    alone = [replace(LOW, account=f"w{number}") for number in range(5)]
    rest = replace(LOW, account="", others=("w5", "w6", "w7"))
    lines = log.see(*alone, rest)
    assert [line.get("account") for line in lines] == ["w0", "w1", "w2", "w3", "w4", None]
    assert (lines[-1]["count"], lines[-1]["also_of"]) == (3, ["w5", "w6", "w7"])
    # One of the few is no longer low: the next takes its place, without a line.
    moved = [*alone[1:], replace(LOW, account="w5")]
    assert summaries(log.see(*moved, replace(rest, others=("w6", "w7")))) == [
        "finding ended: wallet_low w0"
    ]
    assert len(log.see(WELL)) == 6


def test_a_flapping_finding_is_rate_limited(log: Log) -> None:
    """At most three lines of each kind in ten minutes; the last one says so."""
    lines = []
    for _ in range(600):
        lines += log.see(DOWN)
        lines += log.see(WELL)
    begins = [line for line in lines if line["event"] == "finding begins"]
    assert len(begins) == MOST * 2
    assert [bool(line.get("comes_and_goes")) for line in begins[:MOST]] == [False, False, True]
    assert len(lines) == 4 * MOST


def test_other_findings_are_still_logged(log: Log) -> None:
    for _ in range(100):
        log.see(DOWN)
        log.see(WELL)
    assert summaries(log.see(DOWN, SLOW)) == ["finding begins: provider_slow toncenter"]


@pytest.mark.parametrize("last", [DOWN, WELL], ids=["down", "well"])
def test_the_final_state_is_logged(log: Log, last: Finding) -> None:
    lines = []
    for _ in range(20):
        lines += log.see(DOWN)
        lines += log.see(WELL)
    for _ in range(int(WINDOW) + 1):
        lines += log.see(last)
    assert lines[-1]["event"] == ("finding begins" if last is DOWN else "finding ended")


def test_ended_findings_are_forgotten(log: Log) -> None:
    for number in range(100):
        log.see(replace(DOWN, target=f"node-{number}"))
    log.see(WELL)
    log.now += WINDOW
    log.see(WELL)
    assert log.changes._last == {}
    assert log.changes._findings._subjects == {}


class TestOfAWatcher:
    """The same through a watcher."""

    @pytest.fixture
    def lines(self) -> Iterator[list[Any]]:
        with capture_logs() as logged:
            yield logged

    def test_nothing_is_logged_while_starting(self, clock: Clock, lines: list[Any]) -> None:
        scene = WalletScene(clock)
        scene.watcher.evaluate()
        scene.clock.advance(1)
        scene.watcher.evaluate()
        assert lines == []

    def test_findings_below_the_main_one_are_logged(self, clock: Clock, lines: list[Any]) -> None:
        wallet_scene = WalletScene(clock)
        wallet_scene.all_read()
        wallet_scene.healthy()
        wallet_scene.read("hot", amount=1)
        wallet_scene.node_down()
        begun = [line for line in lines if line["event"] == "finding begins"]
        causes = {(line["cause"], line.get("target"), line.get("account")) for line in begun}
        assert (Cause.NODE_DOWN, "node", None) in causes
        assert (Cause.WALLET_LOW, None, "hot") in causes
        assert len(begun) == len(causes)

    def test_another_server_is_logged_once(self, clock: Clock, lines: list[Any]) -> None:
        scene = Scene(clock)
        scene.healthy()
        versions = iter((0x101, 0x102, 0x102))
        scene.ticks(3, lambda: scene.answer(NODE, version=next(versions)))
        [line] = [line for line in lines if line["event"] == "server"]
        assert (line["target"], line["trait"]) == ("node", "protocol_version")
        assert (line["was"], line["now"]) == ("1.1", "1.2")

    def test_a_target_that_flaps(self, clock: Clock, lines: list[Any]) -> None:
        scene = Scene(clock)
        scene.healthy()
        for _ in range(60):
            scene.fail(NODE, Reason.CONNECT_REFUSED)
            scene.watcher.evaluate()
            scene.answer(NODE)
            scene.watcher.evaluate()
        assert len([line for line in lines if line["event"] == "target"]) < 20
        assert len([line for line in lines if line["event"] == "diagnosis"]) < 20
