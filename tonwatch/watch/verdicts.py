"""The verdict on a target, and the judgement on all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tonwatch.samples.sample import Head
from tonwatch.samples.target import Target
from tonwatch.ton.errors import Reason
from tonwatch.watch.consensus import ChainHead, Forks
from tonwatch.watch.pace import Pace
from tonwatch.watch.states import State
from tonwatch.watch.wallet_verdicts import WalletStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The state of one target, and the numbers behind it.

    Attributes:
        state: since `since`, Unix seconds.
        up: it answers probes.
        barred: the states for which readiness does not use it, as far as `readiness.gates` count
            them; several may hold at once.
        reason: of the sample that decides the state, or ``wrong_network``.
        detail: of that sample; empty when ok.
        head: the last block that it reported; None when not known or too old.
        lag_seconds: its block's age less the head's, each at its answer, or less what is usual by
            the clock where that is more and counts as lagging; never negative.
        lag_blocks: blocks missing to the head at that time; never negative.
        in_sync_in: seconds until it has caught up, at its own rate; None where it does not.
        shard_client_lag: blocks by which accounts are older than its own masterchain.
        shard_lag_seconds: likewise, seconds; what is usual counts as 0.
        latency: median seconds of its last answers.
        idle: seconds from the last growth of its seqno to its last answer.
        interruptions: within the flapping window; a lost answer counts a third.
        newest: event loop time of the newest head sample; None before the first.
    """

    target: Target
    state: State
    since: float
    up: bool = False
    barred: frozenset[State] = frozenset()
    reason: Reason = Reason.OK
    detail: str = ""
    head: Head | None = None
    lag_seconds: float | None = None
    lag_blocks: int | None = None
    in_sync_in: float | None = None
    shard_client_lag: int | None = None
    shard_lag_seconds: float | None = None
    latency: float | None = None
    idle: float | None = None
    interruptions: float = 0.0
    newest: float | None = None

    @property
    def usable(self) -> bool:
        """Whether no state bars it."""
        return not self.barred


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The chain went back, with other blocks from then on.

    Attributes:
        since: when that was seen, Unix seconds.
        at: likewise, event loop time.
        before: the highest seqno before.
        after: the head's seqno when it was seen.
    """

    since: float
    at: float
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts at one moment.

    Attributes:
        wall: when it was made, Unix seconds.
        head: of the chain; None where no target reports one.
        dated: the newest head with a block time, which is nearly always `head` itself; None where
            that is too long ago.
        stalled: at least two sources answer and none has had a new block for too long.
        idle: the least `idle` of all targets that answer, seconds; None where none answers.
        pace: how fast blocks come.
        peak: the highest seqno of a head since the chain last went back.
        rolled_back: where the chain went back lately.
        sources: independent ones among the targets that answer.
        sources_at_head: those of them that do not lag the head.
        clock_offset: servers' time less local time where the local clock is wrong, seconds.
        forks: targets that reported another block than others at the same seqno.
        unreachable: the external targets, where none of them can be reached: egress is broken.
        excused: those of them that have not been probed again since egress works again, and the
            event loop time when it did.
        suspects: external targets that are unreachable, perhaps for broken egress.
        lossy: the external targets, where all of them lose answers.
        queue: the target that reports a shard's outbound queue above its limit, the queue's size,
            and the limit; None where none does.
        zerostate: root hash of the configured network's.
        state_dir_error: why state cannot be written; empty where it can.
        no_resources: what this machine has run out of, in one line; empty where nothing.
        verdicts: by target name, in the order of the configuration.
        wallet_status: wallets and contracts.
    """

    wall: float
    head: ChainHead | None
    dated: ChainHead | None
    stalled: bool
    idle: float | None
    clock_offset: float | None
    forks: Forks
    unreachable: tuple[str, ...]
    excused: Mapping[str, float]
    suspects: tuple[str, ...]
    verdicts: Mapping[str, Verdict]
    pace: Pace = field(default_factory=Pace)
    peak: int | None = None
    rolled_back: RolledBack | None = None
    sources: int = 0
    sources_at_head: int = 0
    lossy: tuple[str, ...] = ()
    no_resources: str = ""
    state_dir_error: str = ""
    queue: tuple[str, int, int] | None = None
    zerostate: bytes = b""
    wallet_status: WalletStatus = field(default_factory=WalletStatus)
