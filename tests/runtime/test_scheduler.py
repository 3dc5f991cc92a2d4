"""When jobs ask: on a grid, spread out, never piled up."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests import virtual_time
from tests.configs import make_target
from tests.virtual_time import VirtualLoop
from tonwatch.config.models import Config
from tonwatch.runtime.scheduler import (
    LAST_RESORT,
    Asker,
    Job,
    Question,
    Scheduler,
    next_tick,
)
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.sample import Head, Probe, Recording, Sample
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.ton.errors import Reason
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import State
from tonwatch.watch.store import Observation, Store


@pytest.mark.parametrize(
    ("now", "following", "skipped"),
    [
        pytest.param(100.0, 105.0, 0, id="at once"),
        pytest.param(103.0, 105.0, 0, id="in time"),
        pytest.param(105.0, 105.0, 0, id="just in time"),
        pytest.param(105.1, 110.0, 1, id="a little too late"),
        pytest.param(117.0, 120.0, 3, id="far too late"),
    ],
)
def test_next_tick(now: float, following: float, skipped: int) -> None:
    assert next_tick(100.0, 5.0, now) == (following, skipped)


def errors() -> InternalErrors:
    return InternalErrors(wall=lambda: 0.0, monotonic=asyncio.get_running_loop().time)


def sample(target: str) -> Sample:
    return Sample(target=target, probe=Probe.HEAD, started=0.0, finished=0.0, duration=0.0)


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


Ask = Callable[[], Coroutine[Any, Any, Sequence[Observation]]]


def a_job(
    name: str,
    interval: float,
    ask: Ask,
    *,
    delay: float | None = None,
    deadline: float = LAST_RESORT,
) -> Job:
    """A job with one question about one target."""
    title = f"head {name}"
    questions = (Question(title, ask, deadline),)
    plan = lambda: questions  # noqa: E731
    return Job(title, Probe.HEAD, (name,), interval, plan, delay=delay, confirms=True)


async def run(jobs: Sequence[Job], store: Store, errors: InternalErrors) -> None:
    scheduler = Scheduler(Asker(store, errors), Random(1))
    await scheduler.change(jobs)
    await scheduler.run()


async def test_every_job_has_its_own_interval() -> None:
    store = Store([make_target(name, "toncenter-v2", "primary") for name in ("a", "b")])
    asked: list[str] = []

    def job(name: str, interval: float) -> Job:
        async def ask() -> list[Sample]:
            asked.append(name)
            return [sample(name)]

        return a_job(name, interval, ask)

    running = asyncio.create_task(run([job("a", 0.02), job("b", 5.0)], store, errors()))
    await until(lambda: asked.count("a") >= 5 and "b" in asked)
    running.cancel()
    assert asked.count("b") == 1


async def test_a_slow_probe_is_counted_and_does_not_delay_others() -> None:
    store = Store([make_target(name, "toncenter-v2", "primary") for name in ("slow", "quick")])
    quick = itertools.count()

    async def ask_slow() -> list[Sample]:
        await until(lambda: next(quick) > 50)
        return [sample("slow")]

    async def ask_quick() -> list[Sample]:
        next(quick)
        return [sample("quick")]

    running = asyncio.create_task(
        run([a_job("slow", 0.005, ask_slow), a_job("quick", 0.005, ask_quick)], store, errors())
    )

    def overruns() -> int:
        records = store.snapshot(wall=0.0, monotonic=0.0).records
        return records["slow"].overruns.get(Probe.HEAD, 0)

    await until(lambda: overruns() > 0)
    running.cancel()


class TestConfirmation:
    """A first failure is confirmed soon, before the next tick."""

    @staticmethod
    def asked_at(reasons: list[Reason]) -> list[float]:
        """When a target with these results was asked, at an interval of ten seconds."""

        async def play(loop: VirtualLoop) -> list[float]:
            store = Store([make_target("it", "toncenter-v2", "primary")])
            times: list[float] = []
            answers = iter(reasons)

            async def ask() -> list[Sample]:
                times.append(round(loop.time(), 1))
                return [replace(sample("it"), reason=next(answers))]

            job = a_job("it", 10.0, ask, delay=0.0)
            running = asyncio.create_task(run([job], store, errors()))
            while len(times) < len(reasons):
                await asyncio.sleep(0.1)
            running.cancel()
            return times

        return virtual_time.run(play)

    @pytest.mark.parametrize(
        ("reasons", "times"),
        [
            pytest.param([Reason.OK] * 3, [0.0, 10.0, 20.0], id="all is well"),
            pytest.param(
                [Reason.OK, Reason.QUERY_TIMEOUT, Reason.OK, Reason.OK],
                [0.0, 10.0, 11.0, 20.0],
                id="one lost answer",
            ),
            pytest.param(
                [Reason.OK, *[Reason.QUERY_TIMEOUT] * 4],
                [0.0, 10.0, 11.0, 20.0, 30.0],
                id="lost for good: confirmed once",
            ),
            pytest.param(
                [Reason.OK, Reason.RATE_LIMITED, Reason.RATE_LIMITED],
                [0.0, 10.0, 20.0],
                id="a rate limit is not confirmed",
            ),
        ],
    )
    def test_when(self, reasons: list[Reason], times: list[float]) -> None:
        assert self.asked_at(reasons) == times


class TestRepetition:
    """A slow probe that fails is repeated until all is well; then it is back on its grid."""

    @staticmethod
    def asked_at(
        reasons: list[Reason], is_well: Callable[[float], bool] | None = None, takes: float = 0.0
    ) -> tuple[list[float], int]:
        """When a target with these results was asked, and how many ticks were overrun.

        The interval is 30 s, that of repetitions 5 s.
        """

        async def play(loop: VirtualLoop) -> tuple[list[float], int]:
            store = Store([make_target("it", "toncenter-v2", "primary")])
            times: list[float] = []
            answers = iter(reasons)

            async def ask() -> list[Sample]:
                times.append(round(loop.time(), 1))
                await asyncio.sleep(takes)
                return [replace(sample("it"), reason=next(answers))]

            job = replace(
                a_job("it", 30.0, ask, delay=0.0),
                repeats=5.0,
                is_well=None if is_well is None else lambda: is_well(loop.time()),
            )
            running = asyncio.create_task(run([job], store, errors()))
            while len(times) < len(reasons):
                await asyncio.sleep(0.1)
            running.cancel()
            record = store.snapshot(wall=0.0, monotonic=0.0).records["it"]
            return times, record.overruns.get(Probe.HEAD, 0)

        return virtual_time.run(play)

    @pytest.mark.parametrize(
        ("reasons", "times"),
        [
            pytest.param([Reason.OK] * 3, [0.0, 30.0, 60.0], id="all is well"),
            pytest.param(
                [Reason.QUERY_TIMEOUT, Reason.OK, Reason.OK], [0.0, 1.0, 30.0], id="one lost answer"
            ),
            pytest.param(
                [*[Reason.QUERY_TIMEOUT] * 5, Reason.OK, Reason.OK, Reason.OK],
                [0.0, 1.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0],
                id="well again between two ticks",
            ),
            pytest.param(
                [*[Reason.QUERY_TIMEOUT] * 9, Reason.OK],
                [0.0, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0],
                id="beyond a tick",
            ),
            pytest.param(
                [Reason.RATE_LIMITED] * 3, [0.0, 30.0, 60.0], id="a rate limit is not repeated"
            ),
            pytest.param(
                [*[Reason.QUERY_TIMEOUT] * 2, Reason.RATE_LIMITED, Reason.OK, Reason.OK],
                [0.0, 1.0, 5.0, 10.0, 30.0],
                id="a rate limit ends no failure",
            ),
        ],
    )
    def test_when(self, reasons: list[Reason], times: list[float]) -> None:
        assert self.asked_at(reasons) == (times, 0)

    def test_slow_repetitions_are_no_overruns(self) -> None:
        times, overruns = self.asked_at([Reason.NOT_SYNCED] * 5, takes=12.0)
        assert times == [0.0, 12.0, 25.0, 40.0, 55.0]
        assert overruns == 0

    def test_by_what_the_job_says(self) -> None:
        """All answers are good, and what they show is not."""
        forked = lambda now: not 28.0 < now < 41.0  # noqa: E731
        times, _ = self.asked_at([Reason.OK] * 6, forked)
        assert times == [0.0, 30.0, 35.0, 40.0, 60.0, 90.0]

    def test_a_failure_counts_whatever_the_job_says(self) -> None:
        times, _ = self.asked_at(
            [*[Reason.QUERY_TIMEOUT] * 3, Reason.OK, Reason.OK], lambda _: True
        )
        assert times == [0.0, 1.0, 5.0, 10.0, 30.0]


class Played:
    """Jobs on a virtual clock: what was asked, kept, counted and logged."""

    def __init__(self, loop: VirtualLoop) -> None:
        targets = [make_target(name, "toncenter-v2", "primary") for name in ("bad", "good")]
        self.config = Config()
        self.store = Store(targets)
        self.errors = InternalErrors(wall=loop.wall, monotonic=loop.time)
        self.watcher = Watcher(
            self.config, self.store, wall=loop.wall, monotonic=loop.time, errors=self.errors
        )
        self.loop = loop
        self.asked = 0

    def sample(self, target: str, **how: Any) -> Sample:
        now = self.loop.time()
        head = Head(seqno=int(now * 2), root_hash=bytes(32), gen_utime=int(self.loop.wall()))
        made = replace(sample(target), started=self.loop.wall(), finished=now, head=head)
        return replace(made, **how)

    def counted(self, component: Component) -> int:
        return self.errors.counts()[component]

    def results(self, target: str) -> int:
        records = self.store.snapshot(wall=0.0, monotonic=0.0).records
        return sum(records[target].results.values())

    def states(self) -> dict[str, State]:
        verdicts = self.watcher.view.judgement.verdicts
        return {name: verdict.state for name, verdict in verdicts.items()}

    async def run(self, ask: Ask, seconds: float, *, deadline: float = LAST_RESORT) -> None:
        """Run a bad job and a good one."""

        async def bad() -> Sequence[Observation]:
            self.asked += 1
            return await ask()

        async def good() -> Sequence[Observation]:
            return [self.sample("good")]

        jobs = [
            a_job("bad", 5.0, bad, delay=0.0, deadline=deadline),
            a_job("good", 5.0, good, delay=0.0),
        ]
        running = asyncio.create_task(run(jobs, self.store, self.errors))
        await asyncio.wait({running}, timeout=seconds)
        assert not running.done(), "the scheduler has ended"
        running.cancel()
        await asyncio.wait({running})


def play(body: Callable[[Played], Awaitable[None]]) -> list[Any]:
    """Run on a virtual clock; returns what was logged."""

    async def main(loop: VirtualLoop) -> None:
        await body(Played(loop))

    with capture_logs() as lines:
        virtual_time.run(main)
    return [line for line in lines if line["event"] in {"bug in tonwatch", "works again"}]


class TestManyQuestions:
    """A question that hangs delays no other of its job."""

    @staticmethod
    def plan(loop: VirtualLoop, slow: set[str], asked: list[tuple[str, float]]) -> Job:
        def question(name: str) -> Question:
            async def ask() -> Sequence[Observation]:
                asked.append((name, round(loop.time())))
                await asyncio.sleep(35.0 if name in slow else 1.0)
                return [sample("it")]

            return Question(name, ask)

        questions = [question(name) for name in "abcdef"]
        return Job("many", Probe.PAYOUTS, ("it",), 10.0, lambda: questions, 0.0, at_once=2)

    @pytest.mark.parametrize(
        ("slow", "times", "overruns"),
        [
            pytest.param(set(), {"a": [0, 10, 20], "f": [2, 12, 22]}, 0, id="none"),
            pytest.param({"a"}, {"a": [0], "b": [0, 10, 20], "f": [4, 14, 24]}, 2, id="one"),
            pytest.param({"a", "b"}, {"a": [0], "b": [0], "c": [], "f": []}, 2, id="all"),
        ],
    )
    def test_when(self, slow: set[str], times: dict[str, list[float]], overruns: int) -> None:
        asked: list[tuple[str, float]] = []

        async def play(loop: VirtualLoop) -> int:
            store = Store([make_target("it", "toncenter-v2", "primary")])
            job = self.plan(loop, slow, asked)
            running = asyncio.create_task(run([job], store, errors()))
            await asyncio.sleep(29.9)
            running.cancel()
            return store.snapshot(wall=0, monotonic=0).records["it"].overruns.get(job.probe, 0)

        assert virtual_time.run(play) == overruns
        assert {name: [at for each, at in asked if each == name] for name in times} == times


class TestChange:
    """Jobs come and go while others run."""

    def test_unchanged_jobs_are_not_disturbed(self) -> None:
        asked: list[tuple[str, float]] = []

        async def play(loop: VirtualLoop) -> None:
            def job(name: str, takes: float = 0.0) -> Job:
                async def ask() -> Sequence[Observation]:
                    asked.append((name, round(loop.time())))
                    await asyncio.sleep(takes)
                    asked.append((f"{name} ends", round(loop.time())))
                    return ()

                return a_job(name, 10.0, ask, delay=0.0)

            scheduler = Scheduler(Asker(Store(), errors()), Random(1))
            stays, goes, comes = job("stays", 3.0), job("goes", 3.0), job("comes")
            await scheduler.change([stays, goes])
            running = asyncio.create_task(scheduler.run())
            await asyncio.sleep(11.0)
            await scheduler.change([comes, stays])
            await asyncio.sleep(10.0)
            running.cancel()

        virtual_time.run(play)
        assert sorted(asked) == [
            *[("comes", 11), ("comes ends", 11), ("goes", 0), ("goes", 10), ("goes ends", 3)],
            *[("stays", 0), ("stays", 10), ("stays", 20), ("stays ends", 3), ("stays ends", 13)],
        ]

    def test_removed_jobs_end_before_new_ones_begin(self) -> None:
        events: list[str] = []

        async def play(_: VirtualLoop) -> None:
            async def ask_old() -> Sequence[Observation]:
                try:
                    await asyncio.sleep(100.0)
                finally:
                    await asyncio.sleep(0.5)
                    events.append("old ends")
                return ()

            async def ask_new() -> Sequence[Observation]:
                events.append("new begins")
                return ()

            scheduler = Scheduler(Asker(Store(), errors()), Random(1))
            await scheduler.change([a_job("it", 10.0, ask_old, delay=0.0)])
            running = asyncio.create_task(scheduler.run())
            await asyncio.sleep(1.0)
            await scheduler.change([a_job("it", 10.0, ask_new, delay=0.0)])
            await asyncio.sleep(1.0)
            running.cancel()

        virtual_time.run(play)
        assert events == ["old ends", "new begins"]

    @pytest.mark.parametrize("steps", range(8))
    def test_what_a_removed_job_finds_is_not_stored(self, steps: int) -> None:
        """However many steps of the event loop after its answer the job is removed."""

        async def play(__: VirtualLoop) -> None:
            async def ask() -> Sequence[Observation]:
                await answered.wait()
                return (sample("node"),)

            target = make_target("node", "liteserver", "primary")
            answered, store, seen = asyncio.Event(), Store([target]), errors()
            scheduler = Scheduler(Asker(store, seen), Random(1))
            await scheduler.change([a_job("node", 10.0, ask, delay=0.0)])
            running = asyncio.create_task(scheduler.run())
            await asyncio.sleep(1.0)
            answered.set()
            for _ in range(steps):
                await asyncio.sleep(0)
            store.change([target], [], forget=["node"])
            await scheduler.change([])
            assert seen.seen() == ()
            assert store.snapshot(wall=0.0, monotonic=0.0).records["node"].latest == {}
            running.cancel()

        virtual_time.run(play)


class TestFaults:
    """A failure in a job costs that job one sample, and is counted."""

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(RuntimeError("hunter2"), id="a bug"),
            pytest.param(MemoryError(), id="no memory"),
            pytest.param(TimeoutError(), id="an uncaught deadline"),
            pytest.param(ExceptionGroup("", [ValueError()]), id="a group"),
            pytest.param(asyncio.CancelledError(), id="cancelled by itself"),
        ],
    )
    def test_an_exception(self, error: BaseException) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                raise error

            await it.run(ask, 21.0)
            assert it.asked == 5
            assert it.counted(Component.PROBES) == 5
            assert it.results("good") == 5

        [line] = play(body)
        assert (line["component"], line["part"]) == ("probes", "head bad")
        assert type(error).__name__ in line["exception"] or "cancelled" in line["exception"]

    @pytest.mark.parametrize("found", [None, [None], 5, ["text"]], ids=repr)
    def test_an_invalid_result(self, found: Any) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                answer: Sequence[Observation] = found
                return answer

            await it.run(ask, 11.0)
            assert it.asked == 3
            assert sum(it.errors.counts().values()) >= 3
            assert it.results("good") == 3

        play(body)

    def test_it_is_logged_when_it_begins_and_when_it_ends(self) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                if it.loop.time() < 600.0:
                    raise RuntimeError("hunter2")
                return [it.sample("bad")]

            await it.run(ask, 700.0)

        begun, ended = play(body)
        assert "RuntimeError: hunter2" in begun["exception"]
        assert (ended["event"], ended["part"], ended["failures"]) == (
            *("works again", "head bad"),
            120,
        )

    def test_an_intermittent_failure_is_logged_once(self) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                if it.asked % 2:
                    raise RuntimeError("hunter2")
                return [it.sample("bad")]

            await it.run(ask, 3600.0)
            assert it.counted(Component.PROBES) == 360

        assert len(play(body)) == 1

    def test_another_bug_in_the_same_place_is_logged_too(self) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                if it.asked % 2:
                    raise RuntimeError("one")
                return [1 / 0]  # type: ignore[list-item]

            await it.run(ask, 60.0)

        assert [line["exception"].splitlines()[-1] for line in play(body)] == [
            "RuntimeError: one",
            "ZeroDivisionError: division by zero",
        ]

    def test_a_sample_that_cannot_be_stored(self) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                return [it.sample("nobody"), it.sample("bad")]

            await it.run(ask, 11.0)
            assert it.counted(Component.STORE) == 3
            assert it.results("bad") == 3
            assert it.results("good") == 3

        assert [line["component"] for line in play(body)] == ["store"]

    def test_a_bug_inside_a_probe(self) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                with Recording("bad", Probe.HEAD, it.loop.wall) as probe:
                    raise RuntimeError("hunter2")
                return [probe.sample]

            await it.run(ask, 21.0)
            assert it.counted(Component.PROBES) == it.results("bad") == 6  # one is the confirmation

        [line] = play(body)
        assert (line["of"], line["exception"].splitlines()[-1]) == ("bad", "RuntimeError: hunter2")

    def test_a_question_that_never_ends_is_cancelled(self) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                await asyncio.Event().wait()
                return ()

            await it.run(ask, 102.0, deadline=30.0)
            assert it.asked == 3
            assert it.counted(Component.PROBES) == 3
            assert it.results("good") == 21

        [line] = play(body)
        assert "it has not ended within 30 s" in line["exception"]

    def test_a_question_that_ignores_cancellation_is_not_asked_again(self) -> None:
        async def body(it: Played) -> None:
            over = asyncio.Event()

            async def ask() -> Sequence[Observation]:
                while not over.is_set():
                    with suppress(asyncio.CancelledError):
                        await over.wait()
                return [it.sample("bad")]

            running = asyncio.create_task(it.run(ask, 100.0, deadline=30.0))
            await asyncio.sleep(60.0)
            assert it.asked == 1
            assert it.counted(Component.PROBES) > 3
            over.set()
            await asyncio.sleep(10.0)
            assert it.results("bad") > 0
            await running

        play(body)

    def test_a_target_whose_question_fails_does_not_stay_healthy(self) -> None:
        """Its samples become stale: it is unknown, and unready."""

        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                if it.loop.time() > 60.0:
                    raise RuntimeError("hunter2")
                return [it.sample("bad")]

            running = asyncio.create_task(it.run(ask, 100.0))
            looking = asyncio.create_task(it.watcher.run())
            await asyncio.sleep(58.0)
            assert it.states() == {"bad": State.OK, "good": State.OK}
            await asyncio.sleep(5.0 + it.config.probe.stale_after)
            assert it.states() == {"bad": State.UNKNOWN, "good": State.OK}
            assert it.watcher.view.readiness.phase is Phase.UNREADY
            looking.cancel()
            await running

        play(body)

    def test_cancellation_passes_through(self) -> None:
        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                raise SystemExit(3)

            await it.run(ask, 10.0)

        with pytest.raises(SystemExit) as ended:
            play(body)
        assert ended.value.code == 3

    def test_questions_in_progress_close_what_they_opened(self) -> None:
        closed: list[bool] = []

        async def body(it: Played) -> None:
            async def ask() -> Sequence[Observation]:
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0.1)
                    closed.append(True)
                return ()

            await it.run(ask, 1.0)
            assert closed == [True]

        assert play(body) == []
