"""A liteserver for the benchmarks: prepared answers, as fast as Python allows.

It runs in a process of its own, and is fast enough not to distort the comparison:
answers are encoded beforehand, and all queries of one read are answered by one
encryption and one write.

Run alone (``python -m benchmarks.server`` for recorded answers, ``benchmarks.network`` for
wallets) it prints a line of JSON with two ports, and for each line on stdin the seconds of
each single query since. The ports differ in how they treat ``waitMasterchainSeqno``, which
pytoniq's client always has pending in the background: one never answers it, as a node
does until the next block, the other answers an error.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pytoniq_core.crypto.ciphers import Client

from tonwatch.ton.adnl import wire

HOST: Final = "127.0.0.1"
IDENTITY: Final = Client(bytes(range(32)))
SERVER_KEY: Final[bytes] = IDENTITY.ed25519_public.encode()

_RECORDED: Final = Path(__file__).parents[1] / "tests/ton/fixtures/liteserver-v2025.10.jsonl"
_LITE_QUERY: Final = bytes.fromhex("df068c79")
_WAIT: Final = bytes.fromhex("92b8eaba")  # liteServer.waitMasterchainSeqno
_ERROR: Final = bytes.fromhex("48e1a9bb")  # liteServer.error


def recorded_answers() -> dict[bytes, bytes]:
    """Bodies of ADNL queries, and the bodies of their answers."""
    answers: dict[bytes, bytes] = {}
    for line in _RECORDED.read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        query = _LITE_QUERY + wire.tl_bytes(bytes.fromhex(pair["query"]))
        answers.setdefault(query, bytes.fromhex(pair["answer"]))
    return answers


class _Peer(asyncio.Protocol):
    def __init__(self, tails: dict[bytes, bytes], *, hold: bool, spent: list[float]) -> None:
        self._tails = tails
        self._hold = hold
        self._spent = spent
        self._session: wire.Session | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        began = time.perf_counter()
        assert self._transport is not None
        if self._session is None:
            packet, data = data[: wire.HANDSHAKE_SIZE], data[wire.HANDSHAKE_SIZE :]
            self._session = wire.accept_session(packet, IDENTITY)
            self._transport.write(self._session.seal(b""))
        replies = [self._reply(payload) for payload in self._session.feed(data)]
        answers = [reply for reply in replies if reply]
        if answers:
            self._transport.write(self._session.seal(*answers))
        if len(answers) == 1:
            self._spent.append(time.perf_counter() - began)

    def _reply(self, payload: bytes) -> bytes:
        if payload[:4] == wire.PING:
            return wire.PONG + payload[4:]
        body = payload[36:]
        tail = self._tails.get(body)
        if tail is None:
            query, _ = wire.read_tl_bytes(body, 0)
            if query[:4] != _LITE_QUERY or _WAIT not in query[:12]:
                raise LookupError(f"not recorded: {query.hex()}")
            if self._hold:
                return b""
            error = _ERROR + (652).to_bytes(4, "little") + wire.tl_bytes(b"timeout")
            tail = wire.tl_bytes(error)
        return wire.ANSWER + payload[4:36] + tail


async def serve(answers: Mapping[bytes, bytes], **about: Any) -> None:
    """Answer until stdin ends.

    Args:
        answers: as `recorded_answers`.
        about: printed with the ports.
    """
    loop = asyncio.get_running_loop()
    tails = {wire.tl_bytes(query): wire.tl_bytes(answer) for query, answer in answers.items()}
    spent: list[float] = []
    servers = [
        await loop.create_server(lambda hold=hold: _Peer(tails, hold=hold, spent=spent), HOST)  # type: ignore[misc]  # mypy cannot infer defaults of lambdas
        for hold in (False, True)
    ]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps({"ports": ports, **about}), flush=True)
    done = asyncio.Event()

    def read() -> None:
        while sys.stdin.readline():
            print(json.dumps(spent), flush=True)
            spent.clear()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=read, daemon=True).start()
    await done.wait()
    for server in servers:
        server.close()


@dataclass(frozen=True, slots=True)
class Running:
    """The server's process.

    Attributes:
        port: answers an error to ``waitMasterchainSeqno``.
        holding_port: never answers it.
        about: what it printed with its ports.
    """

    port: int
    holding_port: int
    process: subprocess.Popen[str]
    about: Mapping[str, Any] = field(default_factory=dict)

    def spent(self) -> list[float]:
        """The server's own seconds for each single query since the last call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        spent: list[float] = json.loads(self.process.stdout.readline())
        return spent


@contextmanager
def running(module: str = "benchmarks.server") -> Iterator[Running]:
    """The server in a process of its own, stopped on leaving."""
    with subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        about = json.loads(process.stdout.readline())
        port, holding_port = about.pop("ports")
        yield Running(port, holding_port, process, about)
        # It ends when its stdin is closed.


if __name__ == "__main__":
    asyncio.run(serve(recorded_answers()))
