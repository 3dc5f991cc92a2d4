"""A provider that speaks toncenter's API v2, with faults on command.

Shapes of answers are those of toncenter's own servers (``ton-http-api`` and its
OpenAPI document), their habits included: the health check always says "OK".
"""

import asyncio
import base64
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from aiohttp import web

from tonwatch.simulator.cells import MASTERCHAIN, WHOLE_SHARD, BlockId
from tonwatch.simulator.chain import Chain
from tonwatch.simulator.faults import Fault
from tonwatch.simulator.target import Target

_PREFIX: Final = "/api/v2/"
_CLOSING: Final = 1.0
"""Seconds that requests under way may take to end when the server closes."""

Json = dict[str, Any]


class Refusal(Exception):
    """An answer that is not ``ok``: the status and the whole body."""

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.body = body
        super().__init__(body)


class Toncenter(Target):
    """One provider of a chain.

    Args:
        api_key: the X-API-Key that requests must carry; None accepts all.
        requests_per_second: how many it answers within any second; None for no limit.

    The other arguments are those of `Target`.
    """

    kind: ClassVar = "toncenter-v2"
    can: ClassVar = frozenset(
        {
            Fault.REFUSE,
            Fault.HANG,
            Fault.SLOW,
            Fault.GARBAGE,
            Fault.LAG,
            Fault.STALL,
            Fault.WRONG_NETWORK,
            Fault.THROTTLE,
            Fault.UNAUTHORIZED,
            Fault.BAD_JSON,
            Fault.DROP_MID_FRAME,
        }
    )

    def __init__(
        self,
        name: str,
        chain: Chain,
        *,
        foreign: Chain | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        requests_per_second: int | None = None,
    ) -> None:
        super().__init__(name, chain, foreign=foreign, host=host, port=port)
        self.api_key = api_key
        self._limit = requests_per_second
        self._answered: deque[float] = deque()
        self._http: web.Server | None = None
        # Set, and replaced, when the fault changes: ends what a request waits for.
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """What a client is configured with, up to and without the method."""
        return f"http://{self.host}:{self.port}{_PREFIX.rstrip('/')}"

    async def _listen(self, port: int) -> asyncio.Server:
        if self._http is None:
            self._http = web.Server(self._handle, handler_cancellation=True, access_log=None)
        return await asyncio.get_running_loop().create_server(self._http, self.host, port)

    def _fault_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        if self.suffers(Fault.REFUSE) is not None:
            self._abort_connections()

    async def _close_connections(self) -> None:
        if self._http is None:
            return
        self._abort_connections()
        await self._http.shutdown(_CLOSING)
        self._http = None

    def _abort_connections(self) -> None:
        for connection in self._http.connections if self._http is not None else ():
            if connection.transport is not None:
                connection.transport.abort()

    # One request.

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._wait_as_told()
        if self.suffers(Fault.GARBAGE) is not None:
            return self._cut(request, secrets.token_bytes(512))
        status, body = self._answer(request)
        data = body.encode()
        if self.suffers(Fault.BAD_JSON) is not None:
            data = data[: len(data) // 2]
        if self.suffers(Fault.DROP_MID_FRAME) is not None:
            head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(data)}\r\n\r\n"
            return self._cut(request, head.encode() + data[: len(data) // 2])
        return web.Response(status=status, body=data, content_type="application/json")

    async def _wait_as_told(self) -> None:
        """Hang or be slow; a fault that changes meanwhile is felt at once."""
        while self.suffers(Fault.HANG) is not None:
            await self._changed.wait()
        delay = self.suffers(Fault.SLOW)
        if delay:
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                pass  # the delay is over, which is what was waited for

    def _cut(self, request: web.BaseRequest, data: bytes) -> web.Response:
        """Send raw bytes and close, whatever HTTP would have wanted next."""
        if request.transport is not None:
            request.transport.write(data)
            request.transport.close()
        # aiohttp needs an answer; the connection that it would go to is closed.
        return web.Response()

    def _answer(self, request: web.BaseRequest) -> tuple[int, str]:
        try:
            method = _METHODS.get(request.path.removeprefix(_PREFIX))
            if method is None or not request.path.startswith(_PREFIX):
                raise Refusal(404, {"detail": "Not Found"})
            if request.method != "GET":
                raise Refusal(405, {"detail": "Method Not Allowed"})
            self._admit(request)
            return 200, json.dumps({"ok": True, "result": method(self, request.query)})
        except Refusal as refusal:
            return refusal.status, json.dumps(refusal.body)

    def _admit(self, request: web.BaseRequest) -> None:
        """Check the API key and the rate limit, in this order as toncenter does."""
        key = request.headers.get("X-API-Key")
        wrong = self.api_key is not None and key != self.api_key
        if wrong or self.suffers(Fault.UNAUTHORIZED) is not None:
            text = "API key does not exist"
            raise Refusal(401, {"ok": False, "result": text, "code": 401})
        if not self._within_limit() or self.suffers(Fault.THROTTLE) is not None:
            raise Refusal(429, {"ok": False, "result": "Ratelimit exceed", "code": 429})

    def _within_limit(self) -> bool:
        if self._limit is None:
            return True
        now = asyncio.get_running_loop().time()
        while self._answered and self._answered[0] <= now - 1:
            self._answered.popleft()
        if len(self._answered) >= self._limit:
            return False
        self._answered.append(now)
        return True


# The methods.


def _get_masterchain_info(provider: Toncenter, _: Mapping[str, str]) -> Json:
    head = provider.view().head
    return {
        "@type": "blocks.masterchainInfo",
        "last": _block_id(head.id),
        "state_root_hash": _base64(head.state_hash),
        # A zerostate has no shard of its own; tonlib writes 0.
        "init": _block_id(provider.chain.zerostate) | {"shard": "0"},
    }


def _get_block_header(provider: Toncenter, query: Mapping[str, str]) -> Json:
    workchain, shard = _integer(query, "workchain"), _integer(query, "shard")
    seqno = _integer(query, "seqno")
    found = provider.find(seqno)
    block = found.shard if found is not None and workchain != MASTERCHAIN else found
    if block is None or block.id.workchain != workchain or shard != WHOLE_SHARD:
        shard_name = f"({workchain},{shard % (1 << 64):x})"
        text = f"LITE_SERVER_NOTREADY: cannot find block {shard_name} seqno={seqno}: "
        known = provider.view().head.seqno
        text += f"ltdb: block not found (last known masterchain block: {known})"
        raise Refusal(500, {"ok": False, "error": text, "code": 500})
    header = block.header
    return {
        "@type": "blocks.header",
        "id": _block_id(block.id),
        "global_id": header.global_id,
        "version": 0,
        "flags": 1,
        "after_merge": False,
        "after_split": False,
        "before_split": False,
        "want_merge": True,
        "want_split": False,
        "validator_list_hash_short": 0,
        "catchain_seqno": 0,
        "min_ref_mc_seqno": header.min_ref_mc_seqno,
        "is_key_block": False,
        "prev_key_block_seqno": 0,
        "start_lt": str(header.start_lt),
        "end_lt": str(header.end_lt),
        "gen_utime": header.gen_utime,
        "prev_blocks": [_block_id(block.prev.id)],
    }


def _get_consensus_block(provider: Toncenter, _: Mapping[str, str]) -> Json:
    head = provider.view().head
    return {"consensus_block": head.seqno, "timestamp": head.produced}


def _healthcheck(_: Toncenter, __: Mapping[str, str]) -> str:
    return "OK"


_METHODS: Final[dict[str, Callable[[Toncenter, Mapping[str, str]], Json | str]]] = {
    "getMasterchainInfo": _get_masterchain_info,
    "getBlockHeader": _get_block_header,
    "getConsensusBlock": _get_consensus_block,
    "healthcheck": _healthcheck,
}


def _block_id(block: BlockId) -> Json:
    return {
        "@type": "ton.blockIdExt",
        "workchain": block.workchain,
        "shard": str(WHOLE_SHARD),
        "seqno": block.seqno,
        "root_hash": _base64(block.root_hash),
        "file_hash": _base64(block.file_hash),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _integer(query: Mapping[str, str], name: str) -> int:
    try:
        return int(query[name])
    except (KeyError, ValueError):
        text = f"{name}: an integer is required"
        raise Refusal(422, {"ok": False, "error": text, "code": 422}) from None
