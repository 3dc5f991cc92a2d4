"""Where log lines go and how they look: stderr, JSON or colours, one event a line."""

import io
import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Final, TextIO

import structlog

from tonwatch.config.models import Log

log = structlog.get_logger(__name__)

WAITING: Final = 1000
"""Lines that may wait to be written; more are dropped."""

WRITTEN_WITHIN: Final = 1.0
"""Seconds that `flush`, and so the end of the process, waits for lines to be written."""


def configure(config: Log) -> None:
    """Set up structlog, and send the standard library's records the same way."""
    level = logging.getLevelNamesMapping()[config.level.upper()]
    console = config.format == "console" or (config.format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    if not console:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for before in root.handlers:
        if isinstance(before, Writer):
            before.close()
    handler = Writer(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root.handlers[:] = [handler]
    root.setLevel(level)


def flush() -> None:
    """Wait until what was logged is written, for `WRITTEN_WITHIN` seconds at most."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class Writer(logging.Handler):
    """Writes lines in a thread of its own: a pipe that nobody empties holds up nothing else.

    Lines keep their order. Where `WAITING` of them wait, those that follow are dropped, until half
    of them are written; then the log says how many are missing in that place.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        # Its methods may interrupt each other, as when an object that is collected logs something.
        self._waiting: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._dropped = 0
        self._most = WAITING
        self._ended = False
        threading.Thread(target=self._work, name="tonwatch-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler of the standard library
            self.handleError(record)
            return
        self._say_what_is_missing(room=WAITING // 2)
        if self._dropped or self._waiting.qsize() >= self._most:
            self._dropped += 1
        else:
            self._waiting.put(line)

    def flush(self) -> None:
        """Wait for what was logged before, for `WRITTEN_WITHIN` seconds at most."""
        if self._ended:
            return
        self.acquire()
        try:
            self._say_what_is_missing(room=WAITING)
        finally:
            self.release()
        written = threading.Event()
        self._waiting.put(written)
        written.wait(WRITTEN_WITHIN)

    def close(self) -> None:
        """Write what waits, and then nothing more. Does not wait for it."""
        self._ended = True
        self._waiting.put(None)
        super().close()

    def _say_what_is_missing(self, room: int) -> None:
        """Log how many lines were dropped, where no more than `room` wait. Needs the lock."""
        if self._dropped and self._waiting.qsize() <= room:
            dropped, self._dropped = self._dropped, 0
            self._most = WAITING + 1  # this line has room in any case
            log.error("log lines are missing here: nobody read them in time", lines=dropped)
            self._most = WAITING

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            # Where stderr is closed, or its reader gone, there is nobody to say it to.
            with suppress(OSError, ValueError):
                self._write(f"{item}\n")
            # Whoever holds the lock logs something, or waits for us: they say it themselves.
            if self._dropped and self.lock and self.lock.acquire(blocking=False):
                try:
                    self._say_what_is_missing(room=WAITING // 2)
                finally:
                    self.lock.release()

    def _write(self, text: str) -> None:
        descriptor = _descriptor(self._stream)
        if descriptor is None:
            self._stream.write(text)
            return
        # Past the stream: while a write hangs it is locked, and Python could not end.
        left = memoryview(text.encode(errors="backslashreplace"))
        while left:
            left = left[os.write(descriptor, left) :]


def _descriptor(stream: TextIO) -> int | None:
    """Of the file behind a stream; None for one in memory.

    Raises:
        ValueError: the stream is closed.
    """
    try:
        return stream.fileno()
    except io.UnsupportedOperation:
        return None
