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
from tonwatch.simulator.servers.liteserver.node_state import USUAL_QUEUE, NodeState


class LiteServer(SimulatedServer):
    """One liteserver of a chain.

    Args:
        legacy: as nodes before May 2026: without `getMasterchainInfoExt` mode 1, and with other
            texts and codes of errors.
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
        Fault.ACCOUNTS_FAIL,
        Fault.KEPT_STALE,
        Fault.FALSE_TIME,
        Fault.UNDECIDED_EXTERNALS,
        Fault.OUT_QUEUE,
        Fault.SLOW_CONNECT,
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

    def node_state(self, *, kept: bool = False) -> NodeState:
        """The state for the next answer; called once for each. `kept` is as for `view`."""
        code, queue = self.fault_value(Fault.ACCOUNTS_FAIL), self.fault_value(Fault.OUT_QUEUE)
        return NodeState(
            self.answering_view(kept=kept),
            self.now,
            self.legacy,
            bad_proofs=self.has_fault(Fault.BAD_PROOF),
            false_balances=self.has_fault(Fault.FALSE_BALANCE),
            history=self.fault_value(Fault.PRUNE_HISTORY),
            rejects_externals=self.has_fault(Fault.REJECT_EXTERNALS),
            undecided_externals=self.has_fault(Fault.UNDECIDED_EXTERNALS),
            accounts_code=None if code is None else int(code),
            time_error=int(self.fault_value(Fault.FALSE_TIME) or 0),
            out_queue=USUAL_QUEUE if queue is None else int(queue),
        )

    async def _listen(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self, self.connections), self.host, port)

    def _open_connections(self) -> list[Connection]:
        return list(self.connections)

    def _faults_changed(self) -> None:
        for connection in list(self.connections):
            connection.faults_changed()

    async def _close_connections(self) -> None:
        connections = list(self.connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.closed.wait()
