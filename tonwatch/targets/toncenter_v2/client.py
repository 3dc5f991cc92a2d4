"""toncenter's API v2: the few methods that a monitor needs.

Sources: toncenter's OpenAPI documents and the two servers behind them
(``ton-http-api`` in Python, ``ton-http-api-cpp``). Its ``/healthcheck`` and
``getConsensusBlock`` are not used: both answer 200 without any liteserver.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

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
from tonwatch.ton.contracts.accounts import AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import BadAnswer, ProviderError, Reason
from tonwatch.ton.http import MAX_BODY, HttpClient, Timing

WHOLE_SHARD: Final = "-9223372036854775808"

_MAX_HISTORY: Final = 1024 * 1024
"""Bytes of an answer with transactions: one that sent 255 messages has some 300 KiB of JSON."""


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
        answer = await self.account_information(address, timeout, timing, seqno)
        return answer.read(address, seqno)

    async def account_information(
        self, address: Address, timeout: float, timing: Timing, seqno: int | None = None
    ) -> AddressInformation:
        """The answer about an account; arguments as `account`."""
        params = {"address": str(address)}
        if seqno is not None:
            params["seqno"] = str(seqno)
        method = "getAddressInformation"
        return await self._get(method, params, AddressInformation, timeout, timing)

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
            try:
                answer = await self._get(
                    "getTransactions",
                    params | {"limit": str(count)},
                    Transactions,
                    timeout,
                    attempt,
                    max_body=_MAX_HISTORY,
                    meaning=reason_for_transactions,
                )
                return answer.read(address, last, count)
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
        answer = await self._http.post(
            "runGetMethod", payload, partial(parse_answer, model=RunResult), timeout, timing
        )
        return answer.read()

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
        *,
        max_body: int = MAX_BODY,
        meaning: Meaning = reason_for,
    ) -> Answer:
        parse = partial(parse_answer, model=model, meaning=meaning)
        return await self._http.get(method, params, parse, timeout, timing, max_body=max_body)
