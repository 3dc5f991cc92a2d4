"""TL of the lite API: pytoniq's schemas, parsed once per process, read strictly.

pytoniq's parser is lenient: it guesses the content of `bytes` fields, reads past
the end of short data and accepts any constructor. Here the caller names the
expected one, and anything else is a `BadAnswer`.
"""

from importlib.resources import files
from typing import Any, Final

from pytoniq_core.tl.generator import TlGenerator, TlSchema, TlSchemas

from tonwatch.ton.adnl import wire
from tonwatch.ton.errors import BadAnswer

Fields = dict[str, Any]
"""Decoded TL fields: ints, `bytes` for bytes, hex for int256, dicts for types."""

_BLOCK_ID: Final = 80
"""Bytes of a bare ``tonNode.blockIdExt``."""

_LITE_QUERY = bytes.fromhex("df068c79")


def _parse() -> TlSchemas:
    path = files("pytoniq_core.tl").joinpath("schemas", "lite_api.tl")
    generated = TlGenerator(str(path)).generate()
    return TlSchemas(generated.list, auto_deserialize=False)


# Parsed on import: reading files later would block the event loop during the first query.
_LITE_API: Final = _parse()


def lite_api() -> TlSchemas:
    """The lite API's schemas, parsed once: parsing takes milliseconds and a megabyte."""
    return _LITE_API


def encode_query(function: str, arguments: Fields) -> bytes:
    """``liteServer.query`` around ``liteServer.<function>``, ready for `AdnlConnection.query`."""
    call = lite_api().serialize(f"liteServer.{function}", arguments)
    return _LITE_QUERY + wire.tl_bytes(call)


def decode(data: bytes, constructor: str) -> Fields:
    """Read `data` as exactly one boxed `constructor`.

    Raises:
        BadAnswer: another constructor, cut short, or followed by more bytes.
    """
    schema = _schema(constructor)
    if data[:4] != schema.little_id():
        raise BadAnswer(f"expected {constructor}, got {_name(data[:4])}")
    try:
        fields, end = lite_api().deserialize(data)
    except Exception as error:
        # pytoniq raises any kind of exception on hostile bytes.
        raise BadAnswer(f"cannot read {constructor}: {error}") from error
    if end != len(data) or not isinstance(fields, dict):
        raise BadAnswer(f"{constructor} has {len(data)} bytes where {end} are needed")
    return fields


def decode_error(data: bytes) -> tuple[int, str]:
    """Code and text of a boxed ``liteServer.error``.

    Parsed without pytoniq: the node's texts may quote bytes that are not UTF-8, and
    the code must survive a damaged text.

    Raises:
        BadAnswer: cut short, or followed by more bytes.
    """
    text, end = wire.read_tl_bytes(data, 8)
    if len(data) < 12 or end != len(data):
        raise BadAnswer(f"liteServer.error has {len(data)} bytes where {end} are needed")
    return int.from_bytes(data[4:8], "little", signed=True), text.decode(errors="replace")


def decode_transaction_list(data: bytes) -> bytes:
    """The bag of cells in a boxed ``liteServer.transactionList``; the blocks' ids are skipped.

    Parsed without pytoniq, which would read as many ids as the peer announces, beyond the end of
    the data too, for seconds.

    Raises:
        BadAnswer: another constructor, cut short, or followed by more bytes.
    """
    if not is_constructor(data, "liteServer.transactionList"):
        raise BadAnswer(f"expected liteServer.transactionList, got {_name(data[:4])}")
    bag, end = wire.read_tl_bytes(data, 8 + _BLOCK_ID * int.from_bytes(data[4:8], "little"))
    if end != len(data):
        raise BadAnswer(f"liteServer.transactionList has {len(data)} bytes where {end} are needed")
    return bag


def decode_out_queues(data: bytes) -> tuple[int, int]:
    """The longest queue in a boxed ``liteServer.outMsgQueueSizes``, and the limit.

    Parsed without pytoniq for the same reason as `decode_transaction_list`.

    Raises:
        BadAnswer: another constructor, cut short, followed by more bytes, or negative.
    """
    if not is_constructor(data, "liteServer.outMsgQueueSizes"):
        raise BadAnswer(f"expected liteServer.outMsgQueueSizes, got {_name(data[:4])}")
    count = int.from_bytes(data[4:8], "little")
    end = 8 + count * (_BLOCK_ID + 4) + 4
    if len(data) != end:
        raise BadAnswer(f"liteServer.outMsgQueueSizes has {len(data)} bytes where {end} are needed")
    places = range(8 + _BLOCK_ID, end - 4, _BLOCK_ID + 4)
    sizes = [int.from_bytes(data[at : at + 4], "little", signed=True) for at in places]
    limit = int.from_bytes(data[-4:], "little", signed=True)
    if min(sizes, default=0) < 0 or limit < 0:
        raise BadAnswer("liteServer.outMsgQueueSizes has a negative number")
    return max(sizes, default=0), limit


def is_constructor(data: bytes, constructor: str) -> bool:
    """Whether `data` starts as a boxed `constructor`."""
    return data[:4] == _schema(constructor).little_id()


def _schema(name: str) -> TlSchema:
    schema = lite_api().get_by_name(name)
    if schema is None:
        raise LookupError(f"no TL schema {name}")
    return schema


def _name(constructor: bytes) -> str:
    schema = lite_api().get_by_id(constructor, "little") if len(constructor) == 4 else None
    if schema is not None:
        return str(schema.name)
    return f"0x{constructor[::-1].hex()}" if constructor else "nothing"


lite_api()  # now: the first query must not wait for a file
