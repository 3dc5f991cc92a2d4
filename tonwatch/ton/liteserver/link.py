"""A kept connection to one liteserver: opened when needed, replaced when lost or too old."""

import asyncio
from collections.abc import Callable
from typing import Final

from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.kept import Kept
from tonwatch.ton.liteserver.client import LiteClient
from tonwatch.ton.names import Resolve, addresses_only
from tonwatch.ton.parsing import Parsing

MAX_FRAME: Final = 1024 * 1024
"""Bytes; the queries about blocks have answers of a few KiB."""

_GRACE: Final = 30.0
"""Seconds for which a replaced connection stays open: queries may still use it."""


class Link:
    """A liteserver's address, and the connection kept to it.

    Attributes:
        fresh: whether the connection of the last `client` was opened for it.
        kept: when the kept connection is to be replaced.

    Args:
        host: name or address.
        port: TCP port.
        server_key: returns the 32-byte public key; called at each connect, since
            a node writes its key file only when it first starts. Raises
            `ConnectError` (``key_unavailable``) while there is none.
        resolve: finds the addresses of `host`; without it `host` must be an address.
        max_frame: bytes of the longest answer.
        parsing: parses answers that may be large.
    """

    def __init__(
        self,
        host: str,
        port: int,
        server_key: Callable[[], bytes],
        resolve: Resolve = addresses_only,
        max_frame: int = MAX_FRAME,
        parsing: Parsing | None = None,
    ) -> None:
        self._max_frame = max_frame
        self._parsing = parsing
        self._host = host
        self._port = port
        self._server_key = server_key
        self._resolve = resolve
        self.fresh = False
        self.kept = Kept(f"{host} {port}")
        self._connection: AdnlConnection | None = None
        self._replaced: AdnlConnection | None = None
        self._replaced_at = 0.0
        self._dropped = 0

    @property
    def dropped_answers(self) -> int:
        """Late or unsolicited answers since the link was made."""
        still_open = (each for each in (self._connection, self._replaced) if each is not None)
        return self._dropped + sum(each.dropped for each in still_open)

    async def open(self, timeout: float) -> AdnlConnection:
        """A new connection that the caller closes, apart from the kept one."""
        return await AdnlConnection.open(
            self._host,
            self._port,
            self._server_key(),
            timeout=timeout,
            max_frame=self._max_frame,
            resolve=self._resolve,
        )

    async def client(self, timeout: float) -> LiteClient:
        """A client on the kept connection, which is opened within `timeout` where needed.

        Raises:
            ConnectError: no connection could be made.
        """
        now = asyncio.get_running_loop().time()
        if self._replaced is not None and now >= self._replaced_at + _GRACE:
            await self._close_replaced()
        connection = self._connection
        if connection is not None and connection.alive and self.kept.is_due(now):
            await self._close_replaced()
            self._replaced, self._replaced_at = connection, now
            self._connection = connection = None
        self.fresh = connection is None or not connection.alive
        if connection is None or not connection.alive:
            await self._close_kept()
            self._connection = connection = await self.open(timeout)
            self.kept.opened(connection.opened)
        return LiteClient(connection, self._parsing)

    def saw(self, seqno: int | None) -> None:
        """The kept connection has reported this last block, or none: it may have to go."""
        self.kept.saw(seqno, asyncio.get_running_loop().time())

    async def drop(self) -> None:
        """Close the kept connection; the next `client` opens another."""
        await self._close_kept()
        await self._close_replaced()

    async def _close_kept(self) -> None:
        connection, self._connection = self._connection, None
        await self._close(connection)

    async def _close_replaced(self) -> None:
        connection, self._replaced = self._replaced, None
        await self._close(connection)

    async def _close(self, connection: AdnlConnection | None) -> None:
        if connection is not None:
            self._dropped += connection.dropped
            await connection.close()
