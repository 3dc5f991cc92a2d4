"""Names one cause for all that is wrong, in a sentence, most basic cause first.

Pure: a diagnosis is made of a judgement and the diagnosis before it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import network_name
from tonwatch.watch.judge import Judgement, State, Verdict


class Cause(StrEnum):
    """What is wrong. The order is the order of blame: what is named first explains the rest."""

    STARTING = "starting"
    LOCAL_CLOCK_SKEWED = "local_clock_skewed"
    WRONG_NETWORK = "wrong_network"
    CHAIN_STALLED = "chain_stalled"
    NODE_DOWN = "node_down"
    NODE_NOT_SYNCED = "node_not_synced"
    NODE_STALLED = "node_stalled"
    NODE_LAGGING = "node_lagging"
    NODE_SHARD_LAGGING = "node_shard_lagging"
    PROVIDER_DOWN = "provider_down"
    PROVIDER_UNAUTHORIZED = "provider_unauthorized"
    PROVIDER_THROTTLED = "provider_throttled"
    PROVIDER_STALLED = "provider_stalled"
    PROVIDER_LAGGING = "provider_lagging"
    NODE_CLOCK_SKEWED = "node_clock_skewed"
    NODE_SLOW = "node_slow"
    PROVIDER_SLOW = "provider_slow"
    NO_DATA = "no_data"
    HEALTHY = "healthy"


_ORDER: Final = {cause: rank for rank, cause in enumerate(Cause)}

_NODE_CAUSES: Final = {
    State.DOWN: Cause.NODE_DOWN,
    State.NOT_SYNCED: Cause.NODE_NOT_SYNCED,
    State.WRONG_NETWORK: Cause.WRONG_NETWORK,
    State.STALLED: Cause.NODE_STALLED,
    State.LAGGING: Cause.NODE_LAGGING,
    State.SHARD_LAGGING: Cause.NODE_SHARD_LAGGING,
    State.CLOCK_SKEWED: Cause.NODE_CLOCK_SKEWED,
    State.SLOW: Cause.NODE_SLOW,
    State.UNKNOWN: Cause.NO_DATA,
}

_PROVIDER_CAUSES: Final = {
    State.DOWN: Cause.PROVIDER_DOWN,
    State.NOT_SYNCED: Cause.PROVIDER_DOWN,
    State.UNAUTHORIZED: Cause.PROVIDER_UNAUTHORIZED,
    State.THROTTLED: Cause.PROVIDER_THROTTLED,
    State.WRONG_NETWORK: Cause.WRONG_NETWORK,
    State.STALLED: Cause.PROVIDER_STALLED,
    State.LAGGING: Cause.PROVIDER_LAGGING,
    State.SLOW: Cause.PROVIDER_SLOW,
    State.UNKNOWN: Cause.NO_DATA,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        cause: its name.
        sentence: what it is, with the numbers in it.
        since: Unix seconds.
        target: the target that shows it; empty where it is about the whole.
        primary: whether it touches a target of role primary, or the whole.
    """

    cause: Cause
    sentence: str
    since: float
    target: str = ""
    primary: bool = True


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The named cause, and what else is wrong below it.

    Attributes:
        cause: exactly one.
        sentence: plain English, with the numbers.
        since: when this cause was first named, Unix seconds.
        also: further findings, in the order of blame.
    """

    cause: Cause
    sentence: str
    since: float
    also: tuple[Finding, ...] = ()

    @property
    def runbook(self) -> str:
        """Where to read on, below the documentation's root."""
        return f"diagnoses.md#{self.cause}"


def diagnose(judgement: Judgement, previous: Diagnosis | None) -> Diagnosis:
    """Name the cause of what the judgement shows.

    Findings on primaries come before those on references; within each, the
    order of `Cause` decides.
    """
    findings = sorted(
        _findings(judgement),
        key=lambda finding: (not finding.primary, _ORDER[finding.cause], finding.since),
    )
    first = findings[0] if findings else _all_well(judgement)
    since = first.since
    if previous is not None:
        since = previous.since if previous.cause is first.cause else judgement.wall
    return Diagnosis(first.cause, first.sentence, since, tuple(findings[1:]))


def _findings(judgement: Judgement) -> list[Finding]:
    verdicts = list(judgement.verdicts.values())
    if verdicts and all(verdict.newest is None for verdict in verdicts):
        sentence = "No target has been asked yet."
        return [Finding(Cause.STARTING, sentence, verdicts[0].since)]
    findings = []
    if judgement.clock_offset is not None:
        findings.append(_local_clock(judgement, judgement.clock_offset))
    if judgement.stalled and judgement.idle is not None:
        findings.append(_chain_stalled(judgement, judgement.idle))
    for verdict in verdicts:
        if judgement.stalled and verdict.state is State.STALLED:
            continue  # the chain's stall says it already
        finding = _of_target(verdict)
        if finding is not None:
            findings.append(finding)
    return findings


def _of_target(verdict: Verdict) -> Finding | None:
    target = verdict.target
    if verdict.state is State.OK:
        return None
    if target.kind == "liteserver":
        cause = _NODE_CAUSES.get(verdict.state, Cause.NODE_DOWN)
    else:
        cause = _PROVIDER_CAUSES.get(verdict.state, Cause.PROVIDER_DOWN)
    return Finding(
        cause,
        _SENTENCES[verdict.state](verdict),
        verdict.since,
        target.name,
        target.role == "primary",
    )


def _local_clock(judgement: Judgement, offset: float) -> Finding:
    agreeing = sum(
        verdict.head is not None and verdict.head.clock_offset is not None
        for verdict in judgement.verdicts.values()
    )
    side = "behind" if offset > 0 else "ahead of"
    return Finding(
        Cause.LOCAL_CLOCK_SKEWED,
        f"The clock of this machine is {abs(offset):.1f} s {side} the clocks of"
        f" all {agreeing} servers that tell theirs.",
        judgement.wall,
    )


def _chain_stalled(judgement: Judgement, idle: float) -> Finding:
    answering = sum(verdict.up for verdict in judgement.verdicts.values())
    block = f" after block {judgement.head.seqno}" if judgement.head else ""
    return Finding(
        Cause.CHAIN_STALLED,
        f"The chain stands still: none of the {answering} targets that answer has seen"
        f" a new masterchain block for {duration(idle)}{block}.",
        judgement.wall - idle,
    )


def _all_well(judgement: Judgement) -> Finding:
    count = len(judgement.verdicts)
    head = f" at block {judgement.head.seqno}" if judgement.head else ""
    subject = "The only target is" if count == 1 else f"All {count} targets are"
    return Finding(Cause.HEALTHY, f"{subject} alive and in sync{head}.", judgement.wall)


def duration(seconds: float) -> str:
    """Seconds as people say them: 4.2 s, 48 s, 12 min, 3.5 h, 2 days."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def _blocks(count: int | None) -> str:
    if count is None:
        return ""
    return " (1 block)" if count == 1 else f" ({count} blocks)"


_DOWN: Final = {
    Reason.KEY_UNAVAILABLE: "cannot be asked: its key is not there yet",
    Reason.RESOLVE_FAILED: "has a host name that does not resolve",
    Reason.CONNECT_REFUSED: "refuses connections: no process listens on its port",
    Reason.CONNECT_TIMEOUT: "does not accept connections: packets to it are lost or dropped",
    Reason.CONNECT_FAILED: "cannot be reached",
    Reason.TLS_FAILED: "fails the TLS handshake",
    Reason.HANDSHAKE_FAILED: "breaks off the ADNL handshake: its key is another than configured,"
    " or the port is not a liteserver's",
    Reason.HANDSHAKE_TIMEOUT: "accepts TCP but stays silent: the process hangs, or its key"
    " is another than configured",
    Reason.CONNECTION_LOST: "cuts connections while answering",
    Reason.QUERY_TIMEOUT: "does not answer",
    Reason.PROTOCOL_ERROR: "sends bytes that break the protocol",
    Reason.ANSWER_TOO_LARGE: "sends answers larger than any real one",
    Reason.BAD_ANSWER: "answers what cannot be read",
    Reason.PROOF_INVALID: "sends blocks whose proofs do not hold",
    Reason.OVERLOADED: "is overloaded",
    Reason.UPSTREAM_TIMEOUT: "gets no answer in time from the node behind it",
    Reason.UPSTREAM_FAILED: "has no working node behind it",
    Reason.NOT_FOUND: "does not know the question: the URL is not its API's",
    Reason.SERVER_ERROR: "answers with an error of its own",
}


def _down(verdict: Verdict) -> str:
    name = verdict.target.name
    return f"{name} {_DOWN.get(verdict.reason, 'does not answer as it should')} ({verdict.detail})."


def _wrong_network(verdict: Verdict) -> str:
    served = verdict.head.zerostate if verdict.head else None
    network = network_name(served) if served else "unknown"
    return f"{verdict.target.name} serves another network, the one with zerostate {network}."


def _stalled(verdict: Verdict) -> str:
    at = f" and stays at block {verdict.head.seqno}" if verdict.head else ""
    behind = ""
    if verdict.behind_seconds:
        behind = f", now {duration(verdict.behind_seconds)}{_blocks(verdict.behind_blocks)} behind"
    return (
        f"{verdict.target.name} answers, but has had no new block"
        f" for {duration(verdict.idle or 0.0)}{at}{behind}."
    )


def _lagging(verdict: Verdict) -> str:
    return (
        f"{verdict.target.name} is {duration(verdict.behind_seconds or 0.0)}"
        f"{_blocks(verdict.behind_blocks)} behind the head of the chain."
    )


def _shard_lagging(verdict: Verdict) -> str:
    if verdict.shard_gap is None:
        return f"{verdict.target.name} cannot read accounts yet ({verdict.detail})."
    return (
        f"{verdict.target.name} follows the masterchain, but its shard client is"
        f" {verdict.shard_gap} blocks behind it: accounts and balances are that old or fail."
    )


def _clock_skewed(verdict: Verdict) -> str:
    offset = (verdict.head.clock_offset if verdict.head else None) or 0.0
    side = "ahead of" if offset > 0 else "behind"
    return f"The clock of {verdict.target.name} is {abs(offset):.1f} s {side} ours."


_SENTENCES: Final[dict[State, Callable[[Verdict], str]]] = {
    State.DOWN: _down,
    State.NOT_SYNCED: lambda v: f"{v.target.name} is alive but not in sync: {v.detail}.",
    State.UNAUTHORIZED: lambda v: f"{v.target.name} refuses our API key ({v.detail}).",
    State.THROTTLED: lambda v: f"{v.target.name} works, but limits our requests ({v.detail}).",
    State.WRONG_NETWORK: _wrong_network,
    State.STALLED: _stalled,
    State.LAGGING: _lagging,
    State.SHARD_LAGGING: _shard_lagging,
    State.CLOCK_SKEWED: _clock_skewed,
    State.SLOW: lambda v: f"{v.target.name} takes {duration(v.latency or 0.0)} for an answer.",
    State.UNKNOWN: lambda v: f"Nothing is known of {v.target.name}: {v.detail}.",
}
