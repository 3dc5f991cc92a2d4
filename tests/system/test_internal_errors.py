"""Internal errors: counted by component, logged when they begin and when they end."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.conftest import Clock
from tonwatch.system.internal_errors import QUIET, Component, InternalErrors


@pytest.fixture
def errors(clock: Clock) -> InternalErrors:
    return InternalErrors(wall=clock.wall, monotonic=clock.monotonic)


def fail(errors: InternalErrors, part: str = "it", error: Exception | None = None) -> None:
    with errors.guard(Component.JUDGE, part):
        raise error or RuntimeError("hunter2")


def test_nothing_has_failed_at_the_start(errors: InternalErrors) -> None:
    assert errors.seen() == ()
    assert errors.counts() == dict.fromkeys(Component, 0)


def test_the_record_of_a_component(errors: InternalErrors, clock: Clock) -> None:
    began = clock.wall_time
    for part in ("one", "two"):
        fail(errors, part)
        clock.advance(5.0)
    [error] = errors.seen()
    assert (error.component, error.count, error.ongoing) == (Component.JUDGE, 2, True)
    assert (error.since, error.last) == (began, began + 5.0)


def test_it_ends_when_every_part_has_worked_for_long_enough(
    errors: InternalErrors, clock: Clock
) -> None:
    fail(errors, "one")
    clock.advance(QUIET - 1.0)
    fail(errors, "two")
    clock.advance(1.0)
    with capture_logs() as lines:
        for part in ("one", "two"):
            with errors.guard(Component.JUDGE, part):
                pass
        assert [(line["event"], line["part"]) for line in lines] == [("works again", "one")]
        assert errors.seen()[0].ongoing
        clock.advance(QUIET)
        assert errors.seen()[0].ongoing, "that nothing was tried is no proof"
        errors.worked(Component.JUDGE, "two")
    [error] = errors.seen()
    assert (error.count, error.ongoing) == (2, False)


def test_a_new_failure_has_a_new_start(errors: InternalErrors, clock: Clock) -> None:
    fail(errors)
    clock.advance(QUIET)
    errors.worked(Component.JUDGE, "it")
    clock.advance(1000.0)
    with capture_logs() as lines:
        fail(errors)
    assert len(lines) == 1
    assert errors.seen()[0].since == clock.wall_time
    assert errors.seen()[0].count == 2


@pytest.mark.parametrize(
    "ending", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()]
)
def test_cancellation_and_exit_pass_through(errors: InternalErrors, ending: BaseException) -> None:
    with pytest.raises(type(ending)), errors.guard(Component.JUDGE):
        raise ending
    assert errors.seen() == ()


def test_without_a_traceback_failures_differ_by_their_text(errors: InternalErrors) -> None:
    with capture_logs() as lines:
        for words in ("a task was lost", "a handle was lost", "a task was lost"):
            errors.failed(Component.LOOP, "", words)
    assert [line["exception"] for line in lines] == ["a task was lost", "a handle was lost"]


def test_many_failing_places_are_rate_limited(errors: InternalErrors) -> None:
    with capture_logs() as lines:
        for number in range(1000):
            errors.failed(Component.LOOP, "", f"{number} is lost")
    assert len(lines) == 20
    assert errors.counts()[Component.LOOP] == 1000


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "error", [_Unprintable(), RecursionError(), ExceptionGroup("", [OSError()])]
)
def test_any_exception_can_be_logged(errors: InternalErrors, error: Any) -> None:
    with capture_logs() as lines:
        fail(errors, error=error)
    assert type(error).__name__ in lines[0]["exception"]
