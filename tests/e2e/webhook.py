"""Who is called: a webhook that takes what Alertmanager sends."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

TOKEN: Final = "let me in"


@dataclass(frozen=True)
class Notification:
    """One alert in one message.

    Attributes:
        receiver: the name that Alertmanager's configuration gives who is told.
        status: ``firing`` or ``resolved``.
    """

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.labels["alertname"]

    def fits(self, **labels: str) -> bool:
        return all(self.labels.get(name) == value for name, value in labels.items())


class Webhook:
    """Listens inside ``async with``; every receiver has a path of its own.

    Attributes:
        url: what a receiver's name is appended to.
        told: everything, in order.
        strangers: messages without the token.
    """

    def __init__(self) -> None:
        self.url = ""
        self.told: list[Notification] = []
        self.strangers = 0
        self._news = asyncio.Condition()
        app = web.Application()
        app.router.add_post("/{receiver}", self._take)
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` of what has been told; the caller sets the deadline."""
        async with self._news:
            await self._news.wait_for(holds)

    async def _take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.strangers += 1
            return web.Response(status=401)
        message: dict[str, Any] = await request.json()
        async with self._news:
            self.told += (
                Notification(
                    request.match_info["receiver"],
                    alert["status"],
                    alert["labels"],
                    alert["annotations"],
                )
                for alert in message["alerts"]
            )
            self._news.notify_all()
        return web.Response()
