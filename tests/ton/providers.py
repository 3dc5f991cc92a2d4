"""HTTP providers for tests: toncenter as it should be, and whatever else a test sends."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from aiolimiter import AsyncLimiter

from tests.ton.peers import HOST
from tests.ton.peers import Peer as Connection
from tonwatch.ton.errors import TonError
from tonwatch.ton.toncenter import (
    MasterchainInfo,
    Timing,
    ToncenterClient,
    open_session,
)

TIMEOUT: Final = 5.0
ROOT_HASH: Final = bytes(range(32))
ZEROSTATE: Final = bytes(range(32, 64))
KEY: Final = "0123456789abcdef-secret-key"

Json = dict[str, Any]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def block(*, seqno: Any = 100, root_hash: Any = None, workchain: Any = -1) -> Json:
    return {
        "@type": "ton.blockIdExt",
        "workchain": workchain,
        "shard": "-9223372036854775808",
        "seqno": seqno,
        "root_hash": base64.b64encode(ROOT_HASH).decode() if root_hash is None else root_hash,
        "file_hash": base64.b64encode(ROOT_HASH).decode(),
    }


def info(**last: Any) -> Json:
    zerostate = block(seqno=0, root_hash=base64.b64encode(ZEROSTATE).decode())
    return {
        "@type": "blocks.masterchainInfo",
        "last": block(**last),
        "state_root_hash": base64.b64encode(ROOT_HASH).decode(),
        "init": zerostate,
        "@extra": "1700000000.0:0:0.5",
    }


def header(seqno: Any = 100, gen_utime: Any = 1_700_000_000) -> Json:
    return {"@type": "blocks.header", "id": block(seqno=seqno), "gen_utime": gen_utime}


def ok(result: Any) -> bytes:
    return json.dumps({"ok": True, "result": result}).encode()


def failed(error: str, code: int) -> bytes:
    return json.dumps({"ok": False, "error": error, "code": code}).encode()


def always(status: int, body: bytes, **headers: str) -> Handler:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return handler


async def healthy(request: web.BaseRequest) -> web.Response:
    answers = {"getMasterchainInfo": info(), "getBlockHeader": header()}
    return web.Response(body=ok(answers[request.path.rpartition("/")[2]]))


@asynccontextmanager
async def client_of(
    url: str, *, api_key: Callable[[], str | None] = lambda: None, limiter: Any = None
) -> AsyncIterator[ToncenterClient]:
    async with open_session() as session:
        yield ToncenterClient(url, session, limiter or AsyncLimiter(1000, 1), api_key)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """An HTTP server that answers everything by `handler`; its API's URL."""
    async with RawTestServer(handler, host=HOST) as server:
        yield str(server.make_url("/api/v2"))


async def ask(url: str, *, timeout: float = TIMEOUT, api_key: str | None = None) -> MasterchainInfo:
    async with client_of(url, api_key=lambda: api_key) as client:
        return await client.masterchain_info(timeout, Timing())


async def failure(url: str, *, timeout: float = TIMEOUT, api_key: str | None = None) -> TonError:
    with pytest.raises(TonError) as caught:
        await ask(url, timeout=timeout, api_key=api_key)
    return caught.value


def raw(answer: bytes, *, then: str = "close") -> Callable[[Connection], Awaitable[None]]:
    """A server that reads a request and writes `answer`, whatever that is."""

    async def script(peer: Connection) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.write(answer)
        await peer.writer.drain()
        if then == "reset":
            peer.writer.transport.abort()
        elif then == "wait":
            await peer.until_closed()

    return script


HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
