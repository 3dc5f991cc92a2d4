"""What this machine lacks is not blamed on the peer."""

import errno
import os
import socket
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.targets.toncenter_v2.providers import failure
from tests.ton.peers import HOST, SERVER_KEY
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.errors import ConnectError, Reason
from tonwatch.ton.local_resources import exhausted

LACKS: Final = {
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "fs.file-max",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "network buffers",
    errno.EADDRNOTAVAIL: "ip_local_port_range",
    errno.EAGAIN: "ulimit -u",
}


@pytest.mark.parametrize(("number", "word"), LACKS.items(), ids=map(errno.errorcode.get, LACKS))
def test_what_is_exhausted(number: int, word: str) -> None:
    error = OSError(number, os.strerror(number))
    assert word in str(exhausted(error))
    wrapped = RuntimeError("around it")
    wrapped.__cause__ = error
    error.__cause__ = wrapped  # a circle
    assert word in str(exhausted(wrapped))


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("bug"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        OSError(errno.ENETUNREACH, "unreachable"),
        OSError("Multiple exceptions"),
        socket.gaierror(socket.EAI_NONAME, "not known"),
        socket.gaierror(socket.EAI_AGAIN, "try again"),
        TimeoutError(),
    ],
)
def test_what_is_not(error: BaseException | None) -> None:
    assert exhausted(error) is None


def test_names() -> None:
    assert "memory" in str(exhausted(socket.gaierror(socket.EAI_MEMORY, "no memory")))


@pytest.mark.parametrize("number", LACKS, ids=map(errno.errorcode.get, LACKS))
@pytest.mark.parametrize("step", ["resolve", "connect"])
async def test_connections(step: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    async def resolve(host: str, port: int) -> list[Any]:
        del host
        return await fails() if step == "resolve" else [(2, 1, 6, "", (HOST, port))]

    monkeypatch.setattr("tonwatch.ton.adnl.connection.start_connection", fails)
    monkeypatch.setattr("aiohappyeyeballs.start_connection", fails)
    with pytest.raises(ConnectError) as caught:
        await AdnlConnection.open("node.test", 1, SERVER_KEY, timeout=5.0, resolve=resolve)
    overhttp = await failure("http://node.test:1", resolve=resolve)
    for error in (caught.value, overhttp):
        assert error.reason is Reason.LOCAL_RESOURCES
        assert LACKS[number] in error.detail


WITHOUT_DESCRIPTORS: Final = """
import asyncio, json, os, resource, sys

from aiolimiter import AsyncLimiter

from tests.ton.peers import HOST, SERVER_KEY, echo, Server
from tonwatch.system import executors
from tonwatch.targets.toncenter_v2 import probes as toncenter
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.targets.liteserver import probes
from tonwatch.ton.http import HttpClient, open_session
from tonwatch.ton.liteserver.link import Link

async def main():
    async with executors.running() as threads, open_session(threads.names.resolve) as session:
        resolve = threads.names.resolve
        held = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        found = []
        for host in (HOST, "node.invalid"):
            link = Link(host, 1, lambda: SERVER_KEY, resolve)
            asked = {"timeout": 5.0, "wall": lambda: 0.0}
            found.append(await probes.head("node", link, **asked))
            found.append(await probes.connect("node", link, patience=5.0, **asked))
            http = HttpClient(f"http://{host}:1", session, AsyncLimiter(100, 1), lambda: None)
            found.append(await toncenter.head("it", ToncenterClient(http), **asked))
        for each in held:
            os.close(each)
        print(json.dumps([[sample.reason, sample.detail] for sample in found]))

asyncio.run(main())
"""


def test_a_process_without_file_descriptors() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    for word in (Reason.LOCAL_RESOURCES, "ulimit -n"):
        assert done.stdout.count(word) == 6, done.stdout
