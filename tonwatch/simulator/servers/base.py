"""What all kinds of simulated servers share: a socket, a view of the chain, faults, some noise."""

import asyncio
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from random import Random
from typing import Any, ClassVar, Final, Self
from weakref import WeakSet

from tonwatch.simulator.chain import noise as noises
from tonwatch.simulator.chain.chain import BlockHistory, Chain
from tonwatch.simulator.chain.fork import Fork
from tonwatch.simulator.chain.noise import Noise
from tonwatch.simulator.faults.breakable import Breakable, distinct
from tonwatch.simulator.faults.fault import ActiveFault, Fault
from tonwatch.simulator.servers.unreachable import UnreachablePort
from tonwatch.simulator.servers.view import View

_CATCHING_UP: Final = 4
"""Seconds of blocks that a node applies in each second while it catches up."""

_ACCEPT_ITERATIONS: Final = 3
"""Iterations of the loop until a connection that asyncio has accepted has its protocol."""


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
        Fault.REFUSE_NEW,
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
        foreign: the network that it serves under `Fault.WRONG_NETWORK`; without one that fault
            is not supported.
        fork: what it follows under `Fault.FORK`; without one that fault is not supported.
        host: address to listen on.
        port: port to listen on; 0 for a free one, which then stays the same.
        noise: what varies in its answers, with any fault.

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
        self._alternatives = {Fault.WRONG_NETWORK: foreign, Fault.FORK: fork}
        self._followed: Chain | Fork | None = None
        self._chain: BlockHistory = chain
        self._frozen: View | None = None
        self._kept_view: View | None = None
        self._kept: WeakSet[object] = WeakSet()
        self._since = 0.0
        self._next_is_behind = False
        self._seed = chain.zerostate.root_hash + name.encode()
        self._noise_random = Random(self._seed + b" noise")
        self._fault_random = Random(self._seed)
        self._listener: asyncio.Server | None = None
        self._unreachable_port: UnreachablePort | None = None
        self._flapping: asyncio.Task[None] | None = None
        # Changes of the faults, turns of a flapping server and closing exclude each other.
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
        without = {fault for fault, chain in self._alternatives.items() if chain is None}
        return [fault for fault in super().supported if fault not in without]

    @property
    def now(self) -> float:
        """The server's own clock, Unix seconds."""
        return self._own_chain.clock() + (self.fault_value(Fault.CLOCK_SKEW) or 0.0)

    @property
    def chain(self) -> BlockHistory:
        """The chain that is served now."""
        return self._chain

    @property
    def silent(self) -> bool:
        """Nothing is answered on open connections."""
        return self.has_fault(Fault.HANG, Fault.UNREACHABLE)

    @property
    def refusing(self) -> bool:
        """Nothing listens, and open connections are reset."""
        return self._listener is None and self.has_fault(Fault.REFUSE, Fault.FLAP)

    def view(self, *, kept: bool = False) -> View:
        """The server's view of the chain, with its faults.

        Args:
            kept: for a connection that `is_kept`.
        """
        if kept and self._kept_view is not None:
            return self._kept_view
        if self._frozen is not None:
            return self._frozen
        chain = self._chain
        behind = self._seconds_behind()
        head = chain.at(chain.clock() - behind) if behind > 0 else chain.head
        shard_lag = self.fault_value(Fault.SHARD_LAG)
        if shard_lag is None:
            return View(chain, head, head)
        return View(chain, head, chain.block(head.seqno - int(shard_lag)) or chain.oldest)

    def answering_view(self, *, kept: bool = False) -> View:
        """The view for the next answer; called once for each.

        It is `view`, or some blocks behind: one address may have several servers.
        """
        blocks = self.noise.steps_back(self._noise_random)
        step = self.fault_value(Fault.STEP_BACK)
        if step is not None:
            blocks += int(step) if self._next_is_behind else 0
            self._next_is_behind = not self._next_is_behind
        view = self.view(kept=kept)
        return view.back(blocks) if blocks else view

    def is_kept(self, connection: object) -> bool:
        """Whether a connection was open when `Fault.KEPT_STALE` began."""
        return connection in self._kept

    def delay(self) -> float:
        """Seconds by which noise delays the next answer; called once for each."""
        return self.noise.delay(self._noise_random)

    def loses_answer(self) -> bool:
        """Whether the next answer is lost; called once for each."""
        share = self.fault_value(Fault.LOSSY) or 0.0
        by_fault = share > 0 and self._fault_random.random() < share
        return self.noise.loses(self._noise_random) or by_fault

    async def set_faults(self, *faults: ActiveFault) -> None:
        """As `Breakable.set_faults`, for new and open connections; of two networks the first.

        A fault that is set again with the same number goes on: a server that stalls stays at
        its block.
        """
        checked = distinct(faults)
        async with self._changing:
            before, self.faults = self.faults, checked
            self._next_is_behind = False
            self._fault_random = Random(self._seed)
            self._follow(self._alternative())
            self._keep_views({active.fault for active in checked if active in before})
            closed = self.has_fault(Fault.REFUSE, Fault.REFUSE_NEW, Fault.UNREACHABLE)
            pause = self.fault_value(Fault.FLAP)
            flaps = pause is not None and not closed
            if not flaps or ActiveFault(Fault.FLAP, pause or 0.0) not in before:
                await self._stop_flapping()
            if self._flapping is None:
                await self._open_port()
            self._faults_changed()
            if pause is not None and flaps and self._flapping is None:
                self._flapping = asyncio.create_task(self._flap(pause), name=f"{self.name} flaps")

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

    # Changes of the faults.

    def _alternative(self) -> Chain | Fork | None:
        """What it follows in place of its own chain."""
        found = (self._alternatives.get(active.fault) for active in self.faults)
        return next((other for other in found if other is not None), None)

    def _keep_views(self, going_on: Collection[Fault]) -> None:
        """Keep what a fault shows later of this moment, unless it goes on."""
        if Fault.CATCH_UP not in going_on:
            self._since = self._own_chain.clock()
        if Fault.STALL not in going_on:
            self._frozen = None
            self._frozen = self.view() if self.has_fault(Fault.STALL) else None
        if Fault.KEPT_STALE not in going_on:
            begins = self.has_fault(Fault.KEPT_STALE)
            self._kept_view = self.view() if begins else None
            self._kept = WeakSet(self._open_connections() if begins else ())

    async def _open_port(self) -> None:
        """Listen, refuse or lose packets, as the faults want."""
        if self.has_fault(Fault.UNREACHABLE):
            if self._unreachable_port is not None:
                return
            await self._stop_listening()
            try:
                self._unreachable_port = UnreachablePort(self.host, self.port)
            except OSError:
                self.faults = ()
                self._follow(None)
                self._frozen = self._kept_view = None
                self._listener = await self._listen(self.port)
                raise
        elif self.has_fault(Fault.REFUSE, Fault.REFUSE_NEW, Fault.FLAP):
            await self._stop_listening()
        elif self._listener is None:
            await self._stop_listening()  # closes an unreachable port
            self._listener = await self._listen(self.port)

    async def _flap(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            async with self._changing:
                if self._listener is None:
                    self._listener = await self._listen(self.port)
                else:
                    await self._stop_listening()
                self._faults_changed()

    async def _stop_flapping(self) -> None:
        # Called with the lock held: the task sleeps, or waits for the lock.
        task, self._flapping = self._flapping, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            # asyncio leaks a connection that it has accepted but not given to a protocol yet when
            # the server closes: accept no more, and let those get their protocols.
            for each in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(each)
            for _ in range(_ACCEPT_ITERATIONS):
                await asyncio.sleep(0)
            self._listener.close()
            self._listener = None
        if self._unreachable_port is not None:
            self._unreachable_port.close()
            self._unreachable_port = None

    def _follow(self, other: Chain | Fork | None) -> None:
        """Serve `other`, or the own chain again."""
        before, self._followed = self._followed, other
        # Join before leaving: a fork that is set again stays the same.
        self._chain = other.join() if other is not None else self._own_chain
        if before is not None:
            before.leave()

    def _seconds_behind(self) -> float:
        behind = self.fault_value(Fault.LAG) or 0.0
        catching_up = self.fault_value(Fault.CATCH_UP)
        if catching_up is not None:
            caught_up = (_CATCHING_UP - 1) * (self._own_chain.clock() - self._since)
            behind = max(behind, catching_up - caught_up)
        return behind

    @abstractmethod
    async def _listen(self, port: int) -> asyncio.Server: ...

    @abstractmethod
    def _open_connections(self) -> Iterable[object]: ...

    @abstractmethod
    def _faults_changed(self) -> None:
        """Apply new faults, or their end, to open connections at once."""

    @abstractmethod
    async def _close_connections(self) -> None: ...
