"""Log lines are written by a thread of their own: in order, without blocking."""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import pytest
import structlog

from tonwatch.commands import logs
from tonwatch.config.models import Log

log = structlog.get_logger(__name__)


@pytest.fixture(autouse=True)
def left_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, settings = root.handlers[:], root.level, structlog.get_config()
    yield
    for handler in root.handlers:
        if isinstance(handler, logs.Writer):
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**settings)


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
        os.close(reader)  # ends a write that hangs


def entries(reader: int, last: str) -> list[dict[str, Any]]:
    """What is read from a pipe, up to a line."""
    found: list[dict[str, Any]] = []
    with open(reader, closefd=False) as lines:
        for line in lines:
            found.append(json.loads(line))
            if found[-1]["event"] == last:
                return found
    raise AssertionError("the pipe has ended")


def test_a_full_pipe(pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """It blocks nothing; later the log says where lines are missing, and how many."""
    reader, stream = pipe
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logs, "WRITTEN_WITHIN", 0.01)
    logs.configure(Log(level="info", format="json"))
    numbers = 5000
    for number in range(numbers):
        log.info("line", number=number, filling="." * 100)
    logs.flush()
    found = entries(reader, "log lines are missing here: they were not read in time")
    *lines, missing = found
    assert [line["number"] for line in lines] == list(range(len(lines)))
    assert logs.WAITING <= len(lines) < numbers
    assert missing["lines"] == numbers - len(lines)
    log.info("and on it goes")
    assert len(entries(reader, "and on it goes")) == 1


def test_the_number_is_logged_when_there_is_room_again(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when nothing else is logged any more."""
    reader, stream = pipe
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(Log(level="error", format="json"))
    for number in range(5000):
        log.error("line", number=number, filling="." * 100)
    *lines, missing = entries(reader, "log lines are missing here: they were not read in time")
    assert missing["lines"] + len(lines) == 5000


@pytest.mark.parametrize(("form", "start"), [("json", "{"), ("console", "\x1b[")])
def test_how_lines_look(form: Any, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(Log(level="info", format=form))
    log.info("hello")
    logging.getLogger("other").warning("there")
    logs.flush()
    text = stream.getvalue()
    assert text.startswith(start)
    assert text.index("hello") < text.index("there")
    assert text.count("\n") == 2


def test_a_reader_that_has_gone(pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is lost with it; the next one is written."""
    reader, stream = pipe
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(Log(level="info", format="json"))
    new, into = os.pipe()
    os.dup2(new, reader)
    log.info("to nobody")
    logs.flush()
    os.dup2(into, stream.fileno())
    os.close(into)
    log.info("to the next one")
    assert len(entries(new, "to the next one")) == 1
    os.close(new)
