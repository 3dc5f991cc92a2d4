"""What all simulated servers share: a socket, a view of the chain, a fault."""

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from tonwatch.simulator.chain import Block, Chain
from tonwatch.simulator.faults import ActiveFault, Fault


class View(NamedTuple):
    """How far a node is: its newest masterchain block, and its shard client's."""

    head: Block
    shard_client: Block


class Target(ABC):
    """A server on the loopback interface that can be told to misbehave.

    Args:
        name: what it is called in configs and over the control port.
        chain: the network that it serves.
        foreign: the network that it serves under `Fault.WRONG_NETWORK`; that
            fault is not supported without one.
        host: address to listen on.
        port: port to listen on; 0 for a free one, which then stays the same.

    Attributes:
        port: the port in use, once started.
        fault: what is wrong now; None for nothing.
    """

    kind: ClassVar[str]
    can: ClassVar[frozenset[Fault]]

    def __init__(
        self,
        name: str,
        chain: Chain,
        *,
        foreign: Chain | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.fault: ActiveFault | None = None
        self._own_chain = chain
        self._foreign = foreign
        self._frozen: View | None = None
        self._listener: asyncio.Server | None = None

    @property
    def supported(self) -> list[Fault]:
        """The faults that can be set here, in the enum's order."""
        without = {Fault.WRONG_NETWORK} if self._foreign is None else set()
        return [fault for fault in Fault if fault in self.can - without]

    @property
    def chain(self) -> Chain:
        """The network that is served now."""
        if self._foreign is not None and self.suffers(Fault.WRONG_NETWORK) is not None:
            return self._foreign
        return self._own_chain

    @property
    def now(self) -> float:
        """The server's own clock, Unix seconds."""
        return self._own_chain.clock() + (self.suffers(Fault.CLOCK_SKEW) or 0.0)

    def view(self) -> View:
        """How far this server is, as its fault has it."""
        if self._frozen is not None:
            return self._frozen
        lag = self.suffers(Fault.LAG)
        if lag is not None:
            head = self.chain.at(self.chain.clock() - lag)
            return View(head, head)
        head = shard_client = self.chain.head
        shard_lag = self.suffers(Fault.SHARD_LAG)
        if shard_lag is not None:
            shard_client = self.chain.block(head.seqno - int(shard_lag)) or self.chain.oldest
        return View(head, shard_client)

    def find(self, seqno: int) -> Block | None:
        """The masterchain block `seqno` if this server has it."""
        view = self.view()
        for own in view:  # a stalled server keeps its block when the chain has forgotten it
            if own.seqno == seqno:
                return own
        return self.chain.block(seqno) if seqno < view.head.seqno else None

    def suffers(self, fault: Fault) -> float | None:
        """The number of `fault` if that is what is wrong now; None if not."""
        return self.fault.value if self.fault is not None and self.fault.fault is fault else None

    def check(self, fault: Fault, value: float | None = None) -> ActiveFault:
        """What `set_fault` would set.

        Raises:
            ValueError: not supported here, or not with this number.
        """
        if fault not in self.supported:
            known = ", ".join(self.supported)
            raise ValueError(f"{self.name} ({self.kind}) cannot {fault}; it supports: {known}")
        return ActiveFault.of(fault, value)

    async def set_fault(self, fault: Fault, value: float | None = None) -> None:
        """Misbehave from now on, on new and on open connections; replaces an earlier fault.

        Raises:
            ValueError: as `check`.
        """
        await self._change(self.check(fault, value))

    async def clear_fault(self) -> None:
        """Behave again."""
        await self._change(None)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._listener = await self._listen(self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop all connections; no task or timer is left."""
        self._stop_listening()
        await self._close_connections()

    async def _change(self, fault: ActiveFault | None) -> None:
        self.fault = fault
        self._frozen = None
        if self.suffers(Fault.STALL) is not None:
            self._frozen = self.view()
        if self.suffers(Fault.REFUSE) is not None:
            self._stop_listening()
        elif self._listener is None:
            self._listener = await self._listen(self.port)
        self._fault_changed()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @abstractmethod
    async def _listen(self, port: int) -> asyncio.Server: ...

    @abstractmethod
    def _fault_changed(self) -> None:
        """Let open connections feel a new fault, or its end, at once."""

    @abstractmethod
    async def _close_connections(self) -> None: ...
