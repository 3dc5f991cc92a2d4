"""A simulated network with wallets of every kind, and the sources to read it from."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter

from tonwatch.probes.source import Source
from tonwatch.samples.account import AccountKey, Watched
from tonwatch.simulator.network import Simulator
from tonwatch.targets.liteserver.source import LiteServerSource
from tonwatch.targets.toncenter_v2.client import ToncenterClient
from tonwatch.targets.toncenter_v2.source import ToncenterSource
from tonwatch.ton.address import Address
from tonwatch.ton.http import HttpClient, open_session
from tonwatch.ton.liteserver.link import Link
from tonwatch.ton.liteserver.proofs import KnownBlocks

WALLETS = 6
"""One of each kind."""

TIMEOUT = 2.0


class WalletNetwork:
    """The network and its sources: node-1, node-2, provider-1."""

    def __init__(self, simulator: Simulator, sources: list[Source]) -> None:
        self.simulator = simulator
        self.sources = sources
        self.node, self.other, self.provider = sources

    @property
    def master(self) -> Address:
        master = self.simulator.world.master
        assert master is not None
        return master.address

    def owner(self, number: int = 0) -> Address:
        return self.simulator.world.wallets[number].address

    def coins(self, number: int = 0) -> Watched:
        return Watched(AccountKey(f"wallet-{number + 1}", "native"), self.owner(number))

    def jettons(self, number: int = 0) -> Watched:
        key = AccountKey(f"wallet-{number + 1}", "usdt")
        return Watched(key, self.owner(number), self.master)


@asynccontextmanager
async def wallet_network() -> AsyncIterator[WalletNetwork]:
    async with (
        Simulator(
            wallets=WALLETS, contracts=1, automatic=False, backfill=20.0, clock=time.time
        ) as simulator,
        open_session() as session,
    ):
        known = KnownBlocks()
        sources: list[Source] = []
        links = []
        for node in simulator.liteservers:
            link = Link(node.host, node.port, lambda node=node: node.public_key)  # type: ignore[misc]  # mypy cannot infer defaults of lambdas
            links.append(link)
            sources.append(LiteServerSource(node.name, link, known, lambda: TIMEOUT))
        for provider in simulator.providers:
            client = ToncenterClient(
                HttpClient(provider.url, session, AsyncLimiter(100, 1), lambda: None)
            )
            sources.append(ToncenterSource(provider.name, client, lambda: TIMEOUT))
        try:
            yield WalletNetwork(simulator, sources)
        finally:
            for link in links:
                await link.drop()
