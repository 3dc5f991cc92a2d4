"""A kept connection to one liteserver: opened when needed, replaced when lost."""

from collections.abc import Callable
from typing import Final

from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.liteserver.client import LiteClient
from tonwatch.ton.names import Resolve, addresses_only

_MAX_FRAME: Final = 1024 * 1024
"""Bytes; the queries sent over a link have answers of a few KiB."""


class Link:
    """A liteserver's address, and the connection kept to it.

    Attributes:
        fresh: whether the connection of the last `client` was opened for it.

    Args:
        host: name or address.
        port: TCP port.
        server_key: returns the 32-byte public key; called at each connect, since
            a node writes its key file only when it first starts. Raises
            `ConnectError` (``key_unavailable``) while there is none.
        resolve: finds the addresses of `host`; without it `host` must be an address.
    """

    def __init__(
        self,
        host: str,
        port: int,
        server_key: Callable[[], bytes],
        resolve: Resolve = addresses_only,
    ) -> None:
        self._host = host
        self._port = port
        self._server_key = server_key
        self._resolve = resolve
        self.fresh = False
        self._connection: AdnlConnection | None = None
        self._dropped = 0

    @property
    def dropped_answers(self) -> int:
        """Late or unsolicited answers since the link was made."""
        return self._dropped + (self._connection.dropped if self._connection else 0)

    async def open(self, timeout: float) -> AdnlConnection:
        """A new connection that the caller closes, apart from the kept one."""
        return await AdnlConnection.open(
            self._host,
            self._port,
            self._server_key(),
            timeout=timeout,
            max_frame=_MAX_FRAME,
            resolve=self._resolve,
        )

    async def client(self, timeout: float) -> LiteClient:
        """A client on the kept connection, which is opened within `timeout` where needed.

        Raises:
            ConnectError: no connection could be made.
        """
        self.fresh = self._connection is None or not self._connection.alive
        if self._connection is None or not self._connection.alive:
            await self.drop()
            self._connection = await self.open(timeout)
        return LiteClient(self._connection)

    async def drop(self) -> None:
        """Close the kept connection; the next `client` opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._dropped += connection.dropped
            await connection.close()
