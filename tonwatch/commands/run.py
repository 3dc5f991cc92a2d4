"""``tonwatch run``: the daemon, its signals and its end."""

import argparse
import asyncio
import gc
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final, NoReturn

import structlog

from tonwatch.commands import logs
from tonwatch.commands.options import OK, PROBLEM, Loading
from tonwatch.config.models import Config
from tonwatch.runtime.runtime import running
from tonwatch.serve.app import build
from tonwatch.serve.listener import CannotListen, listening
from tonwatch.state.directory import StateDirError
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.targets.registry import KINDS, Kinds

log = structlog.get_logger(__name__)

_SWITCH: Final = 0.0005
"""Seconds after which a thread releases the interpreter's lock where another waits for it."""


ENDS_WITHIN: Final = 8.0
"""Seconds after draining within which the process ends; all waits at the end are shorter."""

_LOGGED_WITHIN: Final = 2.0
"""Seconds to write the last log line."""

_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

_IGNORED: Final[dict[int, str]] = {
    signal.SIGHUP: "the configuration is not loaded again: that takes a restart",
    signal.SIGUSR1: "this signal means nothing here",
    signal.SIGUSR2: "this signal means nothing here",
}


async def run(
    config: Config,
    stop: asyncio.Event,
    *,
    kinds: Kinds = KINDS,
    serving: Callable[[str], None] | None = None,
    wall: Callable[[], float] = time.time,
) -> None:
    """Watch and serve until `stop` is set, then drain and return.

    Args:
        config: as `loader.load` returns it.
        stop: set it once to drain and end.
        kinds: of targets.
        serving: called with the base URL once it answers, before the first probe.
        wall: local clock, Unix seconds.

    Raises:
        CannotListen: the port is taken.
        StateDirError: state cannot be kept.
    """
    async with running(config, kinds=kinds, wall=wall) as runtime:
        _count_unhandled(runtime.errors)
        app = build(runtime.watcher, lambda: runtime.record, runtime.threads, runtime.errors)
        targets = len(runtime.targets)
        lookups = runtime.threads.lookups
        async with (
            listening(app, config.serve, lookups, runtime.errors, targets=targets) as url,
            asyncio.TaskGroup() as group,
        ):
            log.info("serving", url=url, targets=targets)
            if serving is not None:
                serving(url)
            watching = group.create_task(runtime.run(), name="runtime")
            await stop.wait()
            runtime.watcher.drain()
            await asyncio.sleep(config.readiness.drain_delay)
            watching.cancel()
    log.info("stopped")


def _count_unhandled(errors: InternalErrors) -> None:
    """Count unhandled exceptions of the event loop, which asyncio would only log."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        errors.failed(Component.LOOP, "", context["message"] if error is None else error)

    asyncio.get_running_loop().set_exception_handler(handle)


def stop_on_signals(stop: asyncio.Event, drain_delay: float) -> None:
    """Set `stop` on a terminating signal; a second one ends the process at once.

    PID 1 in a container has no default actions, and elsewhere the default action ends the process
    without draining. So all signals of containers and terminals are handled: SIGTERM, SIGINT
    (Ctrl-C) and SIGQUIT (Ctrl-Backslash) drain. SIGHUP, a reload in other daemons, and SIGUSR1
    and SIGUSR2, a log rotation in some, are logged and change nothing. SIGPIPE is ignored by
    Python: a closed reader is an error of that one write.

    The process ends also where the event loop hangs: where a function never returns, or a
    coroutine ignores its cancellation. Call it in the main thread, with the loop running.

    Args:
        stop: set in the event loop.
        drain_delay: seconds of draining; `ENDS_WITHIN` is added.
    """
    loop = asyncio.get_running_loop()
    # `SimpleQueue.put` is reentrant. A handler runs between any two instructions of the main
    # thread, so it must take no lock, not even the log's.
    endings: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(
        target=_enforce_end,
        args=(endings, min(drain_delay + ENDS_WITHIN, threading.TIMEOUT_MAX)),
        name="tonwatch-end",
        daemon=True,
    ).start()

    def begin(number: int) -> None:
        if not stop.is_set():
            log.info("stopping", signal=signal.Signals(number).name)
            stop.set()

    def on_ending(number: int, _: FrameType | None) -> None:
        endings.put(number)
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(begin, number)

    def note(number: int) -> None:
        log.warning(_IGNORED[number], signal=signal.Signals(number).name)

    def on_other(number: int, _: FrameType | None) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(note, number)

    # Not loop.add_signal_handler: that needs a running loop.
    for ending in _ENDING:
        signal.signal(ending, on_ending)
    for other in _IGNORED:
        signal.signal(other, on_other)


def _enforce_end(endings: queue.SimpleQueue[int], within: float) -> None:
    """After the first signal, end the process with the second one or after `within` seconds."""
    endings.get()
    number = 0
    with suppress(queue.Empty):
        number = endings.get(timeout=within)
    if not number:
        late = "did not end in time: a call never returns, or ignores its cancellation"
        _leave(1, lambda: log.error(late, seconds=within))
    name = signal.Signals(number).name
    _leave(128 + number, lambda: log.warning("ended at once by a second signal", signal=name))


def _leave(code: int, last_line: Callable[[], None]) -> NoReturn:
    """End the process whatever its other threads do. Files are always complete on disk."""

    def log_last_line() -> None:
        last_line()
        logs.flush()

    # The main thread may hang with the log's lock.
    last = threading.Thread(target=log_last_line, daemon=True)
    last.start()
    last.join(_LOGGED_WITHIN)
    os._exit(code)


def reduce_pauses() -> None:
    """Shorten the event loop's pauses by the garbage collector and by threads.

    Imported objects are frozen: collecting them takes 40 ms and finds nothing. Later objects
    rarely form cycles: the oldest generation, with thousands of wallets, is collected a tenth as
    often.

    While a thread renders /metrics or a page, the loop waits for the interpreter's lock after each
    system call, by default for 5 ms.
    """
    sys.setswitchinterval(_SWITCH)
    gc.freeze()
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 10 * old)


def command(options: argparse.Namespace, loading: Loading) -> int:
    """``tonwatch run``; returns the exit code."""
    config = loading.load_to_watch(options)
    logs.configure(config.log)
    reduce_pauses()

    async def until_stopped() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop, config.readiness.drain_delay)
        await run(config, stop)

    try:
        asyncio.run(until_stopped())
    except (CannotListen, StateDirError) as error:
        print(f"tonwatch run: {error}", file=sys.stderr)
        return PROBLEM
    return OK
