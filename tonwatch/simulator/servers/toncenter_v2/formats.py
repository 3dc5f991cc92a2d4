"""How toncenter's servers read parameters and write answers.

Parameters are those of a query, all text, or the members of a JSON object.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tonwatch.simulator.chain.block_layout import MASTERCHAIN, WHOLE_SHARD, BlockId
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.servers.node_errors import NOT_READY, TIMEOUT
from tonwatch.simulator.servers.view import View
from tonwatch.ton import address as addresses
from tonwatch.ton.address import Address
from tonwatch.ton.contracts.transactions import TransactionId

Json = dict[str, Any]
Parameters = Mapping[str, Any]

_CODES: Final = {NOT_READY: "NOTREADY", TIMEOUT: "TIMEOUT"}
"""tonlib's names of a liteserver's codes."""

_TRUE: Final = {"true", "1", "on", "yes"}


class ProviderState(NamedTuple):
    """The state of a provider when it answers.

    Attributes:
        view: its liteservers' view of the chain.
        now: their clock, Unix seconds.
        false_balances: it changes balances of accounts.
        history: seconds for which it keeps transactions; None for no limit.
        rejects_externals: it rejects all external messages.
        undecided_externals: it rejects all of them before their contracts run.
        accounts_code: the code with which queries of accounts fail; None where they do not.
        time_error: seconds by which the block times that it reports are later than they are.
    """

    view: View
    now: float
    false_balances: bool = False
    history: float | None = None
    rejects_externals: bool = False
    undecided_externals: bool = False
    accounts_code: int | None = None
    time_error: int = 0


class ErrorResponse(Exception):
    """An answer that is not ``ok``: its status and body."""

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.body = body
        super().__init__(body)


def error_response(status: int, text: str) -> ErrorResponse:
    """An error of the server."""
    return ErrorResponse(status, {"ok": False, "error": text, "code": status})


def liteserver_error(text: str, code: int = 0) -> ErrorResponse:
    """A liteserver's error, with the prefix that tonlib has for its code."""
    return error_response(500, f"LITE_SERVER_{_CODES.get(code, 'UNKNOWN')}: {text}")


def find_block(view: View, workchain: int, shard: int, seqno: int) -> Block:
    """A block by its short id, in either workchain."""
    found = view.find(seqno)
    block = found.shard if found is not None and workchain != MASTERCHAIN else found
    if block is None or block.id.workchain != workchain or shard != WHOLE_SHARD:
        text = f"cannot find block ({workchain},{shard % (1 << 64):x}) "
        text += f"seqno={seqno}: ltdb: block not found "
        text += f"(last known masterchain block: {view.head.seqno})"
        raise liteserver_error(text, NOT_READY)
    return block


# Writing.


def block_id(block: BlockId) -> Json:
    return {
        "@type": "ton.blockIdExt",
        "workchain": block.workchain,
        "shard": str(WHOLE_SHARD),
        "seqno": block.seqno,
        "root_hash": base64_text(block.root_hash),
        "file_hash": base64_text(block.file_hash),
    }


def transaction_id(name: TransactionId | None) -> Json:
    lt, hash_ = name or (0, bytes(32))
    return {"@type": "internal.transactionId", "lt": str(lt), "hash": base64_text(hash_)}


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Reading.


def integer(parameters: Parameters, name: str) -> int:
    """A required integer."""
    try:
        return int(parameters[name])
    except (KeyError, TypeError, ValueError):
        raise error_response(422, f"{name}: an integer is required") from None


def optional_integer(parameters: Parameters, name: str) -> int | None:
    return None if parameters.get(name) is None else integer(parameters, name)


def flag(parameters: Parameters, name: str) -> bool:
    return str(parameters.get(name, "")).lower() in _TRUE


def text(parameters: Parameters, name: str) -> str:
    """A required text."""
    value = parameters.get(name)
    if not isinstance(value, str):
        raise error_response(
            422, f"Validation error: {name}\n  field required (type=value_error.missing)"
        )
    return value


def address(parameters: Parameters) -> Address:
    try:
        return addresses.parse(text(parameters, "address")).address
    except ValueError:
        raise error_response(416, "Incorrect address") from None


def base64_bytes(value: object) -> bytes:
    """Bytes from base64."""
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise error_response(503, "Incorrect padding") from None


def hash_from_text(value: str) -> bytes:
    """A hash from base64, either alphabet, or hexadecimal."""
    if len(value) == 44:
        return base64_bytes(value.replace("-", "+").replace("_", "/"))
    try:
        data = bytes.fromhex(value)
    except ValueError:
        data = b""
    if len(data) != 32:
        raise error_response(503, "Invalid hash")
    return data
