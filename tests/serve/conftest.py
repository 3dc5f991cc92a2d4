"""Stages, and a real HTTP client before the real application."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from tests.conftest import Clock
from tests.serve.stage import Stage
from tonwatch.serve.app import build

Client = TestClient[Request, Application]


@pytest.fixture
def stage(clock: Clock) -> Stage:
    return Stage(clock)


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    async with TestClient(TestServer(build(stage.watcher, stage.config))) as made:
        yield made
