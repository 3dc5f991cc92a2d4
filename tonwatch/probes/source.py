"""Where accounts are read: liteservers and providers, asked in the same words."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

from pytoniq_core.tl.block import BlockIdExt

from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import LiteServerError, ProofInvalid, Reason, TonError
from tonwatch.ton.http import Timing
from tonwatch.ton.liteserver.client import LiteClient
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks

_PIPELINED: Final = 16
"""Questions open at a time on a liteserver's connection."""


class Reader(Protocol):
    """A source that is ready to answer, at one block where it lets us choose.

    Every question raises `TonError`.

    Attributes:
        at_once: questions that may be open at a time.
    """

    at_once: int

    async def account(self, address: Address) -> AccountAt: ...

    async def run_method(
        self, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult: ...


class Source(Protocol):
    """A target that accounts can be read from. Every question raises `TonError`.

    Attributes:
        name: its configured name.
        proves: it answers with proofs.
    """

    name: str
    proves: bool

    async def reader(self, seqno: int | None = None) -> Reader:
        """Get ready to read.

        Args:
            seqno: of the masterchain block to read at; None for the newest.

        Raises:
            TonError: it cannot be reached, or does not have that block.
        """
        ...

    async def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        """Up to `count` of an account's transactions from `last` on back, newest first."""
        ...

    async def send_message(self, message: bytes) -> None:
        """Send an external message, a bag of cells; returns where it was taken."""
        ...


class LiteSource:
    """A liteserver, on a connection apart from the one whose answers are timed.

    Args:
        name: configured name.
        link: of its own: questions here are pipelined.
        known: what block proofs have shown, shared by all liteservers.
        timeout: seconds for each question.
    """

    proves = True

    def __init__(self, name: str, link: Link, known: KnownBlocks, timeout: float) -> None:
        self.name = name
        self._link = link
        self._known = known
        self._timeout = timeout
        self._opening = asyncio.Lock()

    async def reader(self, seqno: int | None = None) -> Reader:
        async with self._client() as client:
            if seqno is None:
                block = (await client.masterchain_info(self._timeout)).last
            else:
                block = (await client.lookup_block(seqno, self._timeout)).id
        return _LiteReader(client, block, self._known, self._timeout)

    async def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        async with self._client() as client:
            return await client.transactions(address, last, count, self._timeout)

    async def send_message(self, message: bytes) -> None:
        async with self._client() as client:
            await client.send_message(message, self._timeout)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[LiteClient]:
        """A client on the kept connection, which is given up where it fell silent or broke off."""
        async with self._opening:
            client = await self._link.client(self._timeout)
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
        # It named this block: another server behind its address may not have it yet.
        return await self._client.account(self._block, address, self._known, self._timeout)

    async def run_method(
        self, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        return await self._client.run_method(self._block, address, method, arguments, self._timeout)


class ToncenterSource:
    """A provider. It is asked one thing at a time: its rate limit is not ours to fill.

    Args:
        name: configured name.
        client: the provider.
        timeout: seconds for each question.
    """

    proves = False

    def __init__(self, name: str, client: ToncenterClient, timeout: float) -> None:
        self.name = name
        self._client = client
        self._timeout = timeout

    async def reader(self, seqno: int | None = None) -> Reader:
        return _ToncenterReader(self._client, seqno, self._timeout)

    async def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        return await self._client.transactions(address, last, count, self._timeout, Timing())

    async def send_message(self, message: bytes) -> None:
        await self._client.send_message(message, self._timeout, Timing())


class _ToncenterReader:
    at_once = 1

    def __init__(self, client: ToncenterClient, seqno: int | None, timeout: float) -> None:
        self._client = client
        self._seqno = seqno
        self._timeout = timeout

    async def account(self, address: Address) -> AccountAt:
        return await self._client.account(address, self._timeout, Timing(), self._seqno)

    async def run_method(
        self, address: Address, method: str, arguments: Sequence[int | Cell]
    ) -> MethodResult:
        return await self._client.run_method(address, method, arguments, self._timeout, Timing())
