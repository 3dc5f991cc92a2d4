"""An event loop whose clock jumps: real sockets, and no waiting for timers.

When no socket is ready and no thread works for the loop, its clock advances at
once to the next timer. A simulated day of a network on the loopback interface
then takes as long as its computing does, and a run with seeded randomness has
the same times whenever it is repeated.
"""

import asyncio
import os
import selectors
from collections.abc import Callable, Coroutine
from selectors import SelectorKey
from typing import Any, Final, TypeVar

EPOCH: Final = 1_800_000_000.0
"""Unix seconds at which virtual wall clocks begin."""

_LOOKS: Final = 20
"""How often the kernel is asked for late deliveries before the clock may jump."""

_OVERSHOOT: Final = 1e-6
"""Seconds by which a timer is late, as it always is on a real clock: what computes a rest of
1e-17 s to wait from a clock that is never late would wait for ever."""

_BUSY: Final = 1000
"""Steps of the loop in a row in which something is due at once, after which the clock goes on by
as much: a timer that is due is not late, and may set the next one for the same time."""

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """See above. `time` begins at 0."""

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def wall(self) -> float:
        """A wall clock in step with `time`, Unix seconds."""
        return EPOCH + self._now

    @property
    def busy(self) -> bool:
        """Whether a thread works for the loop: what it will say cannot be known yet."""
        return self._threads > 0

    def jump(self, seconds: float) -> None:
        self._now += seconds + _OVERSHOOT

    def run_in_executor(  # type: ignore[override]  # typeshed's TypeVarTuple says no more
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As for any thread the clock stands still: some Pythons give up after a timeout."""
        self._threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._threads -= 1

    def _thread_done(self, _: object) -> None:
        self._threads -= 1


class _Selector(selectors.EpollSelector):
    """Waits for sockets in real time only where a jump of the clock could be wrong."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._stirred = True
        self._steps = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self._stirred = self._stirred or bool(ready)
            self._steps += 1
            if self._steps % _BUSY == 0:
                self._loop.jump(0.0)
            return ready
        self._steps = 0
        if timeout is None or self._loop.busy:
            return super().select(None)
        # Within this machine bytes arrive before the sender's `send` returns, but for the
        # kernel's leave to deliver them a little later. Timers alone send nothing new.
        if self._stirred:
            for _ in range(_LOOKS):
                os.sched_yield()
                ready = super().select(0)
                if ready:
                    return ready
        self._stirred = False
        self._loop.jump(timeout)
        return ready


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run `main` on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))
