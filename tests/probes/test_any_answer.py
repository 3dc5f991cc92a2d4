"""Any answer of a provider or a liteserver ends in a result with a reason.

The answers are those of a simulated network with one changed in transit: this reaches deeper
into the parsers than random answers do.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

import aiohttp
from aiolimiter import AsyncLimiter
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.probes.wallet_network import WalletNetwork, wallet_network
from tests.targets.toncenter_v2.providers import JSON, serving
from tests.ton.peers import Peer, Server, recorded_answers
from tonwatch.probes import balances
from tonwatch.probes.compare import compare
from tonwatch.probes.source import Source
from tonwatch.probes.write_path import write_path
from tonwatch.samples.sample import Sample
from tonwatch.simulator.servers.liteserver import queries
from tonwatch.simulator.servers.liteserver.node_state import LiteError
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.targets.liteserver import probes as node_probes
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.targets.toncenter_v2 import probes as toncenter
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.targets.toncenter_v2.source import ToncenterSource
from tonwatch.ton.adnl import wire
from tonwatch.ton.cells.cell import Cell, boc, cell
from tonwatch.ton.contracts.transactions import TransactionId
from tonwatch.ton.contracts.wallets import WalletKind
from tonwatch.ton.errors import Reason, TonError
from tonwatch.ton.http import HttpClient, open_session
from tonwatch.ton.liteserver import tl
from tonwatch.ton.liteserver.proofs import KnownBlocks

TIMEOUT: Final = 1.0


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything inside a JSON value, and to the value itself."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def put(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """A copy with another value at a path."""
    if not path:
        return other
    first, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[first] = put(copy[first], tuple(rest), other)
    return copy


class Change(NamedTuple):
    """Which answer is changed, counted from 0, and how."""

    which: int
    change: Callable[[bytes], bytes]

    def apply(self) -> Callable[[bytes], bytes]:
        """A function to call with each answer in turn."""
        numbers = count()
        return lambda answer: self.change(answer) if next(numbers) == self.which else answer


@st.composite
def json_change(draw: st.DrawFn) -> Change:
    """One value of one answer is another, or its body is cut short or not JSON."""
    other, at = draw(JSON), draw(st.integers(0, 200))
    cut = draw(st.sampled_from([False, False, False, True]))

    def change(body: bytes) -> bytes:
        answer = json.loads(body)
        ways = list(places(answer))
        changed = json.dumps(put(answer, ways[at % len(ways)], other)).encode()
        return changed[: at % len(changed)] if cut else changed

    return Change(draw(st.integers(0, 4)), change)


@asynccontextmanager
async def provider_that(change: Change, network: WalletNetwork) -> AsyncIterator[ToncenterClient]:
    """A client of a provider in front of the simulated one, of which one answer is changed."""
    origin, changed = network.simulator.providers[0].url, change.apply()

    async with aiohttp.ClientSession() as session:

        async def forward(request: aiohttp.web.BaseRequest) -> aiohttp.web.Response:
            url = f"{origin}/{request.path.rpartition('/')[2]}"
            data = await request.read()
            headers = {"Content-Type": "application/json"} if data else {}
            async with session.request(
                request.method, url, params=request.query, data=data or None, headers=headers
            ) as answer:
                body = changed(await answer.read())
            return aiohttp.web.Response(status=answer.status, body=body)

        async with serving(forward) as url, open_session() as ours:
            yield ToncenterClient(HttpClient(url, ours, AsyncLimiter(1000, 1), lambda: None))


def chain(depth: int) -> Cell:
    """A chain of cells of this depth."""
    made = cell(b"")
    for number in range(depth):
        made = cell(number.to_bytes(2, "big"), made)
    return made


def deep_bag(depth: int) -> bytes:
    """A bag of cells, each below the one before it, deeper than allowed."""
    size = 2
    body = b"".join(
        bytes((1, 0)) + (index + 1).to_bytes(size, "big") for index in range(depth - 1)
    ) + bytes((0, 0))
    count = depth.to_bytes(size, "big")
    head = b"\xb5\xee\x9c\x72" + bytes((size, 3)) + count + (1).to_bytes(size, "big") + bytes(size)
    return head + len(body).to_bytes(3, "big") + bytes(size) + body


BAGS: Final = (
    b"",
    boc(cell(b"")),
    boc(cell(b"\xff" * 30, cell(b"x"), cell(b"y"))),
    boc(cell(b"one"), cell(b"two")),
    boc(chain(200)),
    boc(chain(200))[:-1],
    b"\xb5\xee\x9c\x72" + b"\xff" * 40,
    # A pruned branch, a library, and a proof of nothing that is there.
    boc(Cell(bytes((0x28, 72, 1, 1)) + bytes(34))),
    boc(Cell(bytes((8, 66, 2)) + bytes(32))),
    boc(Cell(bytes((9, 70, 3)) + bytes(34), (cell(b"z"),))),
    # More cells below each other than the chain allows.
    deep_bag(1030),
    deep_bag(4000),
)

OTHERS: Final = tuple(sorted(recorded_answers().values()))
"""Answers to all kinds of questions."""


def with_bag(answer: bytes, bag: bytes) -> bytes:
    """The answer with another bag of cells in place of each that it has."""
    for pair in ("accountState", "runMethodResult", "blockHeader"):
        if tl.is_constructor(answer, f"liteServer.{pair}"):
            fields = tl.decode(answer, f"liteServer.{pair}")
            bags = {name: bag for name, value in fields.items() if isinstance(value, bytes)}
            return bytes(tl.lite_api().serialize(f"liteServer.{pair}", fields | bags))
    if tl.is_constructor(answer, "liteServer.transactionList"):
        return answer[:4] + bytes(4) + wire.tl_bytes(bag)
    return answer


@st.composite
def byte_change(draw: st.DrawFn) -> Change:
    """One answer has other bytes, another constructor, or other cells."""
    kind = draw(st.sampled_from(["bytes", "bytes", "short", "long", "another", "bag"]))
    at, value = draw(st.integers(0, 3000)), draw(st.integers(0, 255))
    bag = draw(st.sampled_from(BAGS))

    def change(answer: bytes) -> bytes:
        match kind:
            case "bytes":
                place = at % len(answer)
                return answer[:place] + bytes((value,)) + answer[place + 1 :]
            case "short":
                return answer[: at % len(answer)]
            case "long":
                return answer + bytes((value,)) * (1 + at % 9)
            case "another":
                return OTHERS[at % len(OTHERS)]
            case _:
                return with_bag(answer, bag)

    return Change(draw(st.integers(0, 6)), change)


@asynccontextmanager
async def node_that(change: Change, network: WalletNetwork) -> AsyncIterator[Server]:
    """A node that answers as the simulated one does, but for one answer."""
    node: LiteServer = network.simulator.liteservers[0]
    changed = change.apply()

    async def script(peer: Peer) -> None:
        await peer.accept()
        while True:
            question = await peer.query()
            try:
                answer = queries.answer(node.node_state(), queries.parse(question.body))
            except LiteError as error:
                answer = error.encode()
            peer.answer(question, changed(answer))

    async with Server(script) as server:
        yield server


def fine(sample: Sample) -> None:
    assert sample.reason is not Reason.PROBE_FAILED, sample.detail
    assert sample.ok or sample.detail


async def about_accounts(source: Source, network: WalletNetwork, seqno: int) -> None:
    """Ask all questions about accounts; only a `TonError` may be raised."""
    batch = [network.coins(), network.jettons(), network.coins(2)]
    batch_read = await balances.read(batch, [source], balances.JettonWallets(), wall=time.time)
    for sample in batch_read.samples:
        fine(sample)
    for reading in batch_read.readings:
        assert reading.reason is not Reason.PROBE_FAILED, reading.detail
    for sample in await compare(
        network.owner(), [source], seqno, whose="wallet payouts", coin="TON", wall=time.time
    ):
        fine(sample)
    sent = await write_path(source, network.owner(), WalletKind.V3R2, wall=time.time)
    if sent is not None:
        fine(sent)
    shard = network.simulator.chain.head.shard
    account = shard.accounts.get(network.owner()) if shard is not None else None
    last = account.last if account is not None else None
    for wanted in (last or TransactionId(1, bytes(32)), TransactionId(2**64 - 1, bytes(32))):
        try:
            await source.transactions(network.owner(), wanted, 16)
        except TonError as error:
            assert error.reason is not Reason.PROBE_FAILED  # noqa: PT017  either way is fine


MANY: Final = 25
"""Changes that are tried on one network."""


@settings(max_examples=4, phases=[Phase.generate])
@given(st.lists(json_change(), min_size=MANY, max_size=MANY))
async def test_any_answer_of_a_provider(many: list[Change]) -> None:
    async with wallet_network() as network:
        head = network.simulator.chain.head.header.seqno
        for change in many:
            async with provider_that(change, network) as client:
                fine(await toncenter.head("p", client, timeout=TIMEOUT, wall=time.time))
                fine(await toncenter.connect("p", client, timeout=TIMEOUT, wall=time.time))
                fine(await toncenter.account("p", client, timeout=TIMEOUT, wall=time.time))
                fine(await toncenter.fork("p", client, head, timeout=TIMEOUT, wall=time.time))
                await about_accounts(ToncenterSource("p", client, lambda: TIMEOUT), network, head)


@settings(max_examples=4, phases=[Phase.generate])
@given(st.lists(byte_change(), min_size=MANY, max_size=MANY))
async def test_any_answer_of_a_liteserver(many: list[Change]) -> None:
    async with wallet_network() as network:
        head = network.simulator.chain.head.header.seqno
        for change in many:
            async with node_that(change, network) as server:
                link = server.link()
                for ask in (node_probes.head, partial(node_probes.connect, patience=TIMEOUT)):
                    fine(await ask("n", link, timeout=TIMEOUT, wall=time.time))
                fine(await node_probes.fork("n", link, head, timeout=TIMEOUT, wall=time.time))
                source = LiteServerSource("n", link, KnownBlocks(), lambda: TIMEOUT)
                fine(await node_probes.account(source, wall=time.time, queues=True))
                await about_accounts(source, network, head)
                await link.drop()
