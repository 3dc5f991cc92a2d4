"""A real Watcher over a store that the test fills by hand, on clocks that the test moves."""

from collections.abc import Callable
from typing import Any

from tests.configs import configured, make_target
from tests.conftest import Clock
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.samples.target import Target
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import ZEROSTATES
from tonwatch.watch.store import Store
from tonwatch.watch.view import View

NODE = make_target("node", "liteserver", "primary")
PUBLIC = make_target("public-1", "liteserver", "reference")
PROVIDER = make_target("toncenter", "toncenter-v2", "reference")

BLOCKS_PER_SECOND = 2.5

OWN_BLOCK = bytes.fromhex("9e3f5ac1") * 8
"""Root hash of a block that no other target has."""


class Scene:
    """Targets on a chain whose newest block is always one second old."""

    def __init__(
        self, clock: Clock, targets: tuple[Target, ...] = (NODE, PUBLIC, PROVIDER), **config: Any
    ) -> None:
        self.clock = clock
        self.targets = targets
        self.store = Store(targets, dropped_answers=lambda _: 2)
        self.config = configured(config)
        self.watcher = Watcher(
            self.config,
            self.store,
            wall=clock.wall,
            monotonic=clock.monotonic,
            errors=InternalErrors(wall=clock.wall, monotonic=clock.monotonic),
        )

    def answer(
        self,
        target: Target,
        lag: float = 0.0,
        *,
        gap: int = 1,
        query: float = 0.0004,
        **observed: Any,
    ) -> None:
        """The target answers with a head that lags the chain by `lag` seconds.

        Below 0 its blocks are newer than the local clock: that is behind. The
        shard client is `gap` blocks behind the masterchain.
        """
        made = self.clock.wall_time - 1.0 - lag
        seqno = int((made - 1_780_000_000) * BLOCKS_PER_SECOND)
        values: dict[str, Any] = {
            "seqno": seqno,
            "root_hash": seqno.to_bytes(32, "big"),
            "gen_utime": int(made),
            "zerostate": ZEROSTATES["mainnet"],
        }
        if target.kind == "liteserver":
            values |= {"shard_client_seqno": seqno - gap, "clock_offset": 0.1, "version": 0x101}
        phases = {"ping": query / 2, "query": query}
        self.put(target, Probe.HEAD, phases, head=Head(**(values | observed)))

    def fail(
        self, target: Target, reason: Reason, detail: str = "", probe: Probe = Probe.HEAD
    ) -> None:
        """A probe of the target fails."""
        self.put(target, probe, {"connect": 0.0001}, reason=reason, detail=detail)

    def put(self, target: Target, probe: Probe, phases: dict[str, float], **rest: Any) -> None:
        """A sample that ends now."""
        self.store.add(
            Sample(
                target=target.name,
                probe=probe,
                started=self.clock.wall_time,
                finished=self.clock.monotonic_time,
                duration=sum(phases.values()),
                phases=phases,
                **rest,
            )
        )

    def all_answer(self) -> None:
        """Every target answers, in sync."""
        for target in self.targets:
            self.answer(target)

    def ticks(self, count: int, tick: Callable[[], None]) -> View:
        """Call `tick` and judge `count` times, five seconds apart."""
        for _ in range(count):
            self.clock.advance(5.0)
            tick()
            self.watcher.evaluate()
        return self.watcher.view

    def starting(self) -> View:
        """No probe has ended yet."""
        return self.watcher.view

    def healthy(self) -> View:
        return self.ticks(3, self.all_answer)

    def node_down(self) -> View:
        """The node stops listening; the others go on until readiness has noticed."""
        self.healthy()
        return self.ticks(4, self.node_refuses)

    def catching_up(self) -> View:
        """The node lags a minute and gains two seconds each second."""
        self.healthy()
        lags = iter((60, 50, 40, 30))
        return self.ticks(4, lambda: self.others(lambda: self.answer(NODE, next(lags))))

    def flapping(self) -> View:
        """The node is down and up in turn, for two probes each."""
        self.healthy()
        for _ in range(3):
            self.ticks(2, self.node_refuses)
            self.ticks(2, self.all_answer)
        return self.watcher.view

    def forked(self) -> View:
        """The node goes on with blocks of its own."""
        self.healthy()
        return self.ticks(3, lambda: self.others(lambda: self.answer(NODE, root_hash=OWN_BLOCK)))

    def disagreeing(self) -> View:
        """The provider is gone, and the two others have different blocks."""
        self.healthy()

        def tick() -> None:
            self.answer(NODE, root_hash=OWN_BLOCK)
            self.answer(PUBLIC)
            self.fail(PROVIDER, Reason.QUERY_TIMEOUT, "no answer within 3 s")

        return self.ticks(3, tick)

    def egress_broken(self) -> View:
        """No target can be reached, and none is local."""
        self.healthy()
        return self.ticks(3, self._all_unreachable)

    def recovered(self) -> View:
        """The node was down and is in sync again."""
        self.node_down()
        return self.ticks(3, self.all_answer)

    def _all_unreachable(self) -> None:
        for target in self.targets:
            self.fail(target, Reason.CONNECT_TIMEOUT, "TCP connection timed out")

    def others(self, node: Callable[[], None]) -> None:
        """The node answers or fails by `node`, and the others are in sync."""
        node()
        self.answer(PUBLIC)
        self.answer(PROVIDER)

    def node_refuses(self) -> None:
        """The node refuses connections; the others are in sync."""
        self.others(lambda: self.fail(NODE, Reason.CONNECT_REFUSED, "TCP connection refused"))
