"""``tonwatch healthcheck`` finds a running daemon, whatever host that listens on."""

import asyncio
import http.client
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from structlog.testing import capture_logs

from tests.configs import load
from tonwatch import cli
from tonwatch.commands import run as daemon

TARGET = {"name": "node", "host": "127.0.0.1", "port": 1, "key": "58" + "66" * 31}


def ipv6_here() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def link_local() -> str | None:
    """An address of this machine that needs its interface to be named."""
    try:
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        digits, _, _, scope, flags, interface = line.split()
        if scope == "20" and not int(flags, 16) & 0x40:  # of a link, and no longer tentative
            return f"{ipaddress.IPv6Address(bytes.fromhex(digits))}%{interface}"
    return None


needs_ipv6 = pytest.mark.skipif(not ipv6_here(), reason="the loopback of this machine has no IPv6")


def free_port() -> int:
    """Free at all addresses of this machine a moment ago."""
    family = socket.AF_INET6 if ipv6_here() else socket.AF_INET
    with socket.create_server(
        ("", 0), family=family, dualstack_ipv6=family == socket.AF_INET6
    ) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def config_file(tmp_path: Path) -> Callable[..., str]:
    def write(**serve: Any) -> str:
        file = tmp_path / "tonwatch.yaml"
        content = {"liteservers": [TARGET], "serve": serve, "readiness": {"drain_delay": "0s"}}
        file.write_text(yaml.safe_dump(content))
        return str(file)

    return write


@asynccontextmanager
async def running(file: str) -> AsyncIterator[str]:
    """The daemon, and the URL that it says it serves on."""
    config = await asyncio.to_thread(load, Path(file))
    stop, said = asyncio.Event(), asyncio.Event()
    urls: list[str] = []

    def serving(url: str) -> None:
        urls.append(url)
        said.set()

    task = asyncio.create_task(daemon.run(config, stop, serving=serving))
    task.add_done_callback(lambda _: said.set())
    await said.wait()
    if not urls:
        await task
    yield urls[0]
    stop.set()
    await task


async def healthcheck(file: str) -> int:
    return await asyncio.to_thread(cli.main, ["healthcheck", "--config", file])


def opened(url: str) -> str:
    """What is at /live; `http.client`, because aiohttp's client loses the interface's name."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(unquote(parts.hostname or ""), parts.port, timeout=5)
    connection.request("GET", "/live")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "0",
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "localhost",
        "LOCALHOST",
        "",
        "*",
        pytest.param("::", marks=needs_ipv6),
        pytest.param("[::]", marks=needs_ipv6),
        pytest.param("::0", marks=needs_ipv6),
        pytest.param("0:0:0:0:0:0:0:0", marks=needs_ipv6),
        pytest.param("::1", marks=needs_ipv6),
        pytest.param("0::0:1", marks=needs_ipv6),
        pytest.param(
            link_local() or "",
            marks=pytest.mark.skipif(link_local() is None, reason="no link has IPv6 here"),
            id="link-local",
        ),
    ],
)
async def test_every_listening_host(
    config_file: Callable[..., str], capsys: pytest.CaptureFixture[str], host: str
) -> None:
    file = config_file(host=host, port=free_port())
    # The daemon runs in this process: what it logs would stand in the same output.
    with capture_logs():
        async with running(file) as url:
            assert await asyncio.to_thread(opened, url) == "alive\n"
            code = await healthcheck(file)
        assert (code, *capsys.readouterr()) == (0, "alive\n", "")


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("0.0.0.0", ["no answer from 127.0.0.1:2: "]),
        ("::", ["no answer from [::1]:2: "]),
        ("", ["127.0.0.1:2: ", "[::1]:2: "]),
        ("no-such-host.invalid", ["serve.host no-such-host.invalid: "]),
    ],
)
def test_no_daemon(
    config_file: Callable[..., str], capsys: pytest.CaptureFixture[str], host: str, said: list[str]
) -> None:
    code = cli.main(["healthcheck", "--config", config_file(host=host, port=2)])
    text = capsys.readouterr().err
    assert code == 1
    assert [each for each in said if each not in text] == []
    assert len(text.splitlines()) == 1


def test_a_free_port_is_not_known(
    config_file: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["healthcheck", "--config", config_file(port=0)]) == 1
    assert "with serve.port 0 the daemon takes any free port" in capsys.readouterr().err


def test_a_server_that_hangs_up(
    config_file: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        code = cli.main(["healthcheck", "--config", config_file(port=server.getsockname()[1])])
        thread.join()
    assert code == 1
    assert "no answer from 127.0.0.1:" in capsys.readouterr().err
