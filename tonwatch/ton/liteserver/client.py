"""A lite client: queries to one liteserver, with verified answers.

It takes pytoniq's TL schemas, and not ``pytoniq.LiteClient`` on another transport:
that class parses all schemas for each client, starts a pinger and a block updater
of its own, and reads accounts at whatever block the updater saw last. A monitor has to
choose the block of every query and to see every failure.
"""

import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pytoniq_core.tl.block import BlockIdExt

from tonwatch.ton.address import Address
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, boc
from tonwatch.ton.cells.stack import read_stack, write_stack
from tonwatch.ton.contracts.accounts import AccountAt, MethodResult
from tonwatch.ton.contracts.transactions import Transaction, TransactionId
from tonwatch.ton.errors import BadAnswer, LiteServerError, Reason
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.errors import classify, classify_transactions, last_known_seqno
from tonwatch.ton.liteserver.proofs import (
    KnownBlocks,
    header_time,
    linked_transactions,
    proven_account,
)
from tonwatch.ton.parsing import Parsing

MASTERCHAIN: Final = -1
WHOLE_SHARD: Final = -(1 << 63)

CAPABILITY_INFO_EXT: Final = 2
"""`getMasterchainInfoExt` is served."""
CAPABILITY_SHARD_CLIENT: Final = 8
"""`getMasterchainInfoExt` mode 1 is served: the shard client's block (nodes from 2026-05)."""

_NO_SUCH_SEQNO: Final = (1 << 31) - 1
"""A masterchain seqno that is decades away."""

_MAX_PROOF: Final = 8 * 1024
"""Bytes of a block header proof; a real one has under 1 KiB."""

_RESULT_ONLY: Final = 4
"""Mode of ``runSmcMethod``: no proofs, which cover only the state that the method starts from."""

# Queries that are always the same are encoded once.
_GET_VERSION: Final = tl.encode_query("getVersion", {})
_GET_OUT_QUEUES: Final = tl.encode_query("getOutMsgQueueSizes", {"mode": 0})
_GET_MASTERCHAIN_INFO: Final = tl.encode_query("getMasterchainInfo", {})
_GET_MASTERCHAIN_INFO_EXT: Final = tuple(
    tl.encode_query("getMasterchainInfoExt", {"mode": mode}) for mode in (0, 1)
)


@dataclass(frozen=True, slots=True)
class MasterchainInfo:
    """``liteServer.masterchainInfoExt``, or as much of it as an older node has.

    Attributes:
        last: the block that the node answers with.
        zerostate: root hash of the network's zerostate.
        last_utime: generation time of `last`, Unix seconds; None in older answers.
        now: the server's clock, Unix seconds; None in older answers.
        version: of the liteserver protocol, ``(major << 8) + minor``; None in older answers.
        capabilities: the node's bits; 0 in older answers.
        elapsed: seconds from query to answer.
    """

    last: BlockIdExt
    zerostate: bytes
    last_utime: int | None
    now: int | None
    version: int | None
    capabilities: int
    elapsed: float


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """A proven block header.

    Attributes:
        id: the block.
        gen_utime: when it was made, Unix seconds.
    """

    id: BlockIdExt
    gen_utime: int


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """``liteServer.version``: protocol version, capability bits, server clock (Unix seconds).

    `elapsed` are the seconds from query to answer.
    """

    version: int
    capabilities: int
    now: int
    elapsed: float


class LiteClient:
    """Typed queries on one `AdnlConnection`. Every method takes a timeout in seconds.

    All methods raise `LiteServerError` for an error answer, `BadAnswer` for an
    answer that cannot be parsed, and what `AdnlConnection.query` raises.

    Args:
        connection: to the liteserver.
        parsing: parses answers that may be large.
    """

    def __init__(self, connection: AdnlConnection, parsing: Parsing | None = None) -> None:
        self.connection = connection
        self._parsing = parsing or Parsing()

    async def version(self, timeout: float) -> ServerVersion:
        """``liteServer.getVersion``: the node's capabilities and clock."""
        fields, elapsed = await self._ask(_GET_VERSION, "version", timeout)
        return ServerVersion(fields["version"], fields["capabilities"], fields["now"], elapsed)

    async def masterchain_info(self, timeout: float) -> MasterchainInfo:
        """``liteServer.getMasterchainInfo``: the block alone; supported by every node."""
        fields, elapsed = await self._ask(_GET_MASTERCHAIN_INFO, "masterchainInfo", timeout)
        return _masterchain_info(fields, elapsed)

    async def masterchain_info_ext(self, mode: int, timeout: float) -> MasterchainInfo:
        """``liteServer.getMasterchainInfoExt``.

        Args:
            mode: 0 for the block that the node serves; 1 for the shard client's
                block (only with `CAPABILITY_SHARD_CLIENT`).
            timeout: seconds.
        """
        query = _GET_MASTERCHAIN_INFO_EXT[mode]
        fields, elapsed = await self._ask(query, "masterchainInfoExt", timeout)
        return _masterchain_info(fields, elapsed)

    async def block_header(self, block: BlockIdExt, timeout: float) -> BlockHeader:
        """``liteServer.getBlockHeader``, its proof checked against `block`.

        Raises:
            ProofInvalid: the header's proof does not lead to the block's root hash.
        """
        query = tl.encode_query("getBlockHeader", {"id": block.to_dict(), "mode": 0})
        fields, _ = await self._ask(query, "blockHeader", timeout)
        header = _block_header(fields)
        if header.id != block:
            raise BadAnswer(f"asked for the header of block {block.seqno}, got another block's")
        return header

    async def lookup_block(self, seqno: int, timeout: float) -> BlockHeader:
        """``liteServer.lookupBlock``: the masterchain block with this seqno.

        Raises:
            ProofInvalid: the header's proof does not lead to the block's root hash.
        """
        block_id = {"workchain": MASTERCHAIN, "shard": WHOLE_SHARD, "seqno": seqno}
        query = tl.encode_query("lookupBlock", {"mode": 1, "id": block_id})
        fields, _ = await self._ask(query, "blockHeader", timeout)
        header = _block_header(fields)
        if header.id.seqno != seqno:
            raise BadAnswer(f"asked for block {seqno}, got block {header.id.seqno}")
        return header

    async def last_known_seqno(self, timeout: float) -> int | None:
        """The newest masterchain block that the node has, also while its shard client lags.

        No function returns it. But a lookup of a block that cannot exist yet fails
        with a text that has it; None where a node's text is different.
        """
        try:
            await self.lookup_block(_NO_SUCH_SEQNO, timeout)
        except LiteServerError as error:
            return last_known_seqno(error.detail)
        return None

    async def can_read_accounts(self, block: BlockIdExt, timeout: float) -> None:
        """Read a basechain account at `block`; its content is ignored.

        Accounts are served from the shard client's state, so this is how a node
        without `CAPABILITY_SHARD_CLIENT` shows that its shard client lags:
        it answers error 651, reason ``shard_lag``.
        """
        await self._account_state(block, Address(0, bytes(32)), timeout)

    async def account(
        self, block: BlockIdExt, address: Address, known: KnownBlocks, timeout: float
    ) -> AccountAt:
        """``liteServer.getAccountState``, its proof checked from `block` down to the account.

        `block` is trusted: where this liteserver named it, the answer is proven for its own
        chain only. Forks are detected elsewhere.

        Args:
            block: a masterchain block.
            address: any account of any workchain.
            known: blocks that are proven already; those that this answer proves are added.
            timeout: seconds.

        Raises:
            ProofInvalid: the state does not follow from `block`.
        """
        fields = await self._account_state(block, address, timeout)
        proven, state = proven_account(fields, block, address, known), fields["state"]
        return await self._parsing.run(len(state), proven.read, state)

    async def transactions(
        self, address: Address, last: TransactionId, count: int, timeout: float
    ) -> list[Transaction]:
        """``liteServer.getTransactions``: an account's transactions, newest first.

        Args:
            address: the account.
            last: the newest one to return.
            count: maximum; nodes return at most 16, and fewer where they have pruned the rest.
            timeout: seconds.

        Raises:
            ProofInvalid: the answer does not start with `last`, or its links do not match.
            BadAnswer: reason ``answer_too_large`` where a smaller `count` may help.
            LiteServerError: reason ``pruned`` where the node has pruned `last`;
                ``shard_lag`` or ``not_ready`` where it does not have it yet.
        """
        # TL's long is signed, a logical time is not.
        lt = int.from_bytes(last.lt.to_bytes(8, "big"), "big", signed=True)
        arguments = {
            "count": count, "account": _account_id(address), "lt": lt, "hash": last.hash.hex(),
        }  # fmt: skip
        query = tl.encode_query("getTransactions", arguments)
        answer, _ = await self._query(query, timeout, classify_transactions)
        bag = tl.decode_transaction_list(answer)
        return await self._parsing.run(
            len(bag), lambda: list(linked_transactions(bag, address, last, count))
        )

    async def run_method(
        self,
        block: BlockIdExt,
        address: Address,
        method: str,
        arguments: Sequence[int | Cell],
        timeout: float,
    ) -> MethodResult:
        """``liteServer.runSmcMethod``: the result of a get method, unproven.

        Args:
            block: the masterchain block to run it at.
            address: of the contract.
            method: name of the get method.
            arguments: in order; cells are passed as slices.
            timeout: seconds.
        """
        query_fields = {
            "mode": _RESULT_ONLY,
            "id": block.to_dict(),
            "account": _account_id(address),
            "method_id": binascii.crc_hqx(method.encode(), 0) | 0x10000,
            "params": boc(write_stack(arguments)),
        }
        query = tl.encode_query("runSmcMethod", query_fields)
        fields, _ = await self._ask(query, "runMethodResult", timeout)
        if BlockIdExt.from_dict(fields["id"]) != block:
            raise BadAnswer(f"asked at block {block.seqno}, got an answer at another block")
        # Without a compute phase there is no stack.
        result: bytes = fields.get("result") or b""
        stack = await self._parsing.run(len(result), _stack, result)
        return MethodResult(fields["exit_code"], stack)

    async def send_message(self, message: bytes, timeout: float) -> None:
        """``liteServer.sendMessage``: send an external message, a bag of cells.

        Raises:
            LiteServerError: the node refuses it; the text has its message, and the exit code
                where the contract refused.
        """
        query = tl.encode_query("sendMessage", {"body": message})
        fields, _ = await self._ask(query, "sendMsgStatus", timeout)
        if fields["status"] != 1:
            raise BadAnswer(f"a message was taken with status {fields['status']}")

    async def longest_out_queue(self, timeout: float) -> tuple[int, int]:
        """``liteServer.getOutMsgQueueSizes``: messages in the longest outbound queue of a shard.

        Returns:
            The number, and the limit above which a shard includes no external messages.
        """
        body, _ = await self._query(_GET_OUT_QUEUES, timeout)
        return tl.decode_out_queues(body)

    async def _account_state(
        self, block: BlockIdExt, address: Address, timeout: float
    ) -> tl.Fields:
        arguments = {"id": block.to_dict(), "account": _account_id(address)}
        query = tl.encode_query("getAccountState", arguments)
        return (await self._ask(query, "accountState", timeout))[0]

    async def _ask(self, query: bytes, answer: str, timeout: float) -> tuple[tl.Fields, float]:
        body, elapsed = await self._query(query, timeout)
        return tl.decode(body, f"liteServer.{answer}"), elapsed

    async def _query(
        self,
        query: bytes,
        timeout: float,
        meaning: Callable[[int, str], Reason] = classify,
    ) -> tuple[bytes, float]:
        body, elapsed = await self.connection.query(query, timeout)
        if tl.is_constructor(body, "liteServer.error"):
            code, message = tl.decode_error(body)
            raise LiteServerError(meaning(code, message), code, message)
        return body, elapsed


def _stack(result: bytes) -> tuple[int | Cell | None, ...]:
    return read_stack(read_one(result)) if result else ()


def _account_id(address: Address) -> dict[str, object]:
    return {"workchain": address.workchain, "id": address.hash.hex()}


def _masterchain_info(fields: tl.Fields, elapsed: float) -> MasterchainInfo:
    last = BlockIdExt.from_dict(fields["last"])
    zerostate = bytes.fromhex(fields["init"]["root_hash"])
    if last.workchain != MASTERCHAIN or last.seqno < 0:
        raise BadAnswer(f"last masterchain block is ({last.workchain}, seqno {last.seqno})")
    return MasterchainInfo(
        last=last,
        zerostate=zerostate,
        last_utime=fields.get("last_utime"),
        now=fields.get("now"),
        version=fields.get("version"),
        capabilities=fields.get("capabilities", 0),
        elapsed=elapsed,
    )


def _block_header(fields: tl.Fields) -> BlockHeader:
    proof: bytes = fields["header_proof"]
    if len(proof) > _MAX_PROOF:
        raise BadAnswer(f"header proof of {len(proof)} bytes", Reason.ANSWER_TOO_LARGE)
    block_id = BlockIdExt.from_dict(fields["id"])
    return BlockHeader(block_id, header_time(proof, block_id))
