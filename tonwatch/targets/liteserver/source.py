"""Accounts, transactions and messages over a liteserver."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

from pytoniq_core.tl.block import BlockIdExt

from tonwatch.probes.source import Reader
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import LiteServerError, ProofInvalid, Reason, TonError
from tonwatch.ton.liteserver.client import LiteClient, MasterchainInfo
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks

Answer = TypeVar("Answer")

_NOT_THERE: Final = frozenset({Reason.NOT_FOUND, Reason.NOT_READY, Reason.SHARD_LAG})
"""How a query at a block ends at a server that does not have it, or not its shards, yet."""

_PIPELINED: Final = 16
"""Concurrent queries on a liteserver's connection."""


class LiteServerSource:
    """A liteserver, on a separate connection from the one whose queries are timed.

    Args:
        name: configured name.
        link: of its own: queries here are pipelined.
        known: blocks known by proofs, shared by all liteservers.
        timeout: returns the seconds for each query.

    Attributes:
        timeout: see above.
    """

    proves = True

    def __init__(
        self, name: str, link: Link, known: KnownBlocks, timeout: Callable[[], float]
    ) -> None:
        self.name = name
        self._link = link
        self._known = known
        self.timeout = timeout
        self._opening = asyncio.Lock()

    async def reader(self, seqno: int | None = None) -> Reader:
        if seqno is None:
            client, info = await self.last()
            return self.reader_at(client, info.last)
        async with self.connected() as client:
            block = (await client.lookup_block(seqno, self.timeout())).id
        return self.reader_at(client, block)

    async def last(self) -> tuple[LiteClient, MasterchainInfo]:
        """The liteserver's last block, and the connection that reported it.

        Where that shows that the connection is stale, a new one is asked.
        """
        async with self.connected() as client:
            info = await self._last(client)
        if self._link.kept.is_stale:
            async with self.connected() as client:
                info = await self._last(client)
        return client, info

    async def _last(self, client: LiteClient) -> MasterchainInfo:
        info = await client.masterchain_info(self.timeout())
        self._link.saw(info.last.seqno)
        return info

    def reader_at(self, client: LiteClient, block: BlockIdExt) -> Reader:
        """A reader at a block that the liteserver has named, on a connection to it."""
        return _LiteReader(client, block, self._known, self.timeout())

    async def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        async with self.connected() as client:
            return await client.transactions(address, last, count, self.timeout())

    async def send_message(self, message: bytes) -> None:
        async with self.connected() as client:
            await client.send_message(message, self.timeout())

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[LiteClient]:
        """A client on the kept connection, which is dropped where it timed out or failed."""
        async with self._opening:
            client = await self._link.client(self.timeout())
        try:
            yield client
        except (LiteServerError, ProofInvalid):
            raise
        except TonError:
            await self._link.drop()
            raise


class _LiteReader:
    at_once = _PIPELINED

    def __init__(
        self, client: LiteClient, block: BlockIdExt, known: KnownBlocks, timeout: float
    ) -> None:
        self._client = client
        self._block = block
        self._known = known
        self._timeout = timeout

    async def account(self, address: Address) -> AccountAt:
        return await _repeated(
            partial(self._client.account, self._block, address, self._known, self._timeout)
        )

    async def run_method(
        self, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        return await _repeated(
            partial(self._client.run_method, self._block, address, method, arguments, self._timeout)
        )


async def _repeated(query: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer to a query at a block that the target has named itself.

    Another server behind its address may not have that block yet: then it is asked once more.
    """
    try:
        return await query()
    except LiteServerError as error:
        if error.reason not in _NOT_THERE:
            raise
    return await query()
