"""Scenes, and a real HTTP client of the real application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from tests.conftest import Clock
from tests.serve.scene import Scene
from tonwatch.serve.app import Record, build
from tonwatch.system import executors

Client = TestClient[Request, Application]


@pytest.fixture
def scene(clock: Clock) -> Scene:
    return Scene(clock)


@asynccontextmanager
async def served(scene: Scene, record: Record | None = None) -> AsyncIterator[Client]:
    """A client of the application that serves the view of `scene`, and a record of incidents."""
    async with (
        executors.running() as threads,
        TestClient(
            TestServer(build(scene.watcher, lambda: record, threads, scene.watcher.errors))
        ) as made,
    ):
        yield made


@pytest.fixture
async def client(scene: Scene) -> AsyncIterator[Client]:
    async with served(scene) as made:
        yield made
