"""Fixtures for the tests of the wire."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest


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
