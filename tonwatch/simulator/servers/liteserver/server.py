"""A liteserver over ADNL-TCP, with faults on command."""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pytoniq_core.crypto.ciphers import Client

from tonwatch.simulator.chain import noise as noises
from tonwatch.simulator.chain.chain import Chain
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.chain.noise import Noise
from tonwatch.simulator.faults.fault import Fault
from tonwatch.simulator.servers.base import BASE_FAULTS, SimulatedServer
from tonwatch.simulator.servers.liteserver.connection import Connection
from tonwatch.simulator.servers.liteserver.node_state import NodeState


class LiteServer(SimulatedServer):
    """One liteserver of a chain.

    Args:
        legacy: without `getMasterchainInfoExt` mode 1, as nodes before May 2026.
        key: ed25519 private key, 32 bytes; None for a new one.

    The other arguments are those of `SimulatedServer`.

    Attributes:
        public_key: its ed25519 key, 32 bytes, as clients configure it.
    """

    kind: ClassVar = "liteserver"
    section: ClassVar = "liteservers"
    supported_faults: ClassVar = BASE_FAULTS | {
        Fault.HANG,
        Fault.NOT_SYNCED,
        Fault.SLOW,
        Fault.GARBAGE,
        Fault.WRONG_KEY,
        Fault.SHARD_LAG,
        Fault.CLOCK_SKEW,
        Fault.THROTTLE,
        Fault.DROP_MID_FRAME,
        Fault.LOSSY,
        Fault.SLOW_DRIP,
        Fault.GIANT_ANSWER,
        Fault.BAD_PROOF,
        Fault.FALSE_BALANCE,
        Fault.PRUNE_HISTORY,
        Fault.REJECT_EXTERNALS,
    }

    def __init__(
        self,
        name: str,
        chain: Chain,
        *,
        foreign: Chain | None = None,
        fork: Fork | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        noise: Noise = noises.NONE,
        legacy: bool = False,
        key: bytes | None = None,
    ) -> None:
        super().__init__(name, chain, foreign=foreign, fork=fork, host=host, port=port, noise=noise)
        self.legacy = legacy
        self.identity = Client(key or Client.generate_ed25519_private_key())
        self.public_key: bytes = self.identity.ed25519_public.encode()
        self.connections: set[Connection] = set()

    @classmethod
    def in_network(cls, seed: str, name: str, chain: Chain, **arguments: Any) -> Self:
        key = hashlib.sha256(f"key of {name} in {seed}".encode()).digest()
        return cls(name, chain, key=key, **arguments)

    def config(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "host": self.host,
            "port": self.port,
            "key": base64.b64encode(self.public_key).decode(),
        }

    def node_state(self) -> NodeState:
        """The state for the next answer; called once for each."""
        return NodeState(
            self.answering_view(),
            self.now,
            self.legacy,
            bad_proofs=self.fault_value(Fault.BAD_PROOF) is not None,
            false_balances=self.fault_value(Fault.FALSE_BALANCE) is not None,
            history=self.fault_value(Fault.PRUNE_HISTORY),
            rejects_externals=self.fault_value(Fault.REJECT_EXTERNALS) is not None,
        )

    async def _listen(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Connection(self, self.identity, self.node_state, self.connections),
            self.host,
            port,
        )

    def _fault_changed(self) -> None:
        for connection in list(self.connections):
            connection.fault_changed()

    async def _close_connections(self) -> None:
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.closed.wait()
