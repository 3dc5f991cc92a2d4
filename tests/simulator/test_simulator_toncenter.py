"""The simulated provider without faults: shapes, keys, limits, errors."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.simulator.chains import empty_chain
from tonwatch.simulator.servers.toncenter_v2.server import ToncenterV2

SHARD = "-9223372036854775808"


@asynccontextmanager
async def provider(**arguments: Any) -> AsyncIterator[tuple[ToncenterV2, aiohttp.ClientSession]]:
    made = ToncenterV2("provider", empty_chain(backfill=10), **arguments)
    await made.start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield made, session
    await made.close()


async def get(
    made: ToncenterV2, session: aiohttp.ClientSession, method: str, **headers: str
) -> tuple[int, Any]:
    async with session.get(f"{made.url}/{method}", headers=headers) as response:
        return response.status, await response.json()


def encoded(block_id: Any) -> dict[str, object]:
    return {
        "@type": "ton.blockIdExt",
        "workchain": block_id.workchain,
        "shard": SHARD,
        "seqno": block_id.seqno,
        "root_hash": base64.b64encode(block_id.root_hash).decode(),
        "file_hash": base64.b64encode(block_id.file_hash).decode(),
    }


async def test_masterchain_info() -> None:
    async with provider() as (made, session):
        status, body = await get(made, session, "getMasterchainInfo")
        chain = made.chain
        assert status == 200
        assert body == {
            "ok": True,
            "result": {
                "@type": "blocks.masterchainInfo",
                "last": encoded(chain.head.id),
                "state_root_hash": base64.b64encode(chain.head.state.hash).decode(),
                "init": encoded(chain.zerostate) | {"shard": "0"},
            },
        }


@pytest.mark.parametrize("workchain", [-1, 0])
async def test_block_header(workchain: int) -> None:
    async with provider() as (made, session):
        method = f"getBlockHeader?workchain={workchain}&shard={SHARD}&seqno=7"
        status, body = await get(made, session, method)
        block = made.chain.block(7)
        assert block is not None
        if workchain == 0:
            assert block.shard is not None
            block = block.shard
        assert status == 200
        result = body["result"]
        assert result["id"] == encoded(block.id)
        assert result["gen_utime"] == block.gen_utime
        assert result["prev_blocks"] == [encoded(block.prev.id)]
        assert result["end_lt"] == "7000004"


async def test_consensus_block_and_healthcheck() -> None:
    async with provider() as (made, session):
        _, body = await get(made, session, "getConsensusBlock")
        assert body["result"] == {"consensus_block": 10, "timestamp": made.chain.head.produced}
        assert await get(made, session, "healthcheck") == (200, {"ok": True, "result": "OK"})


@pytest.mark.parametrize(
    ("method", "status", "text"),
    [
        (f"getBlockHeader?workchain=-1&shard={SHARD}&seqno=11", 500, "LITE_SERVER_NOTREADY"),
        ("getBlockHeader?workchain=-1&shard=1&seqno=7", 500, "cannot find block (-1,1) seqno=7"),
        (f"getBlockHeader?workchain=5&shard={SHARD}&seqno=7", 500, "cannot find block (5,"),
        (f"getBlockHeader?workchain=-1&shard={SHARD}", 422, "seqno: an integer is required"),
        (f"getBlockHeader?workchain=-1&shard={SHARD}&seqno=x", 422, "seqno"),
    ],
    ids=["future block", "no such shard", "no such workchain", "missing", "not a number"],
)
async def test_errors(method: str, status: int, text: str) -> None:
    async with provider() as (made, session):
        got, body = await get(made, session, method)
        assert (got, body["ok"], body["code"]) == (status, False, status)
        assert text in body["error"]


async def test_unknown_methods_and_verbs() -> None:
    async with provider() as (made, session):
        assert (await get(made, session, "getEverything"))[0] == 404
        assert (await get(made, session, "../v9/healthcheck"))[0] == 404
        async with session.post(f"{made.url}/healthcheck") as response:
            assert response.status == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"X-API-Key": "wrong"}, 401), ({"X-API-Key": "right"}, 200)],
    ids=["none", "wrong", "right"],
)
async def test_api_key(headers: dict[str, str], status: int) -> None:
    async with provider(api_key="right") as (made, session):
        assert (await get(made, session, "getMasterchainInfo", **headers))[0] == status


async def test_requests_over_the_limit_are_throttled() -> None:
    async with provider(requests_per_second=2) as (made, session):
        statuses = [(await get(made, session, "getMasterchainInfo"))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
