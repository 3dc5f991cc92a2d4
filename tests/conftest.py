"""What every test gets: a loop that must not block, and clocks that a test moves by hand."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

# The same examples in every run, and no verdict by how busy the machine is.
settings.register_profile("tonwatch", deadline=None, derandomize=True)
settings.load_profile("tonwatch")


@pytest.fixture(autouse=True)
def _blockbuster() -> Iterator[BlockBuster]:
    """A test fails where our code blocks the event loop."""
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
