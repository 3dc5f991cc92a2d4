"""Clocks: durations of rounds, and of iterations of an event loop."""

import gc
import os
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Rounds:
    """Seconds of every round: wall time, and CPU time of this process."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time the block as a round."""
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def stolen() -> float:
    """Seconds since boot that a hypervisor took from this machine's processors.

    Source: proc_stat(5), `steal`.
    """
    total, _, _ = Path("/proc/stat").read_text(encoding="ascii").partition("\n")
    return int(total.split()[8]) / os.sysconf("SC_CLK_TCK")


class LoopIterations(selectors.DefaultSelector):
    """Measures the iterations of an event loop: from one select() to the next.

    In CPU time, which other processes on a small machine do not affect.

    Attributes:
        longest: seconds of the longest iteration since this was set to 0.
    """

    longest = 0.0
    _began = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.longest = max(self.longest, time.thread_time() - self._began)
        found = super().select(timeout)
        self._began = time.thread_time()
        return found
