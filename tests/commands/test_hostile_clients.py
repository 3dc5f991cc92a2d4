"""A real daemon with few descriptors, and more silent clients than it has."""

import asyncio
import json
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from tests.commands.processes import get, until_status
from tests.serve.scraping import Scrape
from tonwatch.simulator.network import Simulator

DESCRIPTORS = 256
SILENT = 400


@asynccontextmanager
async def running(config: dict[str, Any], folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """A daemon that may have `DESCRIPTORS` open; yields its URL and its log."""
    file, log = folder / "tonwatch.yaml", folder / "log"
    file.write_text(yaml.safe_dump(config))
    limited = f'ulimit -n {DESCRIPTORS}; exec "$0" "$@"'
    with log.open("wb") as written:
        process = await _started(limited, file, written)
    try:
        async with asyncio.timeout(15):
            while not (urls := [line["url"] for line in lines(log) if line["event"] == "serving"]):
                await asyncio.sleep(0.05)
        yield urls[0], log
    finally:
        process.terminate()
        await process.wait()


async def _started(limited: str, config: Path, log: IO[bytes]) -> asyncio.subprocess.Process:
    command = ("-m", "tonwatch", "run", "--config", str(config))
    environment = {name: text for name, text in os.environ.items() if "TONWATCH" not in name}
    return await asyncio.create_subprocess_exec(
        "sh", "-c", limited, sys.executable, *command, stderr=log, env=environment
    )


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


async def scraped(url: str) -> Scrape:
    return Scrape((await get(f"{url}/metrics"))[1])


def silent_client(number: int, port: int) -> socket.socket:
    """Connected from one of a few addresses, and silent."""
    return socket.create_connection(
        ("127.0.0.1", port), source_address=(f"127.0.1.{1 + number % 5}", 0)
    )


@pytest.mark.timeout(180)
async def test_silent_clients_do_not_disturb_probes(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most == resource.RLIM_INFINITY or most > SILENT + DESCRIPTORS
    async with Simulator(liteservers=1, providers=1, block_interval=0.1) as simulator:
        config = simulator.config() | {
            "probe": {
                "interval": "2s",
                "timeout": "1900ms",
                "stale_after": "10s",
                "connect_interval": "2s",
            },
            "serve": {"host": "127.0.0.1", "port": 0},
            "readiness": {"drain_delay": "0s"},
        }
        async with running(config, tmp_path) as (url, log):
            await until_status(f"{url}/ready", 200)
            async with asyncio.timeout(15):
                while (await scraped(url)).values("tonwatch_target_up") != [1, 1]:
                    await asyncio.sleep(0.05)
            port = int(url.rpartition(":")[2])
            with ExitStack() as clients:
                for number in range(SILENT):
                    clients.enter_context(await asyncio.to_thread(silent_client, number, port))
                for _ in range(30):
                    assert await get(f"{url}/live") == (200, "alive\n")
                    assert (await get(f"{url}/ready"))[0] == 200
                    assert (await scraped(url)).values("tonwatch_target_up") == [1, 1]
                    await asyncio.sleep(0.1)
                scrape = await scraped(url)
                assert scrape.value("process_open_fds") < DESCRIPTORS - 20
                assert scrape.value("tonwatch_http_connections") > 100
                refused = "tonwatch_http_connections_refused_total"
                assert scrape.value(refused, refusal="displaced") > SILENT - DESCRIPTORS
                assert scrape.value(refused, refusal="not_accepted") == 0
            async with asyncio.timeout(10):
                connections = SILENT
                while connections > 2:
                    scrape = await scraped(url)
                    connections = int(scrape.value("tonwatch_http_connections"))
            assert scrape.values("tonwatch_probe_overruns_total", probe="head") == [0, 0]
            assert (await get(f"{url}/ready"))[0] == 200
        assert [line["event"] for line in lines(log) if line["level"] == "error"] == []
        assert log.stat().st_size < 20_000
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("soft", "hard", "now"),
    [
        pytest.param(100, 300, 300, id="raised to what is allowed"),
        pytest.param(300, 300, 300, id="all there is"),
    ],
)
async def test_the_descriptor_limit(soft: int, hard: int, now: int) -> None:
    script = f"ulimit -Sn {soft}; ulimit -Hn {hard}; exec {sys.executable} -c '{_PRINT}'"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1].split() == [str(now), str(now), str(hard)]


_PRINT = (
    "import resource; from tonwatch.system.descriptors import raise_limit;"
    "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
)
