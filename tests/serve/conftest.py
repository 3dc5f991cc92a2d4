"""Stages, and a real HTTP client before the real application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from tests.conftest import Clock
from tests.serve.stage import Stage
from tonwatch.serve.app import build
from tonwatch.system import executors

Client = TestClient[Request, Application]


@pytest.fixture
def stage(clock: Clock) -> Stage:
    return Stage(clock)


@asynccontextmanager
async def served(stage: Stage) -> AsyncIterator[Client]:
    """A client before the application that shows what is on `stage`."""
    async with (
        executors.running() as threads,
        TestClient(TestServer(build(stage.watcher, threads, stage.watcher.errors))) as made,
    ):
        yield made


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    async with served(stage) as made:
        yield made
