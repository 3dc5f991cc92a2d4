"""What a failure means for its target, by reason: a row for each that means more than `down`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tonwatch.ton.errors import Reason
from tonwatch.watch.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What follows from a reason.

    Attributes:
        state: of a target whose head probe fails for that reason.
        unreachable: it happens on the way to a target; at all external targets at once it means
            that egress is broken.
        silent: nothing came from the target.
        proves_nothing: it says nothing about the target.
        false_claim: the target sent a false answer.
        of_messages: as the result of a write probe it is the target's own answer to the message;
            others can happen to any query.
    """

    state: State = State.DOWN
    unreachable: bool = False
    silent: bool = False
    proves_nothing: bool = False
    false_claim: bool = False
    of_messages: bool = False


_ON_THE_WAY: Final = Failure(unreachable=True, silent=True)
_SILENT: Final = Failure(silent=True)
_OTHER: Final = Failure()

_FAILURES: Final[Mapping[Reason, Failure]] = {
    Reason.RESOLVE_FAILED: _ON_THE_WAY,
    Reason.CONNECT_REFUSED: _ON_THE_WAY,
    Reason.CONNECT_TIMEOUT: _ON_THE_WAY,
    Reason.CONNECT_FAILED: _ON_THE_WAY,
    Reason.CONNECTION_LOST: _SILENT,
    Reason.QUERY_TIMEOUT: _SILENT,
    Reason.LOCAL_RESOURCES: Failure(state=State.UNKNOWN, proves_nothing=True),
    Reason.PROBE_FAILED: Failure(proves_nothing=True),
    Reason.NOT_SYNCED: Failure(state=State.NOT_SYNCED),
    Reason.NOT_READY: Failure(state=State.NOT_SYNCED),
    Reason.SHARD_LAG: Failure(state=State.SHARD_LAGGING),
    Reason.UNAUTHORIZED: Failure(state=State.UNAUTHORIZED),
    Reason.FORBIDDEN: Failure(state=State.UNAUTHORIZED),
    Reason.RATE_LIMITED: Failure(state=State.THROTTLED),
    Reason.PROOF_INVALID: Failure(state=State.PROOF_INVALID, false_claim=True),
    Reason.DISPROVED: Failure(false_claim=True),
    Reason.BAD_ANSWER: Failure(of_messages=True),
    Reason.OVERLOADED: Failure(of_messages=True),
    Reason.MESSAGE_REJECTED: Failure(of_messages=True),
}


def failure(reason: Reason) -> Failure:
    """What follows from `reason`."""
    return _FAILURES.get(reason, _OTHER)
