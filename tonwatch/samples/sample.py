"""The result of one probe."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tonwatch.ton.errors import Reason, TonError


class Probe(StrEnum):
    """Probes of a target."""

    CONNECT = "connect"
    """A new connection and handshake, and a proven block header (long interval)."""

    HEAD = "head"
    """The last masterchain block, its time, the shard client and the server's clock."""

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
    bug: str = ""

    @property
    def ok(self) -> bool:
        return self.reason is Reason.OK

    @property
    def asked(self) -> float:
        """When it started, on the event loop's clock."""
        return self.finished - self.duration


@dataclass(slots=True)
class Findings:
    """Results of a running probe so far; kept when it fails.

    `waited` are seconds spent waiting for the local rate limit, which are not latency.
    """

    phases: dict[str, float] = field(default_factory=dict)
    head: Head | None = None
    waited: float = 0.0


async def record(
    target: str,
    probe: Probe,
    wall: Callable[[], float],
    ask: Callable[[Findings], Awaitable[None]],
) -> Sample:
    """Run `ask` and make a Sample of its outcome; raises only when cancelled.

    Args:
        target: configured name.
        probe: which one.
        wall: local clock, Unix seconds.
        ask: fills the Findings, raises `TonError` on failure.
    """
    loop = asyncio.get_running_loop()
    findings = Findings()
    started, began = wall(), loop.time()
    reason, detail, bug = Reason.OK, "", ""
    try:
        await ask(findings)
    except TonError as error:
        reason, detail = error.reason, error.detail
    except Exception as error:  # noqa: BLE001 - whatever it is
        # A bug must cost one sample, not the daemon; the exception's text may have secrets.
        bug = traceback.format_exc()
        reason, detail = Reason.PROBE_FAILED, f"bug in tonwatch: {type(error).__name__}"
    finished = loop.time()
    return Sample(
        target=target,
        probe=probe,
        started=started,
        finished=finished,
        duration=max(0.0, finished - began - findings.waited),
        reason=reason,
        detail=detail,
        phases=findings.phases,
        head=findings.head,
        epoch=started - began,
        bug=bug,
    )
