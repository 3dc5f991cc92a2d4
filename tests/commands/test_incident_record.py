"""The record of incidents of real processes, one of which is killed."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import yaml

from tests.commands.processes import get, serving, started
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.network import Simulator


async def recorded(url: str, query: str) -> list[dict[str, Any]]:
    document = json.loads((await get(f"{url}/incidents?{query}"))[1])
    found: list[dict[str, Any]] = document["incidents"]
    return found


async def test_what_lasted_when_it_was_killed(tmp_path: Path) -> None:
    async with Simulator(liteservers=2, providers=0, wallets=0) as simulator:
        settings = {
            "state_dir": str(tmp_path / "state"),
            "probe": {"interval": "500ms", "timeout": "400ms", "stale_after": "3s"},
            "serve": {"host": "127.0.0.1", "port": 0},
            "readiness": {"drain_delay": "0s"},
            "log": {"format": "json"},
        }
        file = tmp_path / "tonwatch.yaml"
        file.write_text(yaml.safe_dump(simulator.config() | settings))
        await simulator.set_fault("node-1", Fault.REFUSE)
        async with started("run", "--config", str(file)) as process, asyncio.timeout(30):
            url = await serving(process)
            while not (lasting := await recorded(url, "cause=node_down")):
                await asyncio.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL
        [before] = lasting
        assert (before["until"], before["cut_off"]) == (None, False)
        await simulator.clear()
        async with started("run", "--config", str(file)) as process, asyncio.timeout(30):
            url = await serving(process)
            [after] = await recorded(url, "cause=node_down")
            assert (after["until"], after["cut_off"]) == (after["seen"], True)
            assert {name: after[name] for name in ("id", "since", "sentence", "target")} == {
                name: before[name] for name in ("id", "since", "sentence", "target")
            }
            health = json.loads((await get(f"{url}/health?format=json"))[1])
            assert health["history"][0]["cause"] == "node_down"
            page = (await get(f"{url}/health?format=html"))[1]
            assert before["sentence"] in page
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
