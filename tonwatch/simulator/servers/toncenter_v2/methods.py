"""The provider's methods: a state of its liteservers and a question in, what stands under
``result`` out.

Shapes of answers are those of toncenter's own servers (``ton-http-api`` and its
OpenAPI document), their habits included: the health check always says "OK".
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from tonwatch.simulator.servers.toncenter_v2 import account_methods as accounts
from tonwatch.simulator.servers.toncenter_v2.formats import (
    Json,
    Parameters,
    Service,
    block_id,
    encoded,
    find_block,
    integer,
)


def _get_masterchain_info(service: Service, _: Parameters) -> Json:
    view = service.view
    return {
        "@type": "blocks.masterchainInfo",
        "last": block_id(view.head.id),
        "state_root_hash": encoded(view.head.state.hash),
        # A zerostate has no shard of its own; tonlib writes 0.
        "init": block_id(view.chain.zerostate) | {"shard": "0"},
    }


def _get_block_header(service: Service, asked: Parameters) -> Json:
    workchain, shard = integer(asked, "workchain"), integer(asked, "shard")
    block = find_block(service.view, workchain, shard, integer(asked, "seqno"))
    header = block.header
    return {
        "@type": "blocks.header",
        "id": block_id(block.id),
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
        "prev_blocks": [block_id(block.prev.id)],
    }


def _get_consensus_block(service: Service, _: Parameters) -> Json:
    head = service.view.head
    return {"consensus_block": head.seqno, "timestamp": head.produced}


def _healthcheck(_: Service, __: Parameters) -> str:
    return "OK"


class Method(NamedTuple):
    """How a method is asked, and what answers it."""

    verb: Literal["GET", "POST"]
    answer: Callable[[Service, Parameters], Json | list[Json] | str]


METHODS: Final = {
    "getMasterchainInfo": Method("GET", _get_masterchain_info),
    "getBlockHeader": Method("GET", _get_block_header),
    "getConsensusBlock": Method("GET", _get_consensus_block),
    "healthcheck": Method("GET", _healthcheck),
    "getAddressInformation": Method("GET", accounts.get_address_information),
    "getTransactions": Method("GET", accounts.get_transactions),
    "runGetMethod": Method("POST", accounts.run_get_method),
    "sendBoc": Method("POST", accounts.send_boc),
}
