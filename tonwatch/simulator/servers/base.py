"""What all kinds of simulated servers share: a socket, a view of the chain, a fault, some noise."""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar, Final, Self

from tonwatch.simulator.chain import noise as noises
from tonwatch.simulator.chain.chain import Chain, Ledger
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.chain.noise import Noise
from tonwatch.simulator.faults.breakable import Breakable
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.simulator.servers.unreachable import BlackHole
from tonwatch.simulator.servers.view import View

_CATCHING_UP: Final = 4
"""Seconds of blocks that a node takes in each second while it catches up."""

_HANDED_OVER: Final = 3
"""Turns of the loop after which a connection that asyncio has taken is its protocol's."""


BASE_FAULTS: Final = frozenset(
    {
        Fault.REFUSE,
        Fault.LAG,
        Fault.STALL,
        Fault.WRONG_NETWORK,
        Fault.FORK,
        Fault.UNREACHABLE,
        Fault.STEP_BACK,
        Fault.FLAP,
        Fault.CATCH_UP,
    }
)
"""Faults that every kind of server has from `SimulatedServer`."""


class SimulatedServer(Breakable):
    """A server on the loopback interface that can have faults.

    A kind is a subclass in `servers.registry`: it names itself, the faults that it supports, and
    its part of tonwatch's configuration.

    Args:
        name: what it is called in configs and over the control port.
        chain: the network that it serves.
        foreign: the network that it serves under `Fault.WRONG_NETWORK`; that
            fault is not supported without one.
        fork: what it follows under `Fault.FORK`; not supported without one either.
        host: address to listen on.
        port: port to listen on; 0 for a free one, which then stays the same.
        noise: what varies in its answers, whatever the fault.

    Attributes:
        section: the list of tonwatch's configuration that has servers of this kind.
        load_balanced: real ones are several servers behind one address.
        port: the port in use, once started.
        noise: may be replaced at any time.
    """

    section: ClassVar[str]
    load_balanced: ClassVar[bool] = False

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
    ) -> None:
        super().__init__(name)
        self.host = host
        self.port = port
        self.noise = noise
        self._own_chain = chain
        self._elsewhere = {Fault.WRONG_NETWORK: foreign, Fault.FORK: fork}
        self._followed: Chain | Fork | None = None
        self._chain: Ledger = chain
        self._frozen: View | None = None
        self._since = 0.0
        self._behind_is_next = False
        self._seed = chain.zerostate.root_hash + name.encode()
        self._noise_random = Random(self._seed + b" noise")
        self._fault_random = Random(self._seed)
        self._listener: asyncio.Server | None = None
        self._black_hole: BlackHole | None = None
        self._flapping: asyncio.Task[None] | None = None
        # A fault is set, a flapping server turns, or all is closed: one after the other.
        self._changing = asyncio.Lock()

    @classmethod
    def in_network(cls, seed: str, name: str, chain: Chain, **arguments: Any) -> Self:
        """A server of the network that `seed` names; what it generates is the same each time."""
        del seed
        return cls(name, chain, **arguments)

    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """Its entry in tonwatch's configuration, without the role."""

    @property
    def supported(self) -> list[Fault]:
        without = {fault for fault, chain in self._elsewhere.items() if chain is None}
        return [fault for fault in super().supported if fault not in without]

    @property
    def now(self) -> float:
        """The server's own clock, Unix seconds."""
        return self._own_chain.clock() + (self.suffers(Fault.CLOCK_SKEW) or 0.0)

    @property
    def chain(self) -> Ledger:
        """The network that is served now."""
        return self._chain

    @property
    def silent(self) -> bool:
        """Nothing is answered on open connections."""
        return self._has(Fault.HANG, Fault.UNREACHABLE)

    @property
    def refusing(self) -> bool:
        """Nothing listens, and open connections are reset."""
        return self._listener is None and self._has(Fault.REFUSE, Fault.FLAP)

    def view(self) -> View:
        """How far this server is, as its fault has it."""
        if self._frozen is not None:
            return self._frozen
        chain = self._chain
        behind = self._seconds_behind()
        if behind > 0:
            head = chain.at(chain.clock() - behind)
            return View(chain, head, head)
        head = shard_client = chain.head
        shard_lag = self.suffers(Fault.SHARD_LAG)
        if shard_lag is not None:
            shard_client = chain.block(head.seqno - int(shard_lag)) or chain.oldest
        return View(chain, head, shard_client)

    def answering_view(self) -> View:
        """The view that the next answer comes from; to be asked once for each answer.

        It is the same as `view`, or further back: behind one address there may
        be several servers.
        """
        blocks = self.noise.steps_back(self._noise_random)
        step = self.suffers(Fault.STEP_BACK)
        if step is not None:
            blocks += int(step) if self._behind_is_next else 0
            self._behind_is_next = not self._behind_is_next
        return self.view().back(blocks) if blocks else self.view()

    def delay(self) -> float:
        """Seconds that the noise delays the next answer; to be asked once for each answer."""
        return self.noise.delay(self._noise_random)

    def loses_answer(self) -> bool:
        """Whether the next answer gets lost; to be asked once for each answer."""
        share = self.suffers(Fault.LOSSY) or 0.0
        by_fault = share > 0 and self._fault_random.random() < share
        return self.noise.loses(self._noise_random) or by_fault

    async def set_fault(self, fault: Fault, value: float | None = None) -> None:
        """Misbehave from now on, on new and on open connections; replaces an earlier fault.

        Raises:
            ValueError: as `check`.
            OSError: the port was taken meanwhile, or cannot be made unreachable here.
        """
        await self._change(self.check(fault, value))

    async def clear_fault(self) -> None:
        """Behave again.

        Raises:
            OSError: the port was taken meanwhile.
        """
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
        async with self._changing:
            await self._stop_flapping()
            await self._stop_listening()
            self._follow(None)
            await self._close_connections()

    # What changes with the fault.

    async def _change(self, fault: ActiveFault | None) -> None:
        async with self._changing:
            await self._stop_flapping()
            self.fault = fault
            self._since = self._own_chain.clock()
            self._behind_is_next = False
            self._fault_random = Random(self._seed)
            self._follow(self._elsewhere.get(fault.fault) if fault is not None else None)
            self._frozen = None
            if self._has(Fault.STALL):
                self._frozen = self.view()
            await self._open_port()
            self._fault_changed()
            if fault is not None and fault.fault is Fault.FLAP:
                self._flapping = asyncio.create_task(
                    self._flap(fault.value), name=f"{self.name} flaps"
                )

    async def _open_port(self) -> None:
        """Listen, refuse or swallow, as the fault has it."""
        if self._has(Fault.UNREACHABLE):
            await self._stop_listening()
            try:
                self._black_hole = BlackHole(self.host, self.port)
            except OSError:
                self.fault = None
                self._listener = await self._listen(self.port)
                raise
        elif self._has(Fault.REFUSE, Fault.FLAP):
            await self._stop_listening()
        elif self._listener is None:
            await self._stop_listening()  # of a black hole, if there is one
            self._listener = await self._listen(self.port)

    async def _flap(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            async with self._changing:
                if self._listener is None:
                    self._listener = await self._listen(self.port)
                else:
                    await self._stop_listening()
                self._fault_changed()

    async def _stop_flapping(self) -> None:
        # Whoever calls this holds the lock: the task sleeps, or waits for the lock.
        task, self._flapping = self._flapping, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            # asyncio loses a connection, its socket left open, that it has taken but not yet
            # handed over when its server closes: take no more of them first.
            for each in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(each)
            for _ in range(_HANDED_OVER):
                await asyncio.sleep(0)
            self._listener.close()
            self._listener = None
        if self._black_hole is not None:
            self._black_hole.close()
            self._black_hole = None

    def _follow(self, other: Chain | Fork | None) -> None:
        """Serve `other`, or the own chain again."""
        before, self._followed = self._followed, other
        # A fork that is set anew stays the same one: join before leaving.
        self._chain = other.join() if other is not None else self._own_chain
        if before is not None:
            before.leave()

    def _seconds_behind(self) -> float:
        catching_up = self.suffers(Fault.CATCH_UP)
        if catching_up is not None:
            return catching_up - (_CATCHING_UP - 1) * (self._own_chain.clock() - self._since)
        return self.suffers(Fault.LAG) or 0.0

    def _has(self, *faults: Fault) -> bool:
        return self.fault is not None and self.fault.fault in faults

    @abstractmethod
    async def _listen(self, port: int) -> asyncio.Server: ...

    @abstractmethod
    def _fault_changed(self) -> None:
        """Let open connections feel a new fault, or its end, at once."""

    @abstractmethod
    async def _close_connections(self) -> None: ...
