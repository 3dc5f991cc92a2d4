"""The provider's methods: a view and a query in, what stands under ``result`` out.

Shapes of answers are those of toncenter's own servers (``ton-http-api`` and its
OpenAPI document), their habits included: the health check always says "OK".
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from tonwatch.simulator.layouts import MASTERCHAIN, WHOLE_SHARD, BlockId
from tonwatch.simulator.view import View

Json = dict[str, Any]


class Refusal(Exception):
    """An answer that is not ``ok``: the status and the whole body."""

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.body = body
        super().__init__(body)


def _get_masterchain_info(view: View, _: Mapping[str, str]) -> Json:
    head = view.head
    return {
        "@type": "blocks.masterchainInfo",
        "last": _block_id(head.id),
        "state_root_hash": _base64(head.state.hash),
        # A zerostate has no shard of its own; tonlib writes 0.
        "init": _block_id(view.chain.zerostate) | {"shard": "0"},
    }


def _get_block_header(view: View, query: Mapping[str, str]) -> Json:
    workchain, shard = _integer(query, "workchain"), _integer(query, "shard")
    seqno = _integer(query, "seqno")
    found = view.find(seqno)
    block = found.shard if found is not None and workchain != MASTERCHAIN else found
    if block is None or block.id.workchain != workchain or shard != WHOLE_SHARD:
        shard_name = f"({workchain},{shard % (1 << 64):x})"
        text = f"LITE_SERVER_NOTREADY: cannot find block {shard_name} seqno={seqno}: "
        known = view.head.seqno
        text += f"ltdb: block not found (last known masterchain block: {known})"
        raise Refusal(500, {"ok": False, "error": text, "code": 500})
    header = block.header
    return {
        "@type": "blocks.header",
        "id": _block_id(block.id),
        "global_id": header.global_id,
        "version": 0,
        "flags": 1,
        "after_merge": False,
        "after_split": False,
        "before_split": False,
        "want_merge": True,
        "want_split": False,
        "validator_list_hash_short": 0,
        "catchain_seqno": 0,
        "min_ref_mc_seqno": header.min_ref_mc_seqno,
        "is_key_block": False,
        "prev_key_block_seqno": 0,
        "start_lt": str(header.start_lt),
        "end_lt": str(header.end_lt),
        "gen_utime": header.gen_utime,
        "prev_blocks": [_block_id(block.prev.id)],
    }


def _get_consensus_block(view: View, _: Mapping[str, str]) -> Json:
    head = view.head
    return {"consensus_block": head.seqno, "timestamp": head.produced}


def _healthcheck(_: View, __: Mapping[str, str]) -> str:
    return "OK"


METHODS: Final[dict[str, Callable[[View, Mapping[str, str]], Json | str]]] = {
    "getMasterchainInfo": _get_masterchain_info,
    "getBlockHeader": _get_block_header,
    "getConsensusBlock": _get_consensus_block,
    "healthcheck": _healthcheck,
}


def _block_id(block: BlockId) -> Json:
    return {
        "@type": "ton.blockIdExt",
        "workchain": block.workchain,
        "shard": str(WHOLE_SHARD),
        "seqno": block.seqno,
        "root_hash": _base64(block.root_hash),
        "file_hash": _base64(block.file_hash),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _integer(query: Mapping[str, str], name: str) -> int:
    try:
        return int(query[name])
    except (KeyError, ValueError):
        text = f"{name}: an integer is required"
        raise Refusal(422, {"ok": False, "error": text, "code": 422}) from None
