"""The ways that CONTRIBUTING describes are those that data takes."""

import asyncio
import importlib
import re
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests import virtual_time
from tests.configs import configured
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.runtime import running
from tonwatch.serve.app import build
from tonwatch.simulator.network import Simulator

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()

LONGEST = 14
"""Functions from the wire to the page."""


def listed(title: str) -> list[str]:
    """The functions that a section lists."""
    section = TEXT.partition(f"### {title}\n")[2].partition("\n###")[0]
    return re.findall(r"^\d+\. `([\w.]+)`", section, re.MULTILINE)


def found(name: str) -> CodeType:
    """The code of a function, by its place in the package.

    Raises:
        AttributeError, ModuleNotFoundError: there is none of that name.
    """
    parts = name.split(".")
    module = next(
        n for n, part in enumerate(parts) if part.lstrip("_")[:1].isupper() or n == len(parts) - 1
    )
    it: Any = importlib.import_module(".".join(["tonwatch", *parts[:module]]))
    for part in parts[module:]:
        it = getattr(it, part)
    code: CodeType = it.__code__
    return code


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> set[CodeType]:
    """What is called while a wallet pays and somebody looks at the page."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

    async def main(loop: VirtualLoop) -> None:
        state_dir = tmp_path_factory.mktemp("state")
        async with Simulator(
            liteservers=1, providers=0, wallets=1, payouts_per_minute=60, clock=loop.wall
        ) as simulator:
            config = configured(simulator.config() | {"state_dir": str(state_dir)})
            async with running(config, wall=loop.wall) as runtime:
                sys.setprofile(note)
                threading.setprofile(note)
                working = asyncio.create_task(runtime.run())
                await asyncio.sleep(40.0)
                app = build(runtime.watcher, lambda: None, runtime.threads, runtime.errors)
                async with TestClient(TestServer(app)) as client:
                    assert (await client.get("/health?format=html")).status == 200
                working.cancel()
                await asyncio.wait({working})
                threading.setprofile(None)
                sys.setprofile(None)

    virtual_time.run(main)
    return seen


@pytest.mark.parametrize("title", ["The way of a sample", "The way of a payout"])
def test_data_takes_the_way_that_is_described(title: str, called: set[CodeType]) -> None:
    names = listed(title)
    assert 10 < len(names) <= LONGEST
    assert [name for name in names if found(name) not in called] == []
