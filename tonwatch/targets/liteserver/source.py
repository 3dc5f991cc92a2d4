"""Accounts, transactions and messages over a liteserver."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from pytoniq_core.tl.block import BlockIdExt

from tonwatch.probes.source import Reader
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import LiteServerError, ProofInvalid, Reason, TonError
from tonwatch.ton.liteserver.client import LiteClient
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks

_PIPELINED: Final = 16
"""Concurrent queries on a liteserver's connection."""


class LiteServerSource:
    """A liteserver, on a separate connection from the one whose queries are timed.

    Args:
        name: configured name.
        link: of its own: queries here are pipelined.
        known: blocks known by proofs, shared by all liteservers.
        timeout: returns the seconds for each query.
    """

    proves = True

    def __init__(
        self, name: str, link: Link, known: KnownBlocks, timeout: Callable[[], float]
    ) -> None:
        self.name = name
        self._link = link
        self._known = known
        self._timeout = timeout
        self._opening = asyncio.Lock()

    async def reader(self, seqno: int | None = None) -> Reader:
        timeout = self._timeout()
        async with self._client() as client:
            if seqno is None:
                block = (await client.masterchain_info(timeout)).last
            else:
                block = (await client.lookup_block(seqno, timeout)).id
        return _LiteReader(client, block, self._known, timeout)

    async def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        async with self._client() as client:
            return await client.transactions(address, last, count, self._timeout())

    async def send_message(self, message: bytes) -> None:
        async with self._client() as client:
            await client.send_message(message, self._timeout())

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[LiteClient]:
        """A client on the kept connection, which is dropped where it timed out or failed."""
        async with self._opening:
            client = await self._link.client(self._timeout())
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
        try:
            return await self._client.account(self._block, address, self._known, self._timeout)
        except LiteServerError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        # The target named this block: another server behind its address may not have it yet.
        return await self._client.account(self._block, address, self._known, self._timeout)

    async def run_method(
        self, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        return await self._client.run_method(self._block, address, method, arguments, self._timeout)
