"""The liteserver's answers, from TL bytes to TL bytes.

Texts and codes are those of validator-engine v2026.06 where a recording has
them, otherwise of the node's ``validator/impl/liteserver.cpp``.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tonwatch.simulator.chain import block_layout, merkle
from tonwatch.simulator.chain.block_layout import BASECHAIN, MASTERCHAIN, WHOLE_SHARD
from tonwatch.simulator.chain.blocks import Block
from tonwatch.simulator.servers.liteserver import account_queries
from tonwatch.simulator.servers.liteserver.node_state import (
    Answer,
    LiteError,
    NodeState,
    in_workchain,
)
from tonwatch.simulator.servers.node_errors import FAILURE, NOT_READY
from tonwatch.ton.adnl import wire
from tonwatch.ton.cells import cell as cells
from tonwatch.ton.liteserver.tl import Fields, lite_api

VERSION: Final = 0x101
CAPABILITIES: Final = 7
CAPABILITY_SHARD_CLIENT: Final = 8
"""`getMasterchainInfoExt` mode 1 is served (nodes from May 2026)."""

MAX_SHARD_CLIENT_LAG: Final = 16
"""Seconds of lag above which a node does not answer with its shard client's block."""

MAX_WAIT_AHEAD: Final = 100
"""Blocks ahead of the node that ``waitMasterchainSeqno`` may name."""

QUEUE_LIMIT: Final = 8000
"""Messages in a shard's outbound queue above which it takes no ordinary external ones."""

_MOST_MODE: Final = (1 << 31) - 1

_QUERY: Final = bytes.fromhex("df068c79")


class Call(NamedTuple):
    """A query, and the masterchain block that it waits for.

    Attributes:
        function: its name without ``liteServer.``.
        arguments: decoded.
        seqno: the shard client must have this block before the answer; 0 for no wait.
        timeout: seconds to wait for that.
    """

    function: str
    arguments: Fields
    seqno: int = 0
    timeout: float = 0.0


def parse(body: bytes) -> Call:
    """Read the body of an ``adnl.message.query``.

    Raises:
        LiteError: it is not ``liteServer.query`` with a function that is simulated.
    """
    if body[:4] != _QUERY:
        raise LiteError(0, _unknown(body))
    data, end = wire.read_tl_bytes(body, 4)
    if end != len(body):
        raise LiteError(0, f"{_length_error(end, len(body))} at {min(end, len(body))}")
    name, arguments, end = _read(data)
    if name != "waitMasterchainSeqno":
        if end < len(data):
            raise LiteError(0, f"Too much data to fetch at {end}")
        return Call(name, arguments)
    inner, inner_arguments, inner_end = _read(data[end:])
    if end + inner_end < len(data):
        raise LiteError(0, f"Too much data to fetch at {inner_end}")
    return Call(inner, inner_arguments, arguments["seqno"], arguments["timeout_ms"] / 1000)


def answer(node: NodeState, call: Call) -> bytes:
    """The answer of `node` to `call` now, errors included; does not wait for blocks."""
    try:
        constructor, fields = _ANSWERS[call.function](node, call.arguments)
    except LiteError as error:
        return error.encode()
    return bytes(lite_api().serialize(f"liteServer.{constructor}", fields))


def _read(data: bytes) -> tuple[str, Fields, int]:
    schema = lite_api().get_by_id(data[:4], "little") if len(data) >= 4 else None
    name = str(schema.name).removeprefix("liteServer.") if schema is not None else ""
    if name != "waitMasterchainSeqno" and name not in _ANSWERS:
        raise LiteError(0, _unknown(data))
    # pytoniq reads past the end of the data and returns the end that it would need.
    fields, end = lite_api().deserialize(data)
    if end > len(data) or not isinstance(fields, dict):
        raise LiteError(0, f"Not enough data to read at {len(data)}")
    return name, fields, end


def _unknown(data: bytes) -> str:
    if len(data) < 4:
        return "Not enough data to read at 0"
    return f"Unknown constructor found 0x{data[:4][::-1].hex()} at 4"


def _length_error(needed: int, given: int) -> str:
    return "Not enough data to read" if needed > given else "Too much data to fetch"


# The answers. Each returns a constructor and its fields, or raises LiteError.


def _get_time(node: NodeState, _: Fields) -> Answer:
    return "currentTime", {"now": int(node.now)}


def _get_version(node: NodeState, _: Fields) -> Answer:
    return "version", {"mode": 0, **_server(node), "now": int(node.now)}


def _get_masterchain_info(node: NodeState, _: Fields) -> Answer:
    return "masterchainInfo", _chain_info(node, _served(node))


def _get_masterchain_info_ext(node: NodeState, arguments: Fields) -> Answer:
    mode = arguments["mode"]
    if not 0 <= mode <= _MOST_MODE:
        raise LiteError(0, "Variable of type # can't be negative at 8")
    if mode not in ((0,) if node.legacy else (0, 1)):
        raise LiteError(FAILURE, "unsupported getMasterchainInfo mode")
    block = node.view.shard_client if mode == 1 else _served(node)
    return "masterchainInfoExt", {
        "mode": mode,
        **_server(node),
        "last_utime": block.gen_utime + node.time_error,
        "now": int(node.now),
        **_chain_info(node, block),
    }


def _get_block_header(node: NodeState, arguments: Fields) -> Answer:
    if arguments["id"]["seqno"] == 0:
        raise LiteError(NOT_READY, "not in db")
    return _header(node, node.load(arguments["id"]))


def _get_block(node: NodeState, arguments: Fields) -> Answer:
    block = node.load(arguments["id"])
    return "blockData", {"id": block.id.tl(), "data": block.data}


def _lookup_block(node: NodeState, arguments: Fields) -> Answer:
    mode, wanted = arguments["mode"], arguments["id"]
    workchain = wanted["workchain"]
    if workchain not in (MASTERCHAIN, BASECHAIN) or wanted["shard"] != WHOLE_SHARD:
        raise LiteError(NOT_READY, "cannot find block: no such shard")
    view, chain = node.view, node.view.chain
    if mode & 1:
        by = f"seqno={wanted['seqno']}"
        found = node.view.find(wanted["seqno"])
        pruned = found is None and wanted["seqno"] < chain.oldest.seqno
    elif mode & 2:
        by, lt = f"lt={arguments['lt']}", arguments["lt"]
        found = chain.first_with(lambda block: block.header.end_lt, lt)
        pruned = lt < chain.oldest.header.start_lt
    elif mode & 4:
        by, utime = f"utime={arguments['utime']}", arguments["utime"]
        found = chain.first_with(lambda block: block.gen_utime, utime)
        pruned = utime < chain.oldest.gen_utime
    else:
        raise LiteError(FAILURE, "exactly one of mode bits 0, 1 and 2 must be set")
    last = view.head if workchain == MASTERCHAIN else view.shard_client
    name = f"cannot find block ({workchain},8000000000000000) {by}"
    if mode & 1 and wanted["seqno"] == 0:
        # A node finds the block of the zerostate nowhere, and does not say what it has.
        raise LiteError(NOT_READY, f"{name}: ltdb: block not found")
    if pruned:
        raise LiteError(NOT_READY, f"{name}: seqno not in db")
    if found is None or found.seqno > last.seqno:
        known = f"(last known masterchain block: {view.head.seqno})"
        raise LiteError(NOT_READY, f"{name}: ltdb: block not found {known}")
    return _header(node, in_workchain(found, workchain))


def _get_all_shards_info(node: NodeState, arguments: Fields) -> Answer:
    block = node.load(arguments["id"])
    if block.shard is None:
        raise LiteError(FAILURE, "cannot get shards of a block that is not in the masterchain")
    shards = cells.cell(b"", block_layout.shards_of(block.root), head="1")
    proof = cells.boc(merkle.merkle_proof(node.proven(block).root, block_layout.SHOW_SHARDS))
    return "allShardsInfo", {"id": block.id.tl(), "proof": proof, "data": cells.boc(shards)}


def _get_out_msg_queue_sizes(node: NodeState, _: Fields) -> Answer:
    master = node.view.shard_client
    return "outMsgQueueSizes", {
        "shards": [
            {"id": block.id.tl(), "size": size}
            for block, size in ((master, 0), (in_workchain(master, BASECHAIN), node.out_queue))
        ],
        "ext_msg_queue_size_limit": QUEUE_LIMIT,
    }


_ANSWERS: Final[dict[str, Callable[[NodeState, Fields], Answer]]] = {
    "getTime": _get_time,
    "getVersion": _get_version,
    "getMasterchainInfo": _get_masterchain_info,
    "getMasterchainInfoExt": _get_masterchain_info_ext,
    "getBlockHeader": _get_block_header,
    "getBlock": _get_block,
    "lookupBlock": _lookup_block,
    "getAllShardsInfo": _get_all_shards_info,
    "getOutMsgQueueSizes": _get_out_msg_queue_sizes,
    **account_queries.ANSWERS,
}


def _served(node: NodeState) -> Block:
    """The block that a node returns as its last: the shard client's unless that is too old."""
    _, head, shard_client = node.view
    lags = node.now - shard_client.gen_utime > MAX_SHARD_CLIENT_LAG
    return head if lags else shard_client


def _server(node: NodeState) -> dict[str, int]:
    capabilities = CAPABILITIES if node.legacy else CAPABILITIES + CAPABILITY_SHARD_CLIENT
    return {"version": VERSION, "capabilities": capabilities}


def _chain_info(node: NodeState, block: Block) -> dict[str, Any]:
    return {
        "last": block.id.tl(),
        "state_root_hash": block.state.hash.hex(),
        "init": node.view.chain.zerostate.tl(),
    }


def _header(node: NodeState, block: Block) -> Answer:
    proof = node.proven(block).header_proof
    return "blockHeader", {"id": block.id.tl(), "mode": 0, "header_proof": proof}
