"""Runs jobs, each at its own interval: fixed grid, jittered start, no pile-up.

A failure costs one sample of one question, and does not affect the others.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tonwatch.config.models import Config
from tonwatch.samples.sample import Probe, Sample
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.ton.errors import Reason
from tonwatch.watch.store import Observation, Store

CONFIRM_AFTER: Final = 1.0
"""Seconds from the start of a first failed probe to its confirmation."""

FIRST_TICK_WITHIN: Final = 1.0
"""Seconds over which first ticks are spread, so that few targets do not wait for an interval."""

LAST_RESORT: Final = 120.0
"""Seconds that a question may take on top of the deadlines of its queries."""

_SHARING: Final = 8
"""Jobs that share a provider's rate limit: one of each kind."""

_CLOSING: Final = 1.0
"""Seconds that a cancelled question has to clean up."""


@dataclass(frozen=True, slots=True)
class Question:
    """One unit of work of a job.

    Attributes:
        name: two questions of one name never run at once.
        ask: runs it once.
        deadline: seconds that `ask` may take. Its queries have deadlines of their own, so only a
            bug reaches it.
    """

    name: str
    ask: Callable[[], Coroutine[Any, Any, Observation | Sequence[Observation]]]
    deadline: float = LAST_RESORT


@dataclass(frozen=True, slots=True)
class Job:
    """Questions that are asked repeatedly.

    Attributes:
        name: unique.
        probe: their probe.
        targets: whose overruns are counted.
        interval: seconds from tick to tick.
        plan: returns the questions of a tick. It must not block.
        delay: seconds before the first tick; None for a random one.
        at_once: maximum of concurrent questions.
        confirms: whether a first failure is confirmed by asking again soon.
        repeats: seconds between repetitions from a failure until all is well, where that is less
            than `interval`; then the job is back on its grid. None for no repetitions.
        is_well: whether all is well that its questions are about; None where only their failures
            count. A failure counts where it `confirms`.
        about: anything else that identifies it: a change restarts the job.
    """

    name: str
    probe: Probe
    targets: tuple[str, ...]
    interval: float
    plan: Callable[[], Sequence[Question]]
    delay: float | None = None
    at_once: int = 1
    confirms: bool = False
    repeats: float | None = None
    is_well: Callable[[], bool] | None = None
    about: Hashable = None


def last_resort(config: Config, questions: int) -> float:
    """Deadline of a question with so many sequential queries, seconds.

    Each may wait for the rate limit of the slowest provider, and then until its own deadline.
    """
    slowest = max((target.pause for target in config.targets), default=0.0)
    return LAST_RESORT + questions * (config.probe.timeout + _SHARING * slowest)


class Asker:
    """Asks questions, once each, and stores the results.

    Args:
        store: gets the results.
        errors: counts internal errors.
    """

    def __init__(self, store: Store, errors: InternalErrors) -> None:
        self._store = store
        self._errors = errors
        self._stuck: dict[str, asyncio.Task[Any]] = {}

    def plan(self, job: Job) -> Sequence[Question]:
        """A job's current questions; none where planning failed, which is counted."""
        planned: list[Question] = []
        with self._errors.guard(_component(job), f"plan of {job.name}"):
            planned.extend(job.plan())
        return planned

    async def ask(self, job: Job, question: Question) -> Sequence[Observation]:
        """The results; none where it failed or did not end, which is counted.

        One that ignores its cancellation is not asked again before it has ended.
        """
        name = question.name
        if name in self._stuck:
            self._failed(job, question, TimeoutError("it still has not ended"))
            return ()
        task = asyncio.create_task(question.ask(), name=name)
        task.add_done_callback(_retrieve)
        try:
            await asyncio.wait({task}, timeout=question.deadline)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING)
            raise
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING)
            if not task.done():
                self._stuck[name] = task
                task.add_done_callback(lambda _: self._stuck.pop(name))
            text = f"it has not ended within {question.deadline:.0f} s"
            self._failed(job, question, TimeoutError(text))
            return ()
        try:
            result = task.result()
            found = (result,) if isinstance(result, Observation) else tuple(result)
        except asyncio.CancelledError:
            # Our own cancellation would have raised above.
            self._failed(job, question, RuntimeError("it cancelled itself"))
            return ()
        except Exception as error:  # noqa: BLE001 - costs this sample alone
            self._failed(job, question, error)
            return ()
        for each in found:
            with self._errors.guard(Component.STORE, job.name):
                self._store.add(each)
        with self._errors.guard(Component.STORE, job.name):
            self._count_bugs(job, found)
        return found

    def overrun(self, job: Job, ticks: int) -> None:
        """Count ticks that the job missed, or at which it was still busy."""
        if job.probe is Probe.PAYOUTS:
            self._store.overrun_of_payouts(ticks)
        for target in job.targets:
            with self._errors.guard(Component.STORE, f"overruns of {job.name}"):
                self._store.overrun(target, job.probe, ticks)

    def _count_bugs(self, job: Job, found: Sequence[Observation]) -> None:
        """Those of which probes have made observations."""
        bugs = [each for each in found if each.bug]
        for each in bugs:
            of = each.target if isinstance(each, Sample) else " ".join(each.key)
            self._errors.failed(_component(job), job.name, each.bug, of=of)
        if not bugs:
            self._errors.worked(_component(job), job.name)

    def _failed(self, job: Job, question: Question, error: BaseException | str) -> None:
        of = question.name if question.name != job.name else ""
        self._errors.failed(_component(job), job.name, error, of=of)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve the exception, or asyncio would log it where no task waits any more."""
    if not task.cancelled():
        task.exception()


def _component(job: Job) -> Component:
    return Component.PAYOUTS if job.probe is Probe.PAYOUTS else Component.PROBES


class Scheduler:
    """Runs jobs, which may change while they run.

    Args:
        asker: asks their questions.
        random: source of the jitter between jobs.
    """

    def __init__(self, asker: Asker, random: Random) -> None:
        self._asker = asker
        self._random = random
        self._jobs: tuple[Job, ...] = ()
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[Job, _Running] = {}

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The current jobs."""
        return self._jobs

    async def change(self, jobs: Sequence[Job]) -> None:
        """Run these jobs from now on. Unchanged ones are not interrupted.

        Returns once all others have ended, or have timed out.
        """
        self._jobs = tuple(jobs)
        if self._group is None:
            return
        ended = [running for job, running in self._running.items() if job not in self._jobs]
        ending = [running.end() for running in ended]
        if ending:
            await asyncio.wait(ending, timeout=2 * _CLOSING)
        self._start(self._group)

    async def run(self) -> None:
        """Run all jobs until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                self._start(group)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def _start(self, group: asyncio.TaskGroup) -> None:
        """Start the jobs that are not running."""
        self._running = {job: it for job, it in self._running.items() if job in self._jobs}
        for job in self._jobs:
            if job in self._running:
                continue
            # A few jobs start within a second; many are spread further.
            spread = min(job.interval, max(FIRST_TICK_WITHIN, len(self._jobs) * 0.02))
            delay = self._random.uniform(0, spread) if job.delay is None else job.delay
            self._running[job] = _Running(job, self._asker, group, delay)


class _Running:
    """A job that runs in `group`, with its first tick after `delay` seconds."""

    def __init__(self, job: Job, asker: Asker, group: asyncio.TaskGroup, delay: float) -> None:
        self._job = job
        self._asker = asker
        self._questions: set[asyncio.Task[None]] = set()
        self._waiting: list[Question] = []
        self._asking: set[str] = set()
        self._extra: set[str] = set()
        self._failing: set[str] = set()
        self._task = group.create_task(self._repeat(delay), name=job.name)

    def end(self) -> asyncio.Task[None]:
        """Cancel the job; nothing is stored from now on. Returns the task to wait for."""
        self._task.cancel()
        # The group would cancel them one step of the event loop later.
        for question in self._questions:
            question.cancel()
        return self._task

    async def _repeat(self, delay: float) -> None:
        """Ask what is planned at each tick, and between two while not all is well."""
        job, loop = self._job, asyncio.get_running_loop()
        tick = loop.time() + delay
        between = math.inf
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(min(tick, between) - loop.time())
                if between < tick:
                    between, _ = next_tick(between, job.repeats or job.interval, loop.time())
                    if not (self._waiting or self._asking or self._is_well()):
                        self._begin(group, extra=True)
                    continue
                between = tick + (job.repeats or math.inf)
                tick, missed = next_tick(tick, job.interval, loop.time())
                missed += bool(self._waiting or self._asking - self._extra)
                if missed:
                    self._asker.overrun(job, missed)
                self._begin(group)

    def _begin(self, group: asyncio.TaskGroup, *, extra: bool = False) -> None:
        """Ask what is planned, and go on with what is still waiting."""
        job = self._job
        if not self._waiting:
            planned = self._asker.plan(job)
            self._waiting = [each for each in planned if each.name not in self._asking]
            self._waiting.reverse()
            self._extra.update(each.name for each in self._waiting if extra)
        while self._waiting and len(self._asking) < job.at_once:
            first = self._waiting.pop()
            self._asking.add(first.name)
            task = group.create_task(self._ask_all(first), name=f"{job.name}: {first.name}")
            self._questions.add(task)
            task.add_done_callback(self._questions.discard)

    def _is_well(self) -> bool:
        """Whether there is nothing to repeat."""
        job = self._job
        if job.confirms and self._failing:
            return False
        return job.is_well is None or job.is_well()

    async def _ask_all(self, question: Question) -> None:
        """Ask a question, and then those that are waiting."""
        while True:
            await self._ask(question)
            self._asking.discard(question.name)
            if not self._waiting:
                return
            question = self._waiting.pop()
            self._asking.add(question.name)

    async def _ask(self, question: Question) -> None:
        loop, name = asyncio.get_running_loop(), question.name
        started = loop.time()
        found = await self._asker.ask(self._job, question)
        if self._job.confirms and not _is_well(found) and name not in self._failing:
            # One lost answer changes no state: confirm a failure before the next tick.
            self._extra.add(name)
            await asyncio.sleep(started + CONFIRM_AFTER - loop.time())
            found = await self._asker.ask(self._job, question)
        self._extra.discard(name)
        if not _is_well(found):
            self._failing.add(name)
        elif not _is_throttled(found):
            # A rate limit does not show that a failure has ended.
            self._failing.discard(name)


def _is_well(found: Sequence[Observation]) -> bool:
    """Whether there is no failure to confirm."""
    samples = (each for each in found if isinstance(each, Sample))
    return all(sample.ok or sample.reason is Reason.RATE_LIMITED for sample in samples)


def _is_throttled(found: Sequence[Observation]) -> bool:
    return any(isinstance(each, Sample) and each.reason is Reason.RATE_LIMITED for each in found)


def next_tick(tick: float, interval: float, now: float) -> tuple[float, int]:
    """The next tick of the grid that is not past, and how many were missed."""
    missed = max(0, math.ceil((now - tick) / interval) - 1)
    return tick + (missed + 1) * interval, missed
