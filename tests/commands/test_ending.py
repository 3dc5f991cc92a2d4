"""The daemon stops and starts whatever hangs; how it handles signals."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import termios
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from tests.commands.hanging import POOLS
from tests.commands.never_ending import FAULTS
from tests.commands.processes import ENVIRONMENT, get, serving, started, until_status
from tests.configs import configured
from tonwatch.commands import run as daemon
from tonwatch.serve.listener import CannotListen
from tonwatch.simulator.network import Simulator

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.long  # for the most part it waits

WITHIN = 10.0
"""Seconds: more than the end may take, less than it takes where something is waited for."""


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(liteservers=2, providers=1, wallets=1, block_interval=0.1) as running:
        yield running


@pytest.fixture
def content(simulator: Simulator, tmp_path: Path) -> dict[str, Any]:
    """A configuration with a host name, a secret file and counted payouts."""
    told = simulator.config() | {
        "probe": {"interval": "500ms", "timeout": "400ms", "stale_after": "3s"},
        "serve": {"host": "127.0.0.1", "port": 0},
        "readiness": {"drain_delay": "0s"},
        "state_dir": str(tmp_path / "state"),
    }
    told["probe"]["wallet_interval"] = "1500ms"
    told["providers"][0]["api_key_file"] = str(tmp_path / "key")
    told["liteservers"][1]["host"] = "localhost"
    (tmp_path / "key").write_text("a-key")
    return told


@pytest.fixture
def file(tmp_path: Path, content: dict[str, Any]) -> str:
    written = tmp_path / "tonwatch.yaml"
    written.write_text(yaml.safe_dump(content))
    return str(written)


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.05)


async def test_it_ends_while_a_thread_of_every_pool_hangs(file: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.commands.hanging", str(tmp_path), "run", "--config", file),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    try:
        url = await serving(process)
        asked = [asyncio.create_task(get(f"{url}/{path}")) for path in ("metrics", "health")]
        await until(lambda: all((tmp_path / pool).exists() for pool in POOLS))
        assert (await get(f"{url}/live"))[0] == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN):
            _, err = await process.communicate()
        assert process.returncode == 0
        lines = [json.loads(line) for line in err.splitlines()]
        assert lines[-1]["event"] == "stopped"
        assert not [line for line in lines if line["event"] == "bug in tonwatch"]
        await asyncio.gather(*asked, return_exceptions=True)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_check_ends_too(file: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.commands.hanging", str(tmp_path), "check", "--config", file),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 1
    assert b"name resolution timed out" in out
    assert b"the disk does not answer" in out


async def test_pipes_in_the_place_of_files(
    content: dict[str, Any], file: str, tmp_path: Path
) -> None:
    wallet = content["wallets"][0]["name"]
    (tmp_path / "key").unlink()
    (tmp_path / "state").mkdir()
    for path in (tmp_path / "key", tmp_path / "state" / f"{wallet}@native.json"):
        os.mkfifo(path)
    async with started("run", "--config", file) as process:
        url = await serving(process)
        assert process.stderr is not None
        entry: dict[str, Any] = {}
        async with asyncio.timeout(30):
            async for line in process.stderr:
                entry = json.loads(line)
                if "payouts cannot be counted" in entry["event"]:
                    break
        assert entry["reason"] == "a named pipe where a file is expected"
        assert (tmp_path / "state" / f"{wallet}@native.json").is_fifo()
        document = (await get(f"{url}/health?format=json"))[1]
        assert "a named pipe where a file is expected" in document
        assets = json.loads(document)["wallets"][0]["assets"]
        assert [asset["payouts"] for asset in assets if asset["asset"] == "native"] == [None]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN):
            assert await process.wait() == 0


@asynccontextmanager
async def never_ending(
    fault: str, within: float, file: str, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A daemon in which something has begun that never ends."""
    begun = tmp_path / "begun"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.commands.never_ending", str(begun), fault, str(within)),
        *("run", "--config", file),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    try:
        await until(begun.exists)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("fault", FAULTS)
async def test_it_ends_where_the_event_loop_does_not(file: str, tmp_path: Path, fault: str) -> None:
    async with never_ending(fault, 1.0, file, tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN):
            _, err = await process.communicate()
    assert process.returncode == 1
    lines = [json.loads(line) for line in err.splitlines()]
    levels = [line["level"] for line in lines if "did not end in time" in line["event"]]
    assert levels == ["error"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_second_signal_ends_it_at_once(file: str, tmp_path: Path, fault: str) -> None:
    async with never_ending(fault, 3600.0, file, tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(WITHIN):
            _, err = await process.communicate()
    # Two signals at once may arrive in either order.
    assert process.returncode in {128 + signal.SIGTERM, 128 + signal.SIGINT}
    lines = [json.loads(line) for line in err.splitlines()]
    assert "ended at once by a second signal" in {line["event"] for line in lines}


async def test_a_log_that_is_not_read(file: str) -> None:
    reader, writer = os.pipe()
    full = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tonwatch", "run", "--config", file),
        stderr=writer,
        env=ENVIRONMENT,
    )
    os.close(writer)
    try:
        text = b""
        while b"serving" not in text or not text.endswith(b"\n"):
            text += await asyncio.to_thread(os.read, reader, full)
        entries = [json.loads(line) for line in text.splitlines()]
        (url,) = [entry["url"] for entry in entries if entry["event"] == "serving"]
        for _ in range(80):
            process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(WITHIN):
                assert (await get(f"{url}/live"))[0] == 200
        (waiting,) = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))
        assert waiting > full - 400, "the pipe is full"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN):
            assert await process.wait() == 0
    finally:
        os.close(reader)
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE])
async def test_signals_that_change_nothing(file: str, number: signal.Signals) -> None:
    async with started("run", "--config", file) as process:
        url = await serving(process)
        process.send_signal(number)
        await until_status(f"{url}/ready", 200)
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert process.returncode == 0
    heard = [line for line in map(json.loads, err.splitlines()) if line.get("signal")]
    names = [line["signal"] for line in heard]
    assert names == ([] if number == signal.SIGPIPE else [number.name]) + ["SIGTERM"]
    if number == signal.SIGHUP:
        assert "takes a restart" in heard[0]["event"]


async def test_quit_drains_as_the_others_do(content: dict[str, Any], tmp_path: Path) -> None:
    content["readiness"]["drain_delay"] = "1s"
    written = tmp_path / "drains.yaml"
    written.write_text(yaml.safe_dump(content))
    async with started("run", "--config", str(written)) as process:
        url = await serving(process)
        await until_status(f"{url}/ready", 200)
        process.send_signal(signal.SIGQUIT)
        await until_status(f"{url}/ready", 503)
        assert "draining" in (await get(f"{url}/ready"))[1]
        assert await process.wait() == 0


class _Refusing(ThreadPoolExecutor):
    """asyncio's default executor, which must not be used."""

    def submit(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("something runs in the default executor")


async def test_nothing_runs_in_the_default_executor(content: dict[str, Any]) -> None:
    """With names to look up, also its own, a secret file and checkpoints."""
    asyncio.get_running_loop().set_default_executor(_Refusing())
    port = content["providers"][0]["url"].rpartition(":")[2]
    content["providers"][0]["url"] = f"http://localhost:{port}"
    content["serve"]["host"] = "localhost"
    stop, urls = asyncio.Event(), asyncio.Queue[str]()
    running = asyncio.create_task(daemon.run(configured(content), stop, serving=urls.put_nowait))
    url = await urls.get()

    async def counted() -> bool:
        text = (await get(f"{url}/metrics"))[1]
        return "tonwatch_wallet_sent_messages_total{" in text

    async with asyncio.timeout(30):
        while not await counted():
            await asyncio.sleep(0.1)
    document = json.loads((await get(f"{url}/health?format=json"))[1])
    assert {target["name"]: target["state"] for target in document["targets"]} == {
        target["name"]: "ok" for target in content["liteservers"] + content["providers"]
    }
    assert (await get(f"{url}/health?format=html"))[0] == 200
    assert document["internal_errors"] == []
    stop.set()
    await running


async def test_a_listening_host_that_does_not_resolve(content: dict[str, Any]) -> None:
    content["serve"]["host"] = "nowhere.invalid"
    with pytest.raises(CannotListen, match=r"cannot listen on nowhere.invalid port 0: \w+"):
        await daemon.run(configured(content), asyncio.Event())


def test_localhost_resolves() -> None:
    """The tests above need it."""
    assert socket.getaddrinfo("localhost", None)
