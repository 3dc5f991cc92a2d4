"""The daemon: serves, watches, and leaves in good order."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Final

import structlog

from tonwatch.assembly import assembled
from tonwatch.config import Config
from tonwatch.secrets import keep_fresh
from tonwatch.serve.app import build
from tonwatch.serve.listener import listening
from tonwatch.watch import scheduler

log = structlog.get_logger(__name__)

_SWITCH: Final = 0.0005
"""Seconds after which a thread hands on the interpreter's lock where another waits for it."""


async def run(
    config: Config,
    stop: asyncio.Event,
    *,
    serving: Callable[[str], None] | None = None,
    wall: Callable[[], float] = time.time,
) -> None:
    """Watch and serve until `stop` is set, then drain and return.

    Args:
        config: as `settings.load` returns it.
        stop: set it once to drain and end.
        serving: told the base URL once it answers, before the first probe.
        wall: our clock, Unix seconds.

    Raises:
        CannotListen: the port is taken.
        StateDirError: payouts are to be counted, and books of them cannot be kept.
    """
    async with assembled(config, wall=wall) as parts:
        app = build(parts.watcher, config)
        targets = len(parts.watcher.view.judgement.verdicts)
        async with (
            listening(app, config.serve, targets=targets) as url,
            asyncio.TaskGroup() as group,
        ):
            log.info("serving", url=url, targets=targets)
            if serving is not None:
                serving(url)
            tasks = [
                group.create_task(parts.watcher.run(), name="watcher"),
                group.create_task(
                    scheduler.run(parts.jobs, parts.board, Random()), name="scheduler"
                ),
                group.create_task(keep_fresh(parts.files), name="secrets"),
            ]
            await stop.wait()
            parts.watcher.drain()
            await asyncio.sleep(config.readiness.drain_delay)
            for task in tasks:
                task.cancel()
    log.info("stopped")


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM or SIGINT; a second signal ends the process at once.

    As PID 1 in a container there is no default action to fall back on, so both
    signals are always handled here.
    """
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def spare_the_loop() -> None:
    """Let the garbage collector, and threads, keep the event loop waiting for a shorter time.

    What is imported stays, so that searching it, for 40 ms at a time, finds nothing. Of what is
    made later little forms circles: thousands of wallets are searched a tenth as often.

    While a thread writes /metrics or a page, the loop waits for the interpreter's lock after each
    call into the system, and by default for 5 ms each time.
    """
    sys.setswitchinterval(_SWITCH)
    gc.freeze()
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 10 * old)
