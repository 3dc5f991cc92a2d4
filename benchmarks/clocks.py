"""What is read off clocks: how long a round takes, and how long an event loop does not turn."""

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
    """Seconds of every round: by the clock, and of this process's CPU."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @contextmanager
    def another(self) -> Iterator[None]:
        """Time what is done inside."""
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def stolen() -> float:
    """Seconds since boot for which a hypervisor gave this machine's processors to another.

    Source: proc_stat(5), `steal`.
    """
    of_all, _, _ = Path("/proc/stat").read_text(encoding="ascii").partition("\n")
    return int(of_all.split()[8]) / os.sysconf("SC_CLK_TCK")


class Turns(selectors.DefaultSelector):
    """Measures the turns of an event loop: what it does from one look at its sockets to the next.

    In CPU time: what other processes take of a small machine is not ours.

    Attributes:
        longest: seconds of the longest turn since this was set to 0.
    """

    longest = 0.0
    _began = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.longest = max(self.longest, time.thread_time() - self._began)
        found = super().select(timeout)
        self._began = time.thread_time()
        return found
