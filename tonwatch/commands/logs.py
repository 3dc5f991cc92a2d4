"""Logging to stderr, as JSON or in colours, one event a line."""

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
"""Maximum of queued lines; more are dropped."""

WRITTEN_WITHIN: Final = 1.0
"""Seconds that `flush`, and so the end of the process, waits at most."""


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
    """Writes lines in a thread of its own: a pipe without a reader delays nothing else.

    Lines keep their order. Where `WAITING` are queued, further ones are dropped until half of them
    are written; then the number of missing lines is logged in that place.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        # Reentrant: the garbage collector may log within another call.
        self._waiting: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._dropped = 0
        self._limit = WAITING
        self._ended = False
        threading.Thread(target=self._work, name="tonwatch-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler of the standard library
            self.handleError(record)
            return
        self._report_dropped(room=WAITING // 2)
        if self._dropped or self._waiting.qsize() >= self._limit:
            self._dropped += 1
        else:
            self._waiting.put(line)

    def flush(self) -> None:
        """Wait for what was logged before, for `WRITTEN_WITHIN` seconds at most."""
        if self._ended:
            return
        self.acquire()
        try:
            self._report_dropped(room=WAITING)
        finally:
            self.release()
        written = threading.Event()
        self._waiting.put(written)
        written.wait(WRITTEN_WITHIN)

    def close(self) -> None:
        """Write what is queued, and then nothing more. Does not wait."""
        self._ended = True
        self._waiting.put(None)
        super().close()

    def _report_dropped(self, room: int) -> None:
        """Log how many lines were dropped, where at most `room` are queued. Needs the lock."""
        if self._dropped and self._waiting.qsize() <= room:
            dropped, self._dropped = self._dropped, 0
            self._limit = WAITING + 1  # this line is never dropped
            log.error("log lines are missing here: they were not read in time", lines=dropped)
            self._limit = WAITING

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            # stderr is closed, or its reader gone.
            with suppress(OSError, ValueError):
                self._write(f"{item}\n")
            # Where the lock is taken, its holder logs or flushes, and reports it itself.
            if self._dropped and self.lock and self.lock.acquire(blocking=False):
                try:
                    self._report_dropped(room=WAITING // 2)
                finally:
                    self.lock.release()

    def _write(self, text: str) -> None:
        descriptor = _descriptor(self._stream)
        if descriptor is None:
            self._stream.write(text)
            return
        # Not through the stream: a hanging write locks it, and Python could not end.
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
