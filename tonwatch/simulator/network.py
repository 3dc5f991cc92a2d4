"""A small TON network in one process: a chain, servers, contracts, faults."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count, repeat
from types import TracebackType
from typing import Any, Final, Self

import yaml

from tonwatch.simulator.chain import noise as noises
from tonwatch.simulator.chain.chain import HISTORY, Chain
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.chain.noise import Noise
from tonwatch.simulator.contracts import jetton
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.breakable_chain import BreakableChain
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.simulator.servers.base import SimulatedServer
from tonwatch.simulator.servers.http_provider import HttpProvider
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.simulator.servers.registry import SECTIONS, SERVERS, ServerSpec, specs
from tonwatch.simulator.world.world import World

CHAIN: Final = BreakableChain.kind
"""The name under which the network itself takes faults."""

_PRIMARIES: Final = "liteservers"
"""The section whose first servers have the role primary."""


class UnknownTarget(ValueError):
    """No target has this name."""


class Simulator:
    """A network that runs inside ``async with``.

    Args:
        liteservers: how many (``node-1``, ``node-2``, ...), or their names.
        providers: how many (``provider-1``, ...), or their names; of another kind than
            toncenter-v2 with that.
        wallets: how many (``wallet-1``, ...), or their names.
        contracts: how many contracts besides wallets (``contract-1``, ...), or their names.
        payouts_per_minute: scheduled payouts of each wallet, 60 at most.
        currencies: extra currencies that every wallet holds: smallest units by id.
        primaries: how many liteservers, from the first, have the role primary
            in `config`; the others and all providers are references.
        external: names of servers that `config` marks as not on this machine.
        seed: names the network, and makes its blocks and all keys.
        base_port: the port of the first server, the next one has the next, and so on; 0 for
            free ports.
        block_interval: average seconds between blocks.
        backfill: seconds of blocks that exist from the start, so that a node can lag at once.
        automatic: False produces no blocks but those of `chain.advance`.
        clock: the wall clock in seconds.
        noise: what varies without faults; each server's own `noise` can be replaced
            later; `step_back` is only for kinds behind load balancers.

    Attributes:
        servers: all of them, liteservers first.
        chain: the network.
        world: its wallets and contracts.
        foreign: another network, for `Fault.WRONG_NETWORK`; it makes blocks
            only while a server belongs to it.
        fork: a fork of the chain, for `Fault.FORK`; the same for all servers.
    """

    def __init__(
        self,
        *,
        liteservers: int | Sequence[str | ServerSpec] = 2,
        providers: int | Sequence[str | ServerSpec] = 1,
        wallets: int | Sequence[str] = 0,
        contracts: int | Sequence[str] = 0,
        payouts_per_minute: float = 0.0,
        currencies: Mapping[int, int] | None = None,
        primaries: int = 1,
        external: Collection[str] = (),
        seed: str = "tonwatch",
        base_port: int = 0,
        block_interval: float = 0.4,
        backfill: float = 180.0,
        automatic: bool = True,
        clock: Callable[[], float] = time.time,
        noise: Noise = noises.NONE,
    ) -> None:
        blocks = max(1, min(HISTORY, round(backfill / block_interval))) if block_interval > 0 else 1
        self.world = World(
            seed,
            wallets=_names(wallets, "wallet"),
            contracts=_names(contracts, "contract"),
            payouts_per_minute=payouts_per_minute,
            currencies=currencies,
        )
        self._currencies = currencies or {}
        self.chain = Chain(
            seed,
            self.world,
            interval=block_interval,
            clock=clock,
            backfill=blocks,
            noise=noise,
        )
        self.foreign = Chain(
            f"not {seed}",
            World(),
            interval=block_interval,
            clock=clock,
            noise=noise,
            on_demand=True,
        )
        self.fork = Fork(self.chain)
        ports = count(base_port) if base_port else repeat(0)
        self.servers = [
            self._server(spec, seed, next(ports), noise)
            for spec in (*specs("liteservers", liteservers), *specs("providers", providers))
        ]
        self._primaries = primaries
        self._external = frozenset(external)
        self._automatic = automatic
        self._targets: dict[str, Breakable] = {}
        for each in (BreakableChain(self.chain), *self.servers, *self.world.breakable):
            if each.name in self._targets:
                raise ValueError(f"the name {each.name!r} is taken")
            self._targets[each.name] = each
        names = {server.name for server in self.servers}
        for name in self._external - names:
            raise UnknownTarget(f"no target {name!r}; servers are: {', '.join(sorted(names))}")
        self._tasks: list[asyncio.Task[None]] = []

    def _server(self, spec: ServerSpec, seed: str, port: int, noise: Noise) -> SimulatedServer:
        server = SERVERS[spec.kind]
        return server.in_network(
            seed,
            spec.name,
            self.chain,
            port=port,
            noise=noise if server.load_balanced else replace(noise, step_back=0),
            foreign=self.foreign,
            fork=self.fork,
        )

    @property
    def liteservers(self) -> list[LiteServer]:
        return [server for server in self.servers if isinstance(server, LiteServer)]

    @property
    def providers(self) -> list[HttpProvider]:
        return [server for server in self.servers if isinstance(server, HttpProvider)]

    @property
    def breakable(self) -> list[Breakable]:
        """All targets of faults, the chain first."""
        return list(self._targets.values())

    async def __aenter__(self) -> Self:
        try:
            for server in self.servers:
                await server.start()
        except BaseException:
            await self._close()
            raise
        if self._automatic:
            self._tasks = [
                asyncio.create_task(chain.run(), name="simulated chain")
                for chain in (self.chain, self.foreign)
            ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for server in self.servers:
            await server.close()

    # Faults.

    def target(self, name: str) -> Breakable:
        """The server, wallet or contract named `name`, or the chain.

        Raises:
            UnknownTarget: there is none; the text names all.
        """
        try:
            return self._targets[name]
        except KeyError:
            known = ", ".join(self._targets)
            raise UnknownTarget(f"no target {name!r}; targets are: {known}") from None

    def check(self, target: str, fault: Fault, value: float | None = None) -> ActiveFault:
        """What `set_fault` would set.

        Raises:
            UnknownTarget: no such target.
            ValueError: the target does not support the fault, or not with this number.
        """
        return self.target(target).check(fault, value)

    async def set_fault(self, target: str, fault: Fault, value: float | None = None) -> None:
        """Have a target have this one fault; the target ``chain`` is the whole network.

        Raises:
            UnknownTarget, ValueError: as `check`.
        """
        await self.target(target).set_fault(fault, value)

    async def set_faults(self, target: str, *faults: ActiveFault) -> None:
        """Have a target have these faults, which `check` has returned.

        Raises:
            UnknownTarget: no such target.
            ValueError: a fault is among them twice.
        """
        await self.target(target).set_faults(*faults)

    async def clear(self, target: str | None = None) -> None:
        """End the faults of `target`, or all faults.

        Raises:
            UnknownTarget: no such target.
        """
        for each in self.breakable if target is None else [self.target(target)]:
            await each.clear_faults()

    # tonwatch's configuration.

    def config(self) -> dict[str, Any]:
        """A configuration with which tonwatch watches the network."""
        return {
            "network": self.chain.zerostate.root_hash.hex(),
            **{section: self._section(section) for section in SECTIONS},
            **({"wallets": self._wallets()} if self.world.wallets else {}),
            **({"contracts": self._contracts()} if self.world.contracts else {}),
        }

    def _section(self, section: str) -> list[dict[str, Any]]:
        servers = [server for server in self.servers if server.section == section]
        primaries = servers[: self._primaries] if section == _PRIMARIES else []
        return [
            {
                **server.config(),
                "role": "primary" if server in primaries else "reference",
                **({"local": False} if server.name in self._external else {}),
            }
            for server in servers
        ]

    def _wallets(self) -> list[dict[str, Any]]:
        return [
            {
                "name": wallet.name,
                "address": wallet.address.friendly(),
                "minimum": "50",
                "jettons": [
                    {
                        "name": jetton.USDT,
                        "master": wallet.jettons.master.address.friendly(),
                        "decimals": jetton.DECIMALS,
                        "minimum": "100",
                    }
                ],
                **self._currencies_of_wallets(),
                "payouts": True,
                **({"write_probe": True} if index == 0 else {}),
            }
            for index, wallet in enumerate(self.world.wallets)
        ]

    def _currencies_of_wallets(self) -> dict[str, Any]:
        if not self._currencies:
            return {}
        each = [{"name": f"extra-{id_}", "id": id_, "decimals": 9} for id_ in self._currencies]
        return {"extra_currencies": each}

    def _contracts(self) -> list[dict[str, Any]]:
        return [
            {
                "name": contract.name,
                "address": contract.address.friendly(),
                "code_hash": contract.code_hash.hex(),
            }
            for contract in self.world.contracts
        ]

    def config_yaml(self, state_dir: str) -> str:
        """`config` as the file that ``tonwatch --config`` reads.

        Args:
            state_dir: for payout progress, where there are wallets. Each run needs a new one: the
                wallets are the same, their transactions are not.
        """
        content = self.config()
        if self.world.wallets:
            content["state_dir"] = state_dir
        return yaml.safe_dump(content, sort_keys=False)


def _names(wanted: int | Sequence[str], stem: str) -> list[str]:
    if isinstance(wanted, int):
        return [f"{stem}-{number}" for number in range(1, wanted + 1)]
    return list(wanted)
