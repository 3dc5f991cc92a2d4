"""Pools of threads for blocking calls, one for each purpose.

Slow DNS must not delay a scrape, nor clients of /health the resolution of names, nor a hanging
disk anything else. asyncio's default executor is one pool for all, and asyncio waits for it at the
end without a limit: it is not used.
"""

import errno
import queue
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from tonwatch.ton.names import Names

_IDLE: Final = 30.0
"""Seconds after which an idle thread ends: slow DNS may leave hundreds."""

T = TypeVar("T")


class Busy(Exception):
    """All threads of a pool are busy and its queue is full, or all threads hang."""


class _Call(Future[T]):
    """One call; cancelling it while it runs gives it up."""

    def __init__(self, given_up: Callable[["Future[Any]"], None]) -> None:
        super().__init__()
        self._given_up = given_up

    def cancel(self) -> bool:
        if super().cancel():
            return True
        self._given_up(self)
        return False


class Threads(Executor):
    """A pool of daemon threads, which do not keep the process from ending.

    `ThreadPoolExecutor` joins its threads when the interpreter ends, without a limit; one that is
    stuck in the kernel (a hung mount, a name server that does not answer) would keep the process
    alive until it is killed. The interpreter does not wait for daemon threads: a caller that needs
    a call to be complete at the end waits for that call.

    Args:
        name: of the threads.
        most: maximum of threads.
        waiting: maximum of queued calls; None for no limit, where the callers are limited.
        spare: threads beyond `most` that replace those in a call that was given up: whose
            future was cancelled while it ran.
    """

    def __init__(self, name: str, most: int, waiting: int | None = None, spare: int = 0) -> None:
        self._name = name
        self._fewest = most
        self._spare = spare
        self._waiting = waiting
        self._running: set[Future[Any]] = set()
        self._given_up: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._threads = 0
        self._calls = 0
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call `fn` in a thread.

        Raises:
            Busy: the queue is full.
            OSError: no thread can be started.
            RuntimeError: the pool has ended.
        """
        future: Future[T] = _Call(self._give_up)
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the {self._name} threads have ended")
            if self._waiting is not None:
                if len(self._given_up) >= self._most:
                    raise Busy(f"all {self._name} threads hang")
                if self._calls >= self._most + self._waiting:
                    raise Busy(f"all {self._name} threads are busy")
            if self._calls >= self._threads and self._threads < self._most:
                self._start()
            self._calls += 1
            self._queue.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Accept no more calls, and drop those that have not begun. Does not wait."""
        del wait  # of Executor's signature
        with self._lock:
            self._closed = True
            with suppress(queue.Empty):
                while cancel_futures:
                    call = self._queue.get_nowait()
                    if call is not None:
                        call[0].cancel()
            for _ in range(self._threads):
                self._queue.put(None)

    @property
    def _most(self) -> int:
        """The current maximum of threads."""
        return self._fewest + min(len(self._given_up), self._spare)

    def _give_up(self, call: Future[Any]) -> None:
        """Mark a running call as given up; it may never end."""
        with self._lock:
            if call not in self._running:
                return
            self._given_up.add(call)
            if not self._closed and self._threads < min(self._calls, self._most):
                with suppress(OSError):  # the next call tries again
                    self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=f"tonwatch-{self._name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise OSError(errno.EAGAIN, "cannot start a thread") from error
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            try:
                call = self._queue.get(timeout=_IDLE)
            except queue.Empty:
                with self._lock:
                    if self._queue.empty():
                        self._threads -= 1
                        return
                continue
            if call is None:
                return
            is_surplus = self._run(*call)
            del call  # do not keep the last result until the next call
            if is_surplus:
                return

    def _run(self, future: Future[T], function: Callable[[], T]) -> bool:
        """Run a call; returns whether its thread was replaced meanwhile and has to end."""
        with self._lock:
            active = future.set_running_or_notify_cancel()
            if active:
                self._running.add(future)
        result: T | None = None
        failure: BaseException | None = None
        try:
            if active:
                result = function()
        except BaseException as error:  # noqa: BLE001 - passed to the caller
            failure = _deliverable(error)
        # Free this thread before the result is available.
        with self._lock:
            self._calls -= 1
            self._running.discard(future)
            self._given_up.discard(future)
            is_surplus = self._threads > self._most
            if is_surplus:
                self._threads -= 1
        if failure is not None:
            future.set_exception(failure)
        elif active:
            future.set_result(cast("T", result))
        return is_surplus


def _deliverable(error: BaseException) -> BaseException:
    """The exception in a form that asyncio can pass to the waiting task.

    With a StopIteration the future would never be done. What is not an Exception would end the
    event loop, or look as if the waiting task had been cancelled.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    failure = RuntimeError(f"a call in a thread raised {type(error).__name__}")
    failure.__cause__ = error
    return failure


@dataclass(frozen=True, slots=True)
class Executors:
    """All pools.

    Attributes:
        names: resolves the host names of targets.
        lookups: its threads for fast names; also resolves `serve.host`.
        scrapes: renders /metrics, one at a time, as they share state. One that hangs is given up
            with its state; `spare` limits how often.
        pages: renders /health.
        secrets: reads secret files, each in one thread at most.
        parsing: parses large answers, one at a time: two would take the interpreter's lock from
            the event loop for twice as long.
    """

    names: Names
    lookups: Threads
    scrapes: Threads
    pages: Threads
    secrets: Threads
    parsing: Threads


@asynccontextmanager
async def running() -> AsyncIterator[Executors]:
    """All pools; on leaving they are shut down without waiting."""
    # The number of unresolvable names that delay no other; a thread that waits for a name server
    # costs little, and is started only where DNS is slow.
    quick, slow = Threads("names", 256), Threads("slow-names", 64)
    made = Executors(
        names=Names(quick, slow),
        lookups=quick,
        scrapes=Threads("scrapes", 1, waiting=8, spare=3),
        pages=Threads("pages", 2, waiting=32),
        secrets=Threads("secrets", 64),
        parsing=Threads("parsing", 1),
    )
    try:
        yield made
    finally:
        made.names.close()
        for pool in (quick, slow, made.scrapes, made.pages, made.secrets, made.parsing):
            pool.shutdown()
