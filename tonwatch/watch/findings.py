"""The causes in the order of blame, and a finding."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """What is wrong. The order is the order of blame: what is named first explains the rest."""

    STARTING = "starting"
    LOCAL_RESOURCES = "local_resources"
    EGRESS_BROKEN = "egress_broken"
    EGRESS_LOSSY = "egress_lossy"
    LOCAL_CLOCK_SKEWED = "local_clock_skewed"
    WRONG_NETWORK = "wrong_network"
    CHAIN_STALLED = "chain_stalled"
    CHAIN_ROLLED_BACK = "chain_rolled_back"
    ALL_LAGGING = "all_lagging"
    NODE_FORKED = "node_forked"
    PROVIDER_FORKED = "provider_forked"
    SOURCES_DISAGREE = "sources_disagree"
    PROOF_INVALID = "proof_invalid"
    NODE_DISPROVED = "node_disproved"
    NODE_DOWN = "node_down"
    NODE_NOT_SYNCED = "node_not_synced"
    NODE_STALLED = "node_stalled"
    NODE_LAGGING = "node_lagging"
    NODE_CATCHING_UP = "node_catching_up"
    NODE_SHARD_LAGGING = "node_shard_lagging"
    ACCOUNTS_FAILING = "accounts_failing"
    NODE_THROTTLED = "node_throttled"
    PROVIDER_DOWN = "provider_down"
    PROVIDER_UNAUTHORIZED = "provider_unauthorized"
    PROVIDER_THROTTLED = "provider_throttled"
    PROVIDER_STALLED = "provider_stalled"
    PROVIDER_LAGGING = "provider_lagging"
    PROVIDER_SHARD_LAGGING = "provider_shard_lagging"
    PROVIDER_DISPROVED = "provider_disproved"
    WRITE_PATH_BROKEN = "write_path_broken"
    MESSAGES_QUEUED = "messages_queued"
    CONTRACT_CHANGED = "contract_changed"
    WALLET_FROZEN = "wallet_frozen"
    WALLET_LOW = "wallet_low"
    PAYOUTS_FAILING = "payouts_failing"
    PAYOUTS_BOUNCING = "payouts_bouncing"
    WALLET_READ_FAILING = "wallet_read_failing"
    PAYOUTS_GAP = "payouts_gap"
    PAYOUTS_BACKLOG = "payouts_backlog"
    STATE_DIR_FAILING = "state_dir_failing"
    WRITE_PROBE_IDLE = "write_probe_idle"
    CHAIN_SLOW = "chain_slow"
    NODE_FLAPPING = "node_flapping"
    PROVIDER_FLAPPING = "provider_flapping"
    NODE_CLOCK_SKEWED = "node_clock_skewed"
    NODE_SLOW = "node_slow"
    PROVIDER_SLOW = "provider_slow"
    NO_DATA = "no_data"
    HEALTHY = "healthy"


def alert_of(cause: Cause) -> str | None:
    """The alert of a cause, such as ``TonwatchNodeDown``; None where there is none."""
    if cause in (Cause.STARTING, Cause.HEALTHY):
        return None
    return "Tonwatch" + "".join(word.capitalize() for word in cause.split("_"))


def runbook_of(cause: str) -> str | None:
    """Path of a cause's runbook below the documentation's root; None where there is none."""
    alert = alert_of(Cause(cause)) if cause in frozenset(Cause) else None
    return f"runbooks/{alert}.md" if alert else None


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem, or that there is none.

    Attributes:
        cause: its name.
        sentence: what it is, with the numbers in it.
        since: Unix seconds.
        target: the target that it is about; empty where it is about all targets or a wallet.
        account: the wallet or contract that it is about; empty elsewhere.
        others: names of the accounts with the same problem, where it stands for many.
        primary: whether it is about a target of role primary, about all targets, or no target.
        impact: what it means for those who use the targets and wallets; empty where nothing.
        evidence: what it is concluded from, one line for each target.
    """

    cause: Cause
    sentence: str
    since: float
    target: str = ""
    account: str = ""
    others: tuple[str, ...] = ()
    primary: bool = True
    impact: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Cause, str, str]:
        """Identifies the finding from one view to the next."""
        return self.cause, self.target, self.account

    @property
    def runbook(self) -> str | None:
        """Path of its runbook below the documentation's root; None where there is none."""
        return runbook_of(self.cause)
