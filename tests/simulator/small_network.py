"""A small network and raw clients of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from pytoniq_core.crypto.ciphers import create_aes_ctr_cipher

from tests.simulator.chains import empty_chain
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.servers.base import SimulatedServer
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.simulator.servers.toncenter_v2.server import ToncenterV2
from tonwatch.ton.adnl.connection import AdnlConnection
from tonwatch.ton.errors import Reason, TonError
from tonwatch.ton.liteserver import tl

# Both read files at their first use, which must not be inside an event loop.
tl.lite_api()
create_aes_ctr_cipher(bytes(32), bytes(16))

NOW = 1_800_000_000.0
PATIENCE = 5.0
"""Seconds to wait for an expected answer."""
SILENCE = 0.1
"""Seconds to wait where no answer is expected."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class SmallNetwork:
    """A chain of 80 blocks on a fake clock, a liteserver and a provider."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.chain = empty_chain("here", clock=self.clock, backfill=80)
        self.foreign = empty_chain("elsewhere", clock=self.clock, backfill=7)
        self.fork = Fork(self.chain)
        self.node = LiteServer("node", self.chain, foreign=self.foreign, fork=self.fork)
        self.provider = ToncenterV2("provider", self.chain, foreign=self.foreign, fork=self.fork)


@asynccontextmanager
async def small_network() -> AsyncIterator[SmallNetwork]:
    made = SmallNetwork()
    await made.node.start()
    await made.provider.start()
    try:
        yield made
    finally:
        await made.node.close()
        await made.provider.close()


# A liteserver.


async def connect(node: LiteServer, timeout: float = PATIENCE) -> AdnlConnection:
    return await AdnlConnection.open(node.host, node.port, node.public_key, timeout=timeout)


async def info(connection: AdnlConnection, mode: int = 0, timeout: float = PATIENCE) -> tl.Fields:
    query = tl.encode_query("getMasterchainInfoExt", {"mode": mode})
    reply = await connection.query(query, timeout)
    return tl.decode(reply.body, "liteServer.masterchainInfoExt")


async def outcome(asked: Awaitable[object]) -> Reason:
    """The reason with which a query ended."""
    try:
        await asked
    except TonError as error:
        return error.reason
    return Reason.OK


def time_for(expected: Reason) -> float:
    """Seconds to wait for an outcome."""
    silent = (Reason.QUERY_TIMEOUT, Reason.HANDSHAKE_TIMEOUT, Reason.CONNECT_TIMEOUT)
    return SILENCE if expected in silent else PATIENCE


async def a_query(node: LiteServer, timeout: float = PATIENCE) -> Reason:
    connection = await connect(node)
    try:
        return await outcome(info(connection, timeout=timeout))
    finally:
        await connection.close()


async def a_ping(node: LiteServer, timeout: float = PATIENCE) -> Reason:
    connection = await connect(node)
    try:
        return await outcome(connection.ping(timeout))
    finally:
        await connection.close()


async def a_connection(node: LiteServer, timeout: float) -> Reason:
    try:
        connection = await connect(node, timeout)
    except TonError as error:
        return error.reason
    await connection.close()
    return Reason.OK


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


# A provider.

Answer = tuple[int | str, object]


async def get(provider: ToncenterV2, method: str, timeout: float = PATIENCE) -> Answer:
    """Status and body of one request, or the name of aiohttp's exception."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.get(f"{provider.url}/{method}") as response,
        ):
            text = await response.text()
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, text
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__, None


# Either.


def pick(it: SmallNetwork, kind: str) -> SimulatedServer:
    return it.node if kind == "node" else it.provider
