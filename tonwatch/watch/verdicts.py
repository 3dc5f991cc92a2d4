"""What is said of a target and of all together: verdicts, the judgement."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tonwatch.samples.sample import Head
from tonwatch.samples.target import Target
from tonwatch.ton.errors import Reason
from tonwatch.watch.consensus import ChainHead, Forks
from tonwatch.watch.states import State
from tonwatch.watch.wallet_verdicts import WalletStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one target stands.

    Attributes:
        state: and `since` when, Unix seconds.
        up: it answers our questions.
        barred: the states that speak against using it, of those that the gates of
            readiness let count; several may hold at once.
        reason: of the sample that the state is drawn from, or ``wrong_network``.
        detail: that sample's words; empty when ok.
        head: what the target said of itself; None when not known or too old.
        lag_seconds: its block's age less the head's, at the time each was told; never negative.
        lag_blocks: blocks missing to the head at that time; never negative.
        in_sync_in: seconds until it has caught up, by its own rate; None where it does not.
        shard_client_lag: blocks that its shard client is behind its own masterchain.
        latency: median seconds of its last answers.
        idle: seconds from the growth of its seqno to its last answer.
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
    latency: float | None = None
    idle: float | None = None
    interruptions: float = 0.0
    newest: float | None = None

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against using it."""
        return not self.barred


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts at one moment.

    Attributes:
        wall: when it was passed, Unix seconds.
        head: of the chain; None where nobody tells.
        dated: the newest head whose time was told, which is nearly always `head` itself; None
            where that is too long ago.
        stalled: at least two targets answer and none has had a new block for too long.
        idle: the least `idle` of all targets that answer, seconds; None where none answers.
        clock_offset: their time less ours where it is our clock that is off, seconds.
        forks: who told of another block than others at the same seqno.
        unreachable: the external targets, where none of them can be reached: our egress.
        excused: those of them that have not been asked again since it came back, and
            the event loop time when it did.
        suspects: external targets that are given up, where it may turn out to be our egress.
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
    wallet_status: WalletStatus = field(default_factory=WalletStatus)
