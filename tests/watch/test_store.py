"""The store: what it keeps, what it counts, and how it is bounded."""

from typing import Any

import pytest

from tests.configs import make_target
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.ton.errors import Reason
from tonwatch.watch.store import BUCKETS, CHANGES, FAILURES, HISTORY, Store


@pytest.fixture
def trio(scene: Any) -> Any:
    return scene()


def record(trio: Any) -> Any:
    return trio.store.snapshot(wall=0.0, monotonic=0.0).records["node"]


def test_history_and_failures_are_bounded(trio: Any) -> None:
    for _ in range(HISTORY + FAILURES + 5):
        trio.fail(trio.targets[0], Reason.QUERY_TIMEOUT)
    assert len(record(trio).heads) == HISTORY
    assert len(record(trio).failures) == FAILURES


def test_failures_outlive_the_history(trio: Any) -> None:
    trio.fail(trio.targets[0], Reason.QUERY_TIMEOUT)
    for _ in range(HISTORY):
        trio.answer(trio.targets[0])
    assert [sample.reason for sample in record(trio).failures] == [Reason.QUERY_TIMEOUT]


def test_results_are_counted_by_reason(trio: Any) -> None:
    for _ in range(3):
        trio.answer(trio.targets[0])
    trio.fail(trio.targets[0], Reason.NOT_SYNCED)
    assert record(trio).results == {
        (Probe.HEAD, Reason.OK): 3,
        (Probe.HEAD, Reason.NOT_SYNCED): 1,
    }


def test_durations_fill_the_right_buckets(trio: Any) -> None:
    trio.answer(trio.targets[0], query=BUCKETS[2])
    trio.answer(trio.targets[0], query=BUCKETS[-1] + 1)
    histogram = record(trio).durations[Probe.HEAD]
    assert histogram.counts[2] == 1
    assert histogram.counts[-1] == 1
    assert histogram.sum == pytest.approx(BUCKETS[2] + BUCKETS[-1] + 1)


def test_steps_back_are_tolerated_and_counted(trio: Any) -> None:
    for seqno in (100, 103, 101, 104):
        trio.answer(trio.targets[0], seqno=seqno)
    assert record(trio).steps_back == 1


def test_flipping_between_two_blocks_is_no_progress(trio: Any) -> None:
    for seqno in (100, 98, 100, 98, 100):
        trio.answer(trio.targets[0], seqno=seqno)
        trio.clock.advance(5.0)
    assert record(trio).advanced == trio.clock.monotonic_time - 25.0


def test_going_on_from_an_old_block_is_progress(trio: Any) -> None:
    for seqno in (1000, 10, 20, 30):
        trio.clock.advance(5.0)
        trio.answer(trio.targets[0], seqno=seqno)
    assert record(trio).advanced == trio.clock.monotonic_time


class TestChangesOfAServer:
    """What answers for a target is recognised by its key or address, and by its version."""

    @staticmethod
    def changes(*answers: tuple[str, int | None]) -> list[tuple[str, str, str, float]]:
        """What has changed, after answers by these servers and versions, one a second."""
        store = Store([make_target("node", "liteserver", "primary")])
        for second, (server, version) in enumerate(answers):
            head = Head(seqno=second, root_hash=b"", version=version)
            store.add(
                Sample(
                    target="node",
                    probe=Probe.HEAD,
                    started=100.0 + second,
                    finished=float(second),
                    duration=0.1,
                    head=head,
                    server=server,
                )
            )
        kept = store.snapshot(wall=0.0, monotonic=0.0).records["node"].changes
        return [(str(change.trait), change.was, change.now, change.at) for change in kept]

    @pytest.mark.parametrize(
        ("answers", "expected"),
        [
            pytest.param([("a", 257), ("a", 257)], [], id="the same"),
            pytest.param([("a", 257), ("b", 257)], [("server", "a", "b", 101.0)], id="another"),
            pytest.param(
                [("a", 257), ("a", 258)],
                [("protocol_version", "1.1", "1.2", 101.0)],
                id="another version",
            ),
            pytest.param(
                [("a", 257), ("b", 258)],
                [("server", "a", "b", 101.0), ("protocol_version", "1.1", "1.2", 101.0)],
                id="both",
            ),
            pytest.param([("", None), ("a", 257)], [], id="known for the first time"),
            pytest.param([("a", 257), ("", None), ("a", 257)], [], id="not known in between"),
            pytest.param(
                [("a", None), ("", None), ("b", None)],
                [("server", "a", "b", 102.0)],
                id="another after it was not known",
            ),
            pytest.param(
                [("a", None), ("b", None), ("a", None), ("b", None)],
                [("server", "a", "b", 101.0)],
                id="servers that alternate",
            ),
        ],
    )
    def test_changes(self, answers: Any, expected: Any) -> None:
        assert self.changes(*answers) == expected

    def test_they_are_bounded(self) -> None:
        assert len(self.changes(*((str(number), None) for number in range(50)))) == CHANGES


def test_a_snapshot_does_not_change(trio: Any) -> None:
    trio.answer(trio.targets[0])
    before = record(trio)
    trio.answer(trio.targets[0])
    assert before.results == {(Probe.HEAD, Reason.OK): 1}


def test_an_unknown_target_is_refused(trio: Any) -> None:
    with pytest.raises(KeyError):
        trio.answer(make_target("stranger", "liteserver", "primary"))


def test_the_state_directory_is_well_until_a_file_cannot_be_written(trio: Any) -> None:
    errors = []
    for why in ("", "/state: No space left on device", ""):
        trio.store.state_dir_failed(why)
        errors.append(trio.store.snapshot(wall=0.0, monotonic=0.0).state_dir_error)
    assert errors == ["", "/state: No space left on device", ""]
