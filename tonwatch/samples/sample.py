"""The result of one probe."""

import asyncio
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

from tonwatch.ton.errors import Reason, TonError


class Probe(StrEnum):
    """Probes of a target."""

    CONNECT = "connect"
    """A query on a new connection, with more patience than for the head (long interval)."""

    HEAD = "head"
    """The last masterchain block, its time, the shard client and the server's clock."""

    ACCOUNT = "account"
    """An account and a get method, at the newest block (long interval)."""

    FORK = "fork"
    """The masterchain block at a seqno that all targets have (long interval)."""

    BALANCE = "balance"
    """Accounts of wallets and contracts, some of them at a time."""

    COMPARE = "compare"
    """One account, read from all targets at the same block (long interval)."""

    PAYOUTS = "payouts"
    """The transactions of wallets, from the last counted one."""

    WRITE = "write"
    """A message that a wallet must refuse (long interval, where configured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A target's position on the chain. None where it did not report it.

    Attributes:
        seqno: of its last masterchain block.
        root_hash: of that block.
        gen_utime: generation time of that block, Unix seconds.
        zerostate: root hash of its network's zerostate.
        shard_client_seqno: the masterchain block up to which it applied shards.
        shard_client_time: generation time of that block, Unix seconds.
        known_seqno: the newest masterchain block it has, where that may be newer than
            the one it serves.
        clock_offset: its clock minus the local clock, seconds; exact to half a second.
        version: of the liteserver protocol, ``(major << 8) + minor``.
    """

    seqno: int
    root_hash: bytes
    gen_utime: int | None = None
    zerostate: bytes | None = None
    shard_client_seqno: int | None = None
    shard_client_time: int | None = None
    known_seqno: int | None = None
    clock_offset: float | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One probe's result.

    Attributes:
        target: configured name.
        probe: which one.
        started: when it started, Unix seconds.
        finished: when it ended, on the event loop's clock.
        duration: seconds from start to end, without waiting for the local rate limit.
        reason: ``ok`` or the kind of failure.
        detail: what failed, in one line; empty when ok.
        phases: seconds spent on each step that was reached.
        head: as far as it is known; also on some failures (a lagging shard client).
        epoch: wall clock minus the event loop's clock at the start, seconds; changes only
            where the wall clock is set. None where unknown.
        server: what identifies the server that answered, such as its key; two targets with the
            same are one source. Empty where nothing does.
        state_time: generation time of the state that accounts were read from, Unix seconds.
        out_queue: messages in the longest outbound queue of a shard, and the limit above which
            external messages are not included any more.
        bug: the traceback of an internal error. For the log only: it may have secrets.
    """

    target: str
    probe: Probe
    started: float
    finished: float
    duration: float
    reason: Reason = Reason.OK
    detail: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    head: Head | None = None
    epoch: float | None = None
    server: str = ""
    state_time: int | None = None
    out_queue: tuple[int, int] | None = None
    bug: str = ""

    @property
    def ok(self) -> bool:
        return self.reason is Reason.OK

    @property
    def asked(self) -> float:
        """When it started, on the event loop's clock."""
        return self.finished - self.duration


class Recording:
    """Makes a sample of the probe that runs in its ``with`` block, however that ends.

    An exception ends the block and goes no further, except where the probe is cancelled.

    Args:
        target: configured name.
        probe: which one it is.
        wall: local clock, Unix seconds.

    Attributes:
        phases: seconds spent on each step so far.
        head: what is known so far; kept when the probe fails.
        waited: seconds spent waiting for the local rate limit, which are not latency.
        server: see `Sample`.
        state_time: see `Sample`.
        out_queue: see `Sample`.
    """

    def __init__(self, target: str, probe: Probe, wall: Callable[[], float]) -> None:
        self._target = target
        self._probe = probe
        self._wall = wall
        self._sample: Sample | None = None
        self.phases: dict[str, float] = {}
        self.head: Head | None = None
        self.waited = 0.0
        self.server = ""
        self.state_time: int | None = None
        self.out_queue: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._started, self._began = self._wall(), self._loop.time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        reason, detail, bug = Reason.OK, "", ""
        if isinstance(error, TonError):
            reason, detail = error.reason, error.detail
        elif isinstance(error, Exception):
            # A bug must cost one sample, not the daemon; the exception's text may have secrets.
            bug = "".join(traceback.format_exception(kind, error, trace))
            reason, detail = Reason.PROBE_FAILED, f"bug in tonwatch: {type(error).__name__}"
        elif error is not None:
            return False
        finished = self._loop.time()
        self._sample = Sample(
            target=self._target,
            probe=self._probe,
            started=self._started,
            finished=finished,
            duration=max(0.0, finished - self._began - self.waited),
            reason=reason,
            detail=detail,
            phases=self.phases,
            head=self.head,
            epoch=self._started - self._began,
            server=self.server,
            state_time=self.state_time,
            out_queue=self.out_queue,
            bug=bug,
        )
        return True

    @property
    def sample(self) -> Sample:
        """What came of the probe, once its block has ended."""
        if self._sample is None:
            raise RuntimeError("the probe has not ended")
        return self._sample
