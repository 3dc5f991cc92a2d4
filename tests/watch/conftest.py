"""A store that the test fills with samples, on clocks that the test moves."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.configs import make_target
from tonwatch.config.models import Config, ReadinessConfig
from tonwatch.runtime.watcher import Watcher
from tonwatch.samples.account import Watched
from tonwatch.samples.sample import Head, Probe, Sample
from tonwatch.samples.target import Target
from tonwatch.system.internal_errors import InternalErrors
from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import ZEROSTATES
from tonwatch.watch.diagnosis import Diagnosis
from tonwatch.watch.readiness import Readiness
from tonwatch.watch.store import Store
from tonwatch.watch.verdicts import Judgement

MAINNET = ZEROSTATES["mainnet"]
BLOCKS_PER_SECOND = 2.5
NODE = make_target("node", "liteserver", "primary")
OTHER = make_target("other", "liteserver", "reference")
PROVIDER = make_target("provider", "toncenter-v2", "reference")


class Scene:
    """Targets on a chain with 2.5 blocks a second whose head is always one second old."""

    def __init__(
        self,
        clock: Any,
        *targets: Target,
        config: Config | None = None,
        accounts: Iterable[Watched] = (),
        **readiness: Any,
    ) -> None:
        self.clock = clock
        self.targets = targets or (NODE, OTHER, PROVIDER)
        self.store = Store(self.targets, accounts)
        self.config = config or Config(readiness=ReadinessConfig(**readiness))
        self.watcher = Watcher(
            self.config,
            self.store,
            wall=clock.wall,
            monotonic=clock.monotonic,
            errors=InternalErrors(wall=clock.wall, monotonic=clock.monotonic),
        )

    @property
    def judgement(self) -> Judgement:
        return self.watcher.view.judgement

    @property
    def readiness(self) -> Readiness:
        return self.watcher.view.readiness

    @property
    def diagnosis(self) -> Diagnosis:
        return self.watcher.view.diagnosis

    def head(self, lag: float = 0.0, **observed: Any) -> Head:
        """The head of a target that lags the chain by `lag` seconds."""
        made = self.clock.wall_time - 1.0 - lag
        position = int((made - 1_700_000_000.0) * BLOCKS_PER_SECOND)
        head = Head(
            seqno=position,
            root_hash=position.to_bytes(32, "big"),
            gen_utime=int(made),
            zerostate=MAINNET,
            shard_client_seqno=position,
            clock_offset=0.0,
            version=0x101,
        )
        return replace(head, **observed)

    def answer(
        self,
        target: Target,
        lag: float = 0.0,
        *,
        query: float = 0.01,
        epoch: float | None = None,
        **observed: Any,
    ) -> None:
        """A head probe of the target succeeds."""
        self._add(target, Reason.OK, query, self.head(lag, **observed), epoch=epoch)

    def connect(self, target: Target, reason: Reason = Reason.OK) -> None:
        """A probe of a new connection to the target."""
        detail = "" if reason is Reason.OK else "as the test says"
        self._add(target, reason, 0.01, None, detail, probe=Probe.CONNECT)

    def fork(self, target: Target, seqno: int, root_hash: bytes) -> None:
        """A fork probe: the target's block at `seqno`."""
        head = Head(seqno=seqno, root_hash=root_hash)
        self._add(target, Reason.OK, 0.01, head, probe=Probe.FORK)

    def fail(self, target: Target, reason: Reason, detail: str = "as the test says") -> None:
        """A head probe of the target fails."""
        self._add(target, reason, 3.0, None, detail)

    def ask(self, target: Target, probe: Probe, reason: Reason = Reason.OK) -> None:
        """A probe about wallets."""
        detail = "" if reason is Reason.OK else "as the test says"
        self._add(target, reason, 0.01, None, detail, probe=probe)

    def _add(
        self,
        target: Target,
        reason: Reason,
        query: float,
        head: Head | None,
        detail: str = "",
        epoch: float | None = None,
        probe: Probe = Probe.HEAD,
    ) -> None:
        self.store.add(
            Sample(
                target=target.name,
                probe=probe,
                started=self.clock.wall_time,
                finished=self.clock.monotonic_time,
                duration=query,
                reason=reason,
                detail=detail,
                phases={"query": query} if head else {},
                head=head,
                epoch=epoch,
            )
        )

    def judge(self) -> Judgement:
        """Judge what is in the store now, following the judgement before."""
        return self.watcher.evaluate().judgement

    def ticks(self, count: int, tick: Callable[[], None], interval: float = 5.0) -> Judgement:
        """Call `tick` and judge `count` times, `interval` seconds apart."""
        for _ in range(count):
            self.clock.advance(interval)
            tick()
            self.judge()
        return self.judgement


@pytest.fixture
def scene(clock: Any) -> Callable[..., Scene]:
    """Makes a `Scene` of the given targets and readiness settings."""
    return lambda *targets, **readiness: Scene(clock, *targets, **readiness)
