"""toncenter's API v2: the few methods that a monitor needs.

Sources: toncenter's OpenAPI documents and the two servers behind them
(``ton-http-api`` in Python, ``ton-http-api-cpp``). Its ``/healthcheck`` and
``getConsensusBlock`` are not used: both answer 200 without any liteserver.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from pydantic import BaseModel

from tonwatch.targets.toncenter_v2.answers import (
    MAX_TRANSACTIONS,
    Accepted,
    AddressInformation,
    BlockId,
    RunResult,
    Transactions,
    Uint32,
    encoded,
)
from tonwatch.targets.toncenter_v2.envelope import Answer, Meaning, parse_answer
from tonwatch.targets.toncenter_v2.errors import reason_for, reason_for_transactions
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, boc
from tonwatch.ton.contracts.accounts import MAX_STATE_BYTES, AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import BadAnswer, ProviderError, Reason
from tonwatch.ton.http import MAX_BODY, HttpClient, Parse, Timing

T = TypeVar("T")

WHOLE_SHARD: Final = "-9223372036854775808"

_MAX_ACCOUNT: Final = MAX_STATE_BYTES * 4 // 3 + MAX_BODY
"""Bytes of an answer about an account: the largest code and data, in base64."""

_MAX_HISTORY: Final = 4 * 1024 * 1024
"""Bytes of an answer with transactions: one that sent 255 messages has some 300 KiB of JSON, and
one of a message with 8,192 full cells 3 MiB."""


class MasterchainInfo(BaseModel):
    """``blocks.masterchainInfo``; `init` is the zerostate. It has no time."""

    last: BlockId
    init: BlockId


class BlockHeader(BaseModel):
    """``blocks.header``; `gen_utime` in Unix seconds."""

    id: BlockId
    gen_utime: Uint32


class ToncenterClient:
    """One provider.

    Every method takes `timeout`, the seconds for a request, not counting the wait for its turn,
    and `timing`, which is filled for each step that the request reaches; every method raises
    `TonError` with the reason in the status or the body.

    `http` sends the requests.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def masterchain_info(self, timeout: float, timing: Timing) -> MasterchainInfo:
        """The last masterchain block and the zerostate."""
        return await self._get("getMasterchainInfo", {}, MasterchainInfo, timeout, timing)

    async def block_header(self, seqno: int, timeout: float, timing: Timing) -> BlockHeader:
        """The header of a masterchain block."""
        params = {"workchain": "-1", "shard": WHOLE_SHARD, "seqno": str(seqno)}
        header = await self._get("getBlockHeader", params, BlockHeader, timeout, timing)
        if header.id.seqno != seqno:
            raise BadAnswer(f"asked for block {seqno}, got block {header.id.seqno}")
        return header

    async def account(
        self, address: Address, timeout: float, timing: Timing, seqno: int | None = None
    ) -> AccountAt:
        """An account, unproven; one without coins, code or a transaction counts as missing.

        Args:
            seqno: of the masterchain block to read it at; None for the provider's last.
        """
        _, account = await self.account_information(address, timeout, timing, seqno)
        return account

    async def account_information(
        self, address: Address, timeout: float, timing: Timing, seqno: int | None = None
    ) -> tuple[AddressInformation, AccountAt]:
        """The answer about an account, and the account in it; arguments as `account`."""
        params = {"address": str(address)}
        if seqno is not None:
            params["seqno"] = str(seqno)

        def read(answer: AddressInformation) -> tuple[AddressInformation, AccountAt]:
            return answer, answer.read(address, seqno)

        parse = _parsed(AddressInformation, read)
        return await self._http.get(
            "getAddressInformation", params, parse, timeout, timing, max_body=_MAX_ACCOUNT
        )

    async def transactions(
        self,
        address: Address,
        last: TransactionId,
        count: int,
        timeout: float,
        timing: Timing,
    ) -> list[Transaction]:
        """The account's transactions from `last` backwards, newest first: up to `count`.

        Each is checked to be the one that was requested, or that its successor links to. What
        the provider's usual liteservers have pruned is requested from its archival ones, then
        in ever smaller parts: the provider refuses all where it lacks some. Each of these
        requests has the whole `timeout`.

        Raises:
            ProviderError: reason ``pruned`` where it does not have even `last`; ``shard_lag`` or
                ``not_ready`` where its liteserver does not have it yet.
            ProofInvalid: the answer has other transactions.
        """
        params = {"address": str(address), "lt": str(last.lt), "hash": encoded(last.hash)}
        count = min(count, MAX_TRANSACTIONS)
        attempt = timing
        while True:
            read = partial(Transactions.read, address=address, last=last, count=count)
            try:
                return await self._http.get(
                    "getTransactions",
                    params | {"limit": str(count)},
                    _parsed(Transactions, read, reason_for_transactions),
                    timeout,
                    attempt,
                    max_body=_MAX_HISTORY,
                )
            except ProviderError as error:
                if error.reason is not Reason.PRUNED:
                    raise
                if "archival" not in params:
                    params["archival"] = "true"
                elif count > 1:
                    count //= 2
                else:
                    raise
            finally:
                if attempt is not timing:
                    timing.waited += attempt.waited
                    timing.query = attempt.query
            attempt = Timing()

    async def run_method(
        self,
        address: Address,
        method: str,
        arguments: Sequence[int | Cell],
        timeout: float,
        timing: Timing,
    ) -> MethodResult:
        """Run a get-method at the provider's last block; a cell is passed as a slice."""
        # Decimal: one of the servers is not known to read a sign in front of "0x".
        stack = [
            ["num", str(item)] if isinstance(item, int) else ["tvm.Slice", encoded(boc(item))]
            for item in arguments
        ]
        payload = {"address": str(address), "method": method, "stack": stack}
        parse = _parsed(RunResult, RunResult.read)
        return await self._http.post("runGetMethod", payload, parse, timeout, timing)

    async def send_message(self, message: bytes, timeout: float, timing: Timing) -> None:
        """Send an external message, a bag of cells. It is never sent twice.

        Raises:
            ProviderError: reason ``message_rejected`` with the node's message in the detail,
                including the exit code.
        """
        await self._http.post(
            "sendBoc",
            {"boc": encoded(message)},
            partial(parse_answer, model=Accepted),
            timeout,
            timing,
        )

    async def _get(
        self,
        method: str,
        params: Mapping[str, str],
        model: type[Answer],
        timeout: float,
        timing: Timing,
    ) -> Answer:
        parse = partial(parse_answer, model=model)
        return await self._http.get(method, params, parse, timeout, timing)


def _parsed(
    model: type[Answer], read: Callable[[Answer], T], meaning: Meaning = reason_for
) -> Parse[T]:
    """Parses a body, and reads what is in the answer as well: that may take as long."""

    def parse(status: int, body: bytes, secret: str | None) -> T:
        return read(parse_answer(status, body, secret, model=model, meaning=meaning))

    return parse
