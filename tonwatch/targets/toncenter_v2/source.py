"""Accounts, transactions and messages over toncenter's API v2."""

from collections.abc import Callable, Sequence

from tonwatch.probes.source import Reader
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell
from tonwatch.ton.contracts.accounts import AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.http import Timing


class ToncenterSource:
    """A provider. Requests are sequential, so that they do not use up its rate limit.

    Args:
        name: configured name.
        client: the provider.
        timeout: returns the seconds for each query.
    """

    proves = False

    def __init__(self, name: str, client: ToncenterClient, timeout: Callable[[], float]) -> None:
        self.name = name
        self._client = client
        self._timeout = timeout

    async def reader(self, seqno: int | None = None) -> Reader:
        return _ToncenterReader(self._client, seqno, self._timeout())

    async def transactions(
        self, address: Address, last: TransactionId, count: int
    ) -> list[Transaction]:
        return await self._client.transactions(address, last, count, self._timeout(), Timing())

    async def send_message(self, message: bytes) -> None:
        await self._client.send_message(message, self._timeout(), Timing())


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
