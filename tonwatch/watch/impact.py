"""What a finding means for those who use the targets and wallets: one sentence for each cause."""

from collections.abc import Mapping
from typing import Final

from tonwatch.watch.findings import Cause, Finding
from tonwatch.watch.sentences import duration
from tonwatch.watch.verdicts import Judgement

_IMPACTS: Final[Mapping[Cause, str]] = {
    Cause.STARTING: "Nothing is known yet.",
    Cause.LOCAL_RESOURCES: "Targets may be healthy: they cannot be probed from here.",
    Cause.EGRESS_BROKEN: "From here nothing external can be read or sent; elsewhere it may work.",
    Cause.EGRESS_LOSSY: "From here queries and messages to external targets fail now and then.",
    Cause.LOCAL_CLOCK_SKEWED: "Clients here may make messages that are expired or not valid yet.",
    Cause.WRONG_NETWORK: "{target} is useless here: its balances are of another network.",
    Cause.CHAIN_STALLED: "Balances are as of the last block; messages wait for the next one.",
    Cause.CHAIN_ROLLED_BACK: "Payouts and deposits since then may be undone: check them.",
    Cause.ALL_LAGGING: "Balances are up to {lag} old; payouts go through, and show that late.",
    Cause.NODE_FORKED: "Balances from {target} may be wrong, and payouts through it be lost.",
    Cause.PROVIDER_FORKED: "Balances from {target} may be wrong, and payouts through it be lost.",
    Cause.SOURCES_DISAGREE: "Balances may be wrong, and payouts be lost, at one of them.",
    Cause.PROOF_INVALID: "Nothing that is read from {target} can be trusted.",
    Cause.NODE_DISPROVED: "What is read from {target} cannot be trusted.",
    Cause.NODE_DOWN: "Clients of {target} can neither read nor pay.",
    Cause.NODE_NOT_SYNCED: "Clients of {target} get no answers until it is in sync.",
    Cause.NODE_STALLED: "Balances from {target} do not change; payouts through it may not arrive.",
    Cause.NODE_LAGGING: "Balances from {target} are up to {lag} old.",
    Cause.NODE_CATCHING_UP: "Balances from {target} are up to {lag} old, and getting newer.",
    Cause.NODE_SHARD_LAGGING: "Balances from {target} are up to {shard_lag} old, or fail.",
    Cause.ACCOUNTS_FAILING: "Balances and wallets' seqnos cannot be read from {target}.",
    Cause.NODE_THROTTLED: "Some queries to {target} are refused.",
    Cause.PROVIDER_DOWN: "Clients of {target} can neither read nor pay.",
    Cause.PROVIDER_UNAUTHORIZED: "Clients of {target} with this key can neither read nor pay.",
    Cause.PROVIDER_THROTTLED: "Some queries to {target} are refused; others with this key too.",
    Cause.PROVIDER_STALLED: "Balances from {target} do not change; payouts may not arrive.",
    Cause.PROVIDER_LAGGING: "Balances from {target} are up to {lag} old.",
    Cause.PROVIDER_SHARD_LAGGING: "Balances from {target} are up to {shard_lag} old, or fail.",
    Cause.PROVIDER_DISPROVED: "What is read from {target} cannot be trusted.",
    Cause.WRITE_PATH_BROKEN: "Balances can be read; payouts through {target} do not go out.",
    Cause.MESSAGES_QUEUED: "Payouts are accepted and stay out until the queue is shorter.",
    Cause.CONTRACT_CHANGED: "Contract {account} may do something else than you expect.",
    Cause.WALLET_FROZEN: "{account} cannot pay.",
    Cause.WALLET_LOW: "{account} can pay until its balance is used up.",
    Cause.PAYOUTS_FAILING: "Receivers of {account} have not got these payouts.",
    Cause.PAYOUTS_BOUNCING: "Receivers of {account} have not got these payouts.",
    Cause.WALLET_READ_FAILING: "Whether {account} can pay is not known.",
    Cause.PAYOUTS_GAP: "Totals of {account} lack some payouts; the payouts themselves are fine.",
    Cause.PAYOUTS_BACKLOG: "Totals of {account} are late; the payouts themselves are fine.",
    Cause.STATE_DIR_FAILING: "After a restart payouts are counted from an older point.",
    Cause.WRITE_PROBE_IDLE: "Whether payouts would go out is not tested with {account}.",
    Cause.CHAIN_SLOW: "Payouts go through, later than usual.",
    Cause.NODE_FLAPPING: "Queries to {target} fail now and then.",
    Cause.PROVIDER_FLAPPING: "Queries to {target} fail now and then.",
    Cause.NODE_CLOCK_SKEWED: "{target} still follows the chain; a validator may miss blocks.",
    Cause.NODE_SLOW: "Clients of {target} wait long, or give up.",
    Cause.PROVIDER_SLOW: "Clients of {target} wait long, or give up.",
    Cause.NO_DATA: "What is shown may not be true any more.",
    Cause.HEALTHY: "",
}


def impact(finding: Finding, judgement: Judgement) -> str:
    """The sentence, with the finding's names and numbers in it."""
    verdicts = judgement.verdicts.values()
    about = [each for each in verdicts if finding.target in ("", each.target.name) and each.up]
    lag = max((each.lag_seconds or 0.0 for each in about), default=0.0)
    shard_lag = max((each.shard_lag_seconds or 0.0 for each in about), default=0.0)
    account = finding.account or f"{len(finding.others)} wallets"
    return _IMPACTS[finding.cause].format(
        target=finding.target,
        account=account,
        lag=duration(lag),
        shard_lag=duration(shard_lag),
    )
