"""What one probe found: the only thing that probes hand to the right."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tonwatch.ton.errors import Reason, TonError


class Probe(StrEnum):
    """The questions asked of a target."""

    CONNECT = "connect"
    """A cold connection and handshake, the version, and a proven block header (slow beat)."""

    HEAD = "head"
    """The last masterchain block, its time, the shard client and the server's clock."""

    FORK = "fork"
    """The masterchain block at a seqno that all targets are asked for (slow beat)."""

    BALANCE = "balance"
    """Accounts of wallets and contracts, some of them at a time."""

    COMPARE = "compare"
    """One account that all targets are asked for at the same block (slow beat)."""

    PAYOUTS = "payouts"
    """The transactions of wallets, from the last that is counted on."""

    WRITE = "write"
    """A message that a wallet must refuse (slow beat, where asked for)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a target stands on the chain. None where it did not tell.

    Attributes:
        seqno: of its last masterchain block.
        root_hash: of that block.
        gen_utime: when that block was made, Unix seconds.
        zerostate: root hash of its network's zerostate.
        shard_client_seqno: the masterchain block up to which it applied shards.
        known_seqno: the newest masterchain block it has, where that may be newer than
            the one it serves.
        clock_offset: its clock minus ours, seconds; exact to half a second.
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
        probe: which question.
        started: when it was asked, Unix seconds.
        finished: when it ended, on the event loop's clock.
        duration: seconds from start to end, waiting for our own pacing not counted.
        reason: ``ok`` or the kind of failure.
        detail: what failed, in one line; empty when ok.
        phases: seconds spent on each step that was reached.
        head: what was learnt; also on some failures (a lagging shard client).
        epoch: our wall clock less the event loop's when it was asked, seconds; it only
            changes where our wall clock is set. None where nobody noted it.
        bug: the traceback, where a bug of ours ended it. For the log alone: it may quote anything.
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
        """When it was asked, on the event loop's clock."""
        return self.finished - self.duration


@dataclass(slots=True)
class Findings:
    """What a running probe has learnt so far; kept when it fails on the way.

    `waited` are seconds spent on our own pacing, which are nobody's latency.
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
    """Run `ask` and make a Sample of whatever comes of it; never raises but when cancelled.

    Args:
        target: configured name.
        probe: which question it is.
        wall: our clock, Unix seconds.
        ask: puts what it learns into the Findings, raises `TonError` on failure.
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
        # A bug of ours must cost one sample, not the daemon; its text could quote anything.
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
