"""A target kind from outside tonwatch: one JSON document with the last block."""

import json
import time
from collections.abc import Iterable
from typing import ClassVar, Literal

from aiohttp import web
from pydantic import BaseModel, ValidationError

from tonwatch.samples.sample import Head, Probe, Recording, Sample
from tonwatch.targets.http_connection import Connection
from tonwatch.targets.http_provider import HttpProviderSection
from tonwatch.targets.kind import Kind, OpenTarget, Regular, Services
from tonwatch.targets.reasons import COMMON_REASONS
from tonwatch.ton.errors import BadAnswer, ProviderError, Reason
from tonwatch.ton.http import Timing


class Toy(HttpProviderSection):
    """Its configuration."""

    tag: ClassVar[str] = "toy"

    kind: Literal["toy"]


class ToyKind(Kind[Toy]):
    """Its kind."""

    name = "toy"
    category = "provider"
    section = Toy
    reasons: ClassVar[dict[Probe, tuple[Reason, ...]]] = {
        Probe.HEAD: (*COMMON_REASONS, Reason.RATE_LIMITED)
    }

    def open(self, section: Toy) -> OpenTarget:
        return OpenToy(section, self.services)


class _LastBlock(BaseModel):
    seqno: int
    root_hash: str
    time: int


def _parse(status: int, body: bytes, _: str | None) -> _LastBlock:
    if status == 429:
        raise ProviderError(Reason.RATE_LIMITED, status, "slow down")
    if status != 200:
        raise ProviderError(Reason.SERVER_ERROR, status, "out of order")
    try:
        return _LastBlock.model_validate_json(body)
    except ValidationError:
        raise BadAnswer("no block") from None


class OpenToy(OpenTarget):
    """One of them."""

    def __init__(self, section: Toy, services: Services) -> None:
        self._name = section.name
        self._services = services
        self._connection = Connection(section, services.files, services.resolve)

    def regular(self) -> Iterable[Regular]:
        yield Regular(Probe.HEAD, self.head, lambda probe: probe.interval)

    async def head(self) -> Sample:
        with Recording(self._name, Probe.HEAD, self._services.wall) as probe:
            timing = Timing()
            http, timeout = self._connection.http, self._services.timeout()
            last = await http.get("last", {}, _parse, timeout, timing)
            probe.head = Head(
                seqno=last.seqno, root_hash=bytes.fromhex(last.root_hash), gen_utime=last.time
            )
            probe.waited = timing.waited
            probe.phases["query"] = timing.query or 0.0
        return probe.sample

    async def close(self) -> None:
        await self._connection.close()


class ToyServer:
    """Its server, with answers set by the test.

    Attributes:
        block: the last block, as `Head` has it.
        status: of its answers.
        asked: how often it was.
    """

    def __init__(self) -> None:
        self.block: dict[str, object] = {
            "seqno": 1,
            "root_hash": "aa" * 32,
            "time": int(time.time()),
        }
        self.status = 200
        self.asked = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, body=json.dumps(self.block).encode())

    async def start(self) -> tuple[web.AppRunner, str]:
        """Listen; returns what ends it, and its URL."""
        app = web.Application()
        app.router.add_get("/api/last", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/api"
