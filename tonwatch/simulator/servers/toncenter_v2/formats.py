"""How toncenter's servers write things down, and how they read what they are asked.

A question's parameters are those of a query, all text, or the members of a JSON object.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tonwatch.simulator.chain.block_layout import MASTERCHAIN, WHOLE_SHARD, BlockId
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.servers.view import View
from tonwatch.ton import address as addresses
from tonwatch.ton.address import Address
from tonwatch.ton.transactions import TransactionId

Json = dict[str, Any]
Parameters = Mapping[str, Any]

_TRUE: Final = {"true", "1", "on", "yes"}


class Service(NamedTuple):
    """What an answer depends on.

    Attributes:
        view: how far the provider's liteservers are.
        now: their clock, Unix seconds.
        lying: balances are other ones than on the chain.
        kept: seconds for which they keep transactions; None for ever.
        rejecting: no external message is taken.
    """

    view: View
    now: float
    lying: bool = False
    kept: float | None = None
    rejecting: bool = False


class Refusal(Exception):
    """An answer that is not ``ok``: the status and the whole body."""

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.body = body
        super().__init__(body)


def failed(status: int, text: str) -> Refusal:
    """The server's usual error."""
    return Refusal(status, {"ok": False, "error": text, "code": status})


def unanswered(text: str) -> Refusal:
    """A liteserver's error, which tonlib puts its own word before."""
    return failed(500, f"LITE_SERVER_UNKNOWN: {text}")


def find_block(view: View, workchain: int, shard: int, seqno: int) -> Block:
    """The block with that name, in either workchain."""
    found = view.find(seqno)
    block = found.shard if found is not None and workchain != MASTERCHAIN else found
    if block is None or block.id.workchain != workchain or shard != WHOLE_SHARD:
        text = f"LITE_SERVER_NOTREADY: cannot find block ({workchain},{shard % (1 << 64):x}) "
        text += f"seqno={seqno}: ltdb: block not found "
        text += f"(last known masterchain block: {view.head.seqno})"
        raise failed(500, text)
    return block


# Written.


def block_id(block: BlockId) -> Json:
    return {
        "@type": "ton.blockIdExt",
        "workchain": block.workchain,
        "shard": str(WHOLE_SHARD),
        "seqno": block.seqno,
        "root_hash": encoded(block.root_hash),
        "file_hash": encoded(block.file_hash),
    }


def transaction_id(name: TransactionId | None) -> Json:
    lt, hash_ = name or (0, bytes(32))
    return {"@type": "internal.transactionId", "lt": str(lt), "hash": encoded(hash_)}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Read.


def integer(asked: Parameters, name: str) -> int:
    """An integer that must be there."""
    try:
        return int(asked[name])
    except (KeyError, TypeError, ValueError):
        raise failed(422, f"{name}: an integer is required") from None


def optional_integer(asked: Parameters, name: str) -> int | None:
    return None if asked.get(name) is None else integer(asked, name)


def flag(asked: Parameters, name: str) -> bool:
    return str(asked.get(name, "")).lower() in _TRUE


def text(asked: Parameters, name: str) -> str:
    """A text that must be there."""
    value = asked.get(name)
    if not isinstance(value, str):
        raise failed(422, f"Validation error: {name}\n  field required (type=value_error.missing)")
    return value


def address(asked: Parameters) -> Address:
    try:
        return addresses.parse(text(asked, "address")).address
    except ValueError:
        raise failed(416, "Incorrect address") from None


def decoded(value: object) -> bytes:
    """Bytes from base64."""
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise failed(503, "Incorrect padding") from None


def hash_of(value: str) -> bytes:
    """A hash in base64, either alphabet, or in hexadecimal."""
    if len(value) == 44:
        return decoded(value.replace("-", "+").replace("_", "/"))
    try:
        data = bytes.fromhex(value)
    except ValueError:
        data = b""
    if len(data) != 32:
        raise failed(503, "Invalid hash")
    return data
