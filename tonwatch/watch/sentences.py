"""What is wrong with a target, in a sentence with numbers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tonwatch.ton.errors import Reason
from tonwatch.ton.networks import network_name
from tonwatch.watch.states import State
from tonwatch.watch.verdicts import Verdict


def duration(seconds: float) -> str:
    """Seconds in a readable unit: 4.2 s, 48 s, 12 min, 3.5 h, 2 days."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def sentence(verdict: Verdict) -> str:
    """The sentence for a verdict that is not ``ok``."""
    return _SENTENCES[verdict.state](verdict)


def blocks(count: int) -> str:
    """A number of blocks: 1 block, 75 blocks."""
    return "1 block" if count == 1 else f"{count} blocks"


def _lag(verdict: Verdict) -> str:
    """Its lag to the head, in seconds and where known in blocks."""
    seconds = duration(verdict.lag_seconds or 0.0)
    missing = verdict.lag_blocks
    return seconds if missing is None else f"{seconds} ({blocks(missing)})"


_DOWN: Final = {
    Reason.KEY_UNAVAILABLE: "cannot be probed: its key is not available yet",
    Reason.RESOLVE_FAILED: "has a host name that does not resolve",
    Reason.CONNECT_REFUSED: "refuses connections: no process listens on its port",
    Reason.CONNECT_TIMEOUT: "does not accept connections: packets to it are lost or dropped",
    Reason.CONNECT_FAILED: "cannot be reached",
    Reason.TLS_FAILED: "fails the TLS handshake",
    Reason.HANDSHAKE_FAILED: "closes the ADNL handshake: its key is not the configured one,"
    " or the port is not a liteserver's",
    Reason.HANDSHAKE_TIMEOUT: "accepts TCP but does not answer: the process hangs, or its key"
    " is not the configured one",
    Reason.CONNECTION_LOST: "closes connections while answering",
    Reason.QUERY_TIMEOUT: "does not answer",
    Reason.PROTOCOL_ERROR: "violates the protocol",
    Reason.ANSWER_TOO_LARGE: "sends answers larger than any real one",
    Reason.BAD_ANSWER: "sends answers that cannot be parsed",
    Reason.OVERLOADED: "is overloaded",
    Reason.UPSTREAM_TIMEOUT: "gets no answer in time from the node behind it",
    Reason.UPSTREAM_FAILED: "has no working node behind it",
    Reason.SERVER_ERROR: "answers with a server error",
}

_NOT_FOUND: Final = {
    "node": "does not have the block that it named itself",
    "provider": "does not know the method: the URL is not its API's",
}


def _down(verdict: Verdict) -> str:
    name = verdict.target.name
    what = _DOWN.get(verdict.reason, "answers with an error")
    if verdict.reason is Reason.NOT_FOUND:
        what = _NOT_FOUND[verdict.target.category]
    return f"{name} {what} ({verdict.detail})."


def _flapping(verdict: Verdict) -> str:
    now = "answers now" if verdict.up else f"does not answer now ({verdict.detail})"
    return (
        f"{verdict.target.name} is flapping: {verdict.interruptions:.0f} interruptions"
        f" in the last minutes; it {now}."
    )


def _wrong_network(verdict: Verdict) -> str:
    served = verdict.head.zerostate if verdict.head else None
    network = network_name(served) if served else "unknown"
    return f"{verdict.target.name} serves another network, the one with zerostate {network}."


def _forked(verdict: Verdict) -> str:
    at = f" at block {verdict.head.seqno}" if verdict.head else ""
    return (
        f"{verdict.target.name} is on a fork{at}: its blocks are not those of the majority,"
        " and what is read from it or sent through it may not be on the chain."
    )


def _stalled(verdict: Verdict) -> str:
    at = f" and stays at block {verdict.head.seqno}" if verdict.head else ""
    lag = ""
    if verdict.lag_seconds:
        lag = f", now {_lag(verdict)} behind the head"
    return (
        f"{verdict.target.name} answers, but has had no new block"
        f" for {duration(verdict.idle or 0.0)}{at}{lag}."
    )


def _lagging(verdict: Verdict) -> str:
    lag = f"{verdict.target.name} is {_lag(verdict)} behind the head of the chain"
    if not verdict.lag_blocks:
        late = duration(verdict.lag_seconds or 0.0)
        # All that answer are as late: only the clock shows it.
        lag = f"The newest block of {verdict.target.name} is {late} older than usual"
    if verdict.in_sync_in is not None:
        return f"{lag} and catching up: in sync in about {duration(verdict.in_sync_in)}."
    return f"{lag}."


def _shard_lagging(verdict: Verdict) -> str:
    name = verdict.target.name
    if not verdict.shard_client_lag and not verdict.shard_lag_seconds:
        return f"{name} cannot read accounts yet ({verdict.detail})."
    lag = duration(verdict.shard_lag_seconds or 0.0)
    if verdict.shard_client_lag:
        lag = f"{blocks(verdict.shard_client_lag)} ({lag})"
    return (
        f"{name} follows the masterchain, but its shards lag it by {lag}: accounts and balances"
        " are that old or fail."
    )


def _accounts_failing(verdict: Verdict) -> str:
    return (
        f"{verdict.target.name} reports new blocks, but accounts and get methods cannot be read"
        f" from it ({verdict.reason}: {verdict.detail})."
    )


def _disproved(verdict: Verdict) -> str:
    if verdict.reason is Reason.FALSE_TIME:
        return f"{verdict.target.name} reports false block times: {verdict.detail}."
    return (
        f"{verdict.target.name} reports a balance that a proven answer contradicts"
        f" ({verdict.detail})."
    )


def _unknown(verdict: Verdict) -> str:
    if verdict.reason is Reason.LOCAL_RESOURCES:
        return f"{verdict.target.name} cannot be probed: {verdict.detail}."
    return f"There is no data on {verdict.target.name}: {verdict.detail}."


def _proof_invalid(verdict: Verdict) -> str:
    return (
        f"{verdict.target.name} sends answers that its own proofs contradict: do not trust what"
        f" is read from it ({verdict.detail})."
    )


def _write_broken(verdict: Verdict) -> str:
    return (
        f"{verdict.target.name} answers queries, but does not accept external messages: payouts"
        f" sent through it do not happen ({verdict.detail})."
    )


def _unauthorized(verdict: Verdict) -> str:
    if verdict.reason is Reason.FORBIDDEN:
        return (
            f"{verdict.target.name} rejects requests, which carry no API key: it needs one,"
            f" or denies access ({verdict.detail})."
        )
    return f"{verdict.target.name} rejects the API key ({verdict.detail})."


def _clock_skewed(verdict: Verdict) -> str:
    offset = (verdict.head.clock_offset if verdict.head else None) or 0.0
    side = "ahead of" if offset > 0 else "behind"
    return f"The clock of {verdict.target.name} is {abs(offset):.1f} s {side} the local clock."


_SENTENCES: Final[dict[State, Callable[[Verdict], str]]] = {
    State.DOWN: _down,
    State.FLAPPING: _flapping,
    State.NOT_SYNCED: lambda v: f"{v.target.name} is alive but not in sync: {v.detail}.",
    State.UNAUTHORIZED: _unauthorized,
    State.THROTTLED: lambda v: f"{v.target.name} is up, but rate-limits requests ({v.detail}).",
    State.WRONG_NETWORK: _wrong_network,
    State.FORKED: _forked,
    State.PROOF_INVALID: _proof_invalid,
    State.DISPROVED: _disproved,
    State.STALLED: _stalled,
    State.LAGGING: _lagging,
    State.SHARD_LAGGING: _shard_lagging,
    State.ACCOUNTS_FAILING: _accounts_failing,
    State.WRITE_BROKEN: _write_broken,
    State.CLOCK_SKEWED: _clock_skewed,
    State.SLOW: lambda v: f"{v.target.name} takes {duration(v.latency or 0.0)} to answer.",
    State.UNKNOWN: _unknown,
}


def standing(verdict: Verdict, *, in_short: bool = False) -> str:
    """A target's state in a few words, as evidence: ``node: ok at block 4711``.

    Args:
        verdict: on the target.
        in_short: without the detail, which a sentence has already.
    """
    words = verdict.state.replace("_", " ")
    if verdict.head is not None:
        words += f" at block {verdict.head.seqno}"
    if verdict.lag_seconds:
        words += f", {duration(verdict.lag_seconds)} behind"
    if verdict.detail:
        words += f" ({verdict.reason})" if in_short else f" ({verdict.reason}: {verdict.detail})"
    return f"{verdict.target.name}: {words}"


def rfc3339(wall: float) -> str | None:
    """Unix seconds as RFC 3339, in UTC; None where they are out of range."""
    at = moment(wall)
    if at is None:
        return None
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def moment(wall: float) -> datetime | None:
    """Unix seconds as a time in UTC; None where they are out of range."""
    # A peer, a contract's data, a file or a wrong clock may have any value.
    try:
        return datetime.fromtimestamp(wall, UTC)
    except (OSError, OverflowError, ValueError):
        return None
