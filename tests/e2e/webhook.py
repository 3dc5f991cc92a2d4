"""The webhook that receives Alertmanager's notifications."""

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
        receiver: the receiver's name in Alertmanager's configuration.
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
        received: all notifications, in order.
        unauthorized: messages without the token.
    """

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Notification] = []
        self.unauthorized = 0
        self._changed = asyncio.Condition()
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
        """Wait until `holds()` is true of the notifications; the caller sets the deadline."""
        async with self._changed:
            await self._changed.wait_for(holds)

    async def _take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.unauthorized += 1
            return web.Response(status=401)
        message: dict[str, Any] = await request.json()
        async with self._changed:
            self.received += (
                Notification(
                    request.match_info["receiver"],
                    alert["status"],
                    alert["labels"],
                    alert["annotations"],
                )
                for alert in message["alerts"]
            )
            self._changed.notify_all()
        return web.Response()
