"""HTTP providers for tests: a correct toncenter, and any other answer."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from aiolimiter import AsyncLimiter
from hypothesis import strategies as st

from tests.ton.peers import HOST
from tests.ton.peers import Peer as Connection
from tonwatch.targets.toncenter_v2.client import MasterchainInfo, ToncenterClient
from tonwatch.ton.cells.cell import Cell, boc
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.errors import TonError
from tonwatch.ton.http import HttpClient, Timing, open_session
from tonwatch.ton.names import Resolve, addresses_only
from tonwatch.ton.parsing import Parsing

TIMEOUT: Final = 5.0
ROOT_HASH: Final = bytes(range(32))
ZEROSTATE: Final = bytes(range(32, 64))
KEY: Final = "0123456789abcdef-secret-key"

Json = dict[str, Any]
LAST: Final = TransactionId(47_000_001, bytes(range(100, 132)))
"""An account's last transaction."""


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(
        [
            [[], []],
            [[[], []]],
            [{}, {}],
            [None, None],
            nested(400),
            10**400,
            -(10**30),
            2**63,
            2**64,
            1.5e300,
            float("nan"),
            float("-inf"),
            "\ud800",
            "9" * 5000,
            "٣",
            "num",
            "-0x0",
            "AAAA",
            "A" * 44,
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
"""Any JSON at all, and what is known to be awkward."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def b64(value: Cell | bytes) -> str:
    return base64.b64encode(boc(value) if isinstance(value, Cell) else value).decode()


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


def name_of(found: TransactionId | None) -> Json:
    lt, hash_ = found or (0, bytes(32))
    return {"@type": "internal.transactionId", "lt": str(lt), "hash": b64(hash_)}


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
    url: str,
    *,
    api_key: Callable[[], str | None] = lambda: None,
    limiter: Any = None,
    resolve: Resolve = addresses_only,
    parsing: Parsing | None = None,
) -> AsyncIterator[ToncenterClient]:
    async with open_session(resolve) as session:
        yield ToncenterClient(
            HttpClient(url, session, limiter or AsyncLimiter(1000, 1), api_key, parsing=parsing)
        )


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """An HTTP server that answers everything by `handler`; its API's URL."""
    async with RawTestServer(handler, host=HOST) as server:
        yield str(server.make_url("/api/v2"))


async def ask(
    url: str,
    *,
    timeout: float = TIMEOUT,
    api_key: str | None = None,
    resolve: Resolve = addresses_only,
) -> MasterchainInfo:
    async with client_of(url, api_key=lambda: api_key, resolve=resolve) as client:
        return await client.masterchain_info(timeout, Timing())


async def failure(url: str, **how: Any) -> TonError:
    with pytest.raises(TonError) as caught:
        await ask(url, **how)
    return caught.value


def raw(answer: bytes, *, then: str = "close") -> Callable[[Connection], Awaitable[None]]:
    """A server that reads a request and writes `answer` as is."""

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


class Asked:
    """A provider with these answers in turn; records verb, query and body of requests."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, dict[str, str], Any]] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        sent = json.loads(body) if body else None
        method = f"{request.method} {request.path.rpartition('/')[2]}"
        self.requests.append((method, dict(request.query), sent))
        status, answer = self.answers.pop(0)
        return web.Response(status=status, body=answer)


@asynccontextmanager
async def answering(
    *results: Any, parsing: Parsing | None = None
) -> AsyncIterator[tuple[Asked, ToncenterClient]]:
    """A client of a provider with these results, or statuses and bodies, in turn."""
    asked = Asked(*(item if isinstance(item, tuple) else (200, ok(item)) for item in results))
    async with serving(asked) as url, client_of(url, parsing=parsing) as client:
        yield asked, client


async def error_of(question: Awaitable[object]) -> TonError:
    with pytest.raises(TonError) as caught:
        await question
    return caught.value
