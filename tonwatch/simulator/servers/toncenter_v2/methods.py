"""The provider's methods, and those about blocks.

Shapes of answers are those of toncenter's own servers (``ton-http-api`` and its OpenAPI
document). As there, the health check always answers "OK".
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from tonwatch.simulator.servers.toncenter_v2 import account_methods as accounts
from tonwatch.simulator.servers.toncenter_v2.formats import (
    Json,
    Parameters,
    ProviderState,
    base64_text,
    block_id,
    find_block,
    integer,
)


def _get_masterchain_info(state: ProviderState, _: Parameters) -> Json:
    view = state.view
    return {
        "@type": "blocks.masterchainInfo",
        "last": block_id(view.head.id),
        "state_root_hash": base64_text(view.head.state.hash),
        # A zerostate has no shard of its own; tonlib writes 0.
        "init": block_id(view.chain.zerostate) | {"shard": "0"},
    }


def _get_block_header(state: ProviderState, parameters: Parameters) -> Json:
    workchain, shard = integer(parameters, "workchain"), integer(parameters, "shard")
    block = find_block(state.view, workchain, shard, integer(parameters, "seqno"))
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
        "gen_utime": header.gen_utime + state.time_error,
        "prev_blocks": [block_id(block.prev.id)],
    }


def _get_consensus_block(state: ProviderState, _: Parameters) -> Json:
    head = state.view.head
    return {"consensus_block": head.seqno, "timestamp": head.produced + state.time_error}


def _healthcheck(_: ProviderState, __: Parameters) -> str:
    return "OK"


class Method(NamedTuple):
    """A method of the API: its HTTP verb and the function that writes its ``result``."""

    verb: Literal["GET", "POST"]
    answer: Callable[[ProviderState, Parameters], Json | list[Json] | str]


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
