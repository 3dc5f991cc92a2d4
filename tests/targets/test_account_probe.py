"""Accounts and get methods of every kind of target, asked without a configured wallet."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests import virtual_time
from tests.probes.wallet_network import WalletNetwork, wallet_network
from tests.targets.toncenter_v2.providers import (
    ROOT_HASH,
    answering,
    block,
    name_of,
)
from tests.ton.peers import SERVER_KEY, Peer, Server, lite_error, lite_query
from tests.virtual_time import VirtualLoop
from tonwatch.samples.sample import Probe, Recording, Sample
from tonwatch.targets.kind import Services
from tonwatch.targets.liteserver import probes as node_probes
from tonwatch.targets.liteserver.config import LiteServer
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.targets.liteserver.target import OpenLiteServer
from tonwatch.targets.toncenter_v2 import probes as toncenter_probes
from tonwatch.ton.errors import Reason
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.proofs import KnownBlocks
from tonwatch.ton.names import addresses_only

R = Reason
TIMEOUT: Final = 2.0

BLOCK: Final = "(0,8000000000000000,9):AB:CD"
LAGS: Final = f"cannot load block {BLOCK} (possibly out of sync: shard_client_seqno=9 ls_seqno=99)"


@pytest.fixture
async def network() -> AsyncIterator[WalletNetwork]:
    async with wallet_network() as made:
        yield made


class TestLiteServer:
    async def test_ok(self, network: WalletNetwork) -> None:
        source = network.node
        assert isinstance(source, LiteServerSource)
        sample = await node_probes.account(source, wall=time.time, queues=True)
        assert sample.ok, sample.detail
        head = network.simulator.chain.head.header
        assert (sample.target, sample.probe) == (source.name, Probe.ACCOUNT)
        assert sample.head is not None
        assert sample.head.seqno == head.seqno
        assert sample.state_time is not None
        assert head.gen_utime - 5 <= sample.state_time <= head.gen_utime
        assert sample.server
        assert 0 < sample.phases["query"] <= sample.duration

    @pytest.mark.parametrize("asked", ["getAccountState", "runSmcMethod"])
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            pytest.param(lite_error(-400, "not in db"), R.NOT_FOUND, id="-400"),
            pytest.param(lite_error(-400, "too many vm steps"), R.SERVER_ERROR, id="-400 other"),
            pytest.param(lite_error(652, "timeout"), R.UPSTREAM_TIMEOUT, id="652"),
            pytest.param(lite_error(500, "internal"), R.SERVER_ERROR, id="500"),
            pytest.param(lite_error(651, LAGS), R.SHARD_LAG, id="shard client lags"),
            pytest.param(lite_error(651, "state already gc'd"), R.PRUNED, id="pruned"),
            pytest.param(lite_error(0, "Unknown constructor"), R.UNSUPPORTED, id="unsupported"),
            pytest.param(b"garbage!", R.BAD_ANSWER, id="garbage"),
            pytest.param(b"", R.BAD_ANSWER, id="nothing"),
        ],
    )
    async def test_failures(
        self, network: WalletNetwork, asked: str, answer: bytes, reason: Reason
    ) -> None:
        sample = await self.through(network, {asked: [answer] * 2})
        assert sample.reason is reason, sample.detail
        assert reason is R.SERVER_ERROR or sample.detail
        assert sample.head is not None, "the block that it was to be read at"

    @pytest.mark.parametrize("asked", ["getAccountState", "runSmcMethod"])
    @pytest.mark.parametrize("text", ["not in db", LAGS, "no such luck"])
    async def test_a_server_that_is_a_block_behind(
        self, network: WalletNetwork, asked: str, text: str
    ) -> None:
        """Behind the same address another has the block: the question is repeated."""
        sample = await self.through(network, {asked: [lite_error(651, text)]})
        assert sample.ok, sample.detail

    @pytest.mark.parametrize(
        ("answer", "queue"),
        [
            pytest.param(
                bytes.fromhex("034a50f8") + (1).to_bytes(4, "little") + bytes(80)
                + (9000).to_bytes(4, "little") + (8000).to_bytes(4, "little"),
                (9000, 8000),
                id="an answer",
            ),
            pytest.param(lite_error(0, "Unknown constructor"), None, id="an older node"),
            pytest.param(lite_error(652, "timeout"), None, id="a failure"),
            pytest.param(b"garbage!", None, id="garbage"),
        ],
    )  # fmt: skip
    async def test_outbound_queues(
        self, network: WalletNetwork, answer: bytes, queue: tuple[int, int] | None
    ) -> None:
        sample = await self.through(network, {"getOutMsgQueueSizes": [answer]})
        assert sample.ok, sample.detail
        assert sample.out_queue == queue

    @staticmethod
    async def through(network: WalletNetwork, answers: dict[str, list[bytes]]) -> Sample:
        """The sample of a simulated node, some of whose answers are replaced."""
        node = network.simulator.liteservers[0]
        source = network.node
        assert isinstance(source, LiteServerSource)

        async def script(peer: Peer) -> None:
            await peer.accept()
            async with source.connected() as client:
                while True:
                    query = await peer.query()
                    function = name_of_query(lite_query(query))
                    replaced = answers.get(function, [])
                    if replaced:
                        peer.answer(query, replaced.pop(0))
                    else:
                        reply = await client.connection.query(query.body, TIMEOUT)
                        peer.answer(query, reply.body)

        assert node.name == source.name
        async with Server(script) as server:
            link = server.link()
            asked = LiteServerSource("node", link, KnownBlocks(), lambda: TIMEOUT)
            sample = await node_probes.account(asked, wall=time.time, queues=True)
            await link.drop()
        return sample


def test_queues_are_read_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    lengths = iter([(5, 8000), (6, 8000), None])

    async def probe(_: object, *, wall: Any, queues: bool) -> Sample:
        asked.append(queues)
        with Recording("node", Probe.ACCOUNT, wall) as recording:
            recording.out_queue = next(lengths) if queues else None
        return recording.sample

    async def main(loop: VirtualLoop) -> list[tuple[int, int] | None]:
        files: Any = None  # the key is in the configuration
        services = Services(addresses_only, files, lambda: TIMEOUT, loop.wall)
        section = LiteServer(name="node", host="127.0.0.1", port=1, key=SERVER_KEY.hex())
        target = OpenLiteServer(section, services, KnownBlocks())
        found = []
        for _ in range(10):
            found.append((await target.account()).out_queue)
            await asyncio.sleep(15.0)
        await target.close()
        return found

    monkeypatch.setattr(node_probes, "account", probe)
    found = virtual_time.run(main)
    assert asked == [True, False, False, False] * 2 + [True, False]
    assert found == [*[(5, 8000)] * 4, *[(6, 8000)] * 4, None, None]


def name_of_query(query: bytes) -> str:
    """The function's name."""
    schema = tl.lite_api().get_by_id(query[:4], "little")
    assert schema is not None
    return str(schema.name).removeprefix("liteServer.")


INFORMATION: Final[dict[str, Any]] = {
    "balance": "0",
    "state": "uninitialized",
    "code": "",
    "data": "",
    "last_transaction_id": name_of(None),
    "block_id": block(seqno=77),
    "sync_utime": 1_700_000_000,
}
NO_CODE: Final = {"exit_code": -13, "stack": []}


class TestToncenter:
    @pytest.mark.parametrize("exit_code", [0, -13, 11, -256])
    async def test_ok(self, exit_code: int) -> None:
        result = NO_CODE | {"exit_code": exit_code}
        async with answering(INFORMATION, result) as (asked, client):
            sample = await toncenter_probes.account("it", client, timeout=TIMEOUT, wall=time.time)
        assert sample.ok, sample.detail
        assert [method for method, *_ in asked.requests] == [
            "GET getAddressInformation",
            "POST runGetMethod",
        ]
        assert sample.probe is Probe.ACCOUNT
        assert sample.head is not None
        assert (sample.head.seqno, sample.head.root_hash) == (77, ROOT_HASH)
        assert sample.state_time == 1_700_000_000
        assert sample.server.startswith("127.0.0.1:")

    @pytest.mark.parametrize("working", [0, 1])
    @pytest.mark.parametrize(
        ("status", "body", "reason"),
        [
            (500, f"LITE_SERVER_NOTREADY: {LAGS}", R.SHARD_LAG),
            (542, LAGS, R.SHARD_LAG),
            (400, LAGS, R.SHARD_LAG),
            (500, "LITE_SERVER_NOTREADY: not in db", R.UPSTREAM_FAILED),
            (500, LAGS.replace("=99", "=9"), R.UPSTREAM_FAILED),
            (500, "internal error", R.SERVER_ERROR),
            (503, "No working liteservers", R.UPSTREAM_FAILED),
            (504, "Liteserver timeout", R.UPSTREAM_TIMEOUT),
            (429, "Ratelimit exceed", R.RATE_LIMITED),
            (402, "no more credits", R.FORBIDDEN),
            (301, "moved", R.BAD_ANSWER),
            (404, "no such method", R.NOT_FOUND),
            (200, "<html>", R.BAD_ANSWER),
        ],
    )
    async def test_failures(self, status: int, body: str, reason: Reason, working: int) -> None:
        answers = [*[INFORMATION] * working, (status, body.encode())]
        async with answering(*answers) as (_, client):
            sample = await toncenter_probes.account("it", client, timeout=TIMEOUT, wall=time.time)
        assert sample.reason is reason, sample.detail
        assert sample.detail
