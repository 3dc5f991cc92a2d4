"""Fixtures of all tests: a loop that must not block, and clocks that a test moves.

Long tests run first, and a run ends with a list of skipped tests and the reasons.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from tests.programs import REMEDY

# The same examples in every run, and no verdict by how busy the machine is.
settings.register_profile("tonwatch", deadline=None, derandomize=True)
settings.load_profile("tonwatch")


@pytest.fixture(autouse=True)
def _blockbuster() -> Iterator[BlockBuster]:
    """A test fails where tonwatch blocks the event loop."""
    with blockbuster_ctx("tonwatch") as blockbuster:
        yield blockbuster


@dataclass
class Clock:
    """Both clocks of a test: they stand still until `advance`."""

    wall_time: float = 1_800_000_000.0
    monotonic_time: float = 1000.0

    def wall(self) -> float:
        return self.wall_time

    def monotonic(self) -> float:
        return self.monotonic_time

    def advance(self, seconds: float) -> None:
        self.wall_time += seconds
        self.monotonic_time += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fails a test that leaves a task, a file or a socket behind."""
    tasks, files = asyncio.all_tasks(), _open_files()
    yield
    left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    assert not left, f"left behind: {left}"
    assert _open_files() == files, "a file or socket was left open"


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first: in parallel with the others they then end in time."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run, and how to run it."""
    skipped = Counter(
        report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in terminalreporter.getreports("skipped")
    )
    if not skipped:
        return
    terminalreporter.section("not run")
    for reason, number in sorted(skipped.items()):
        terminalreporter.line(f"{number:5} {reason.removeprefix('Skipped: ')}")
    if any(REMEDY in reason for reason in skipped):
        terminalreporter.line(
            "To run those too: `make tools`, as root on Debian or Ubuntu, installs what they need."
        )
