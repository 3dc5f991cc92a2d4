"""The states of a target, and what each of them means: one row for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from tonwatch.watch.findings import Cause

Level = Literal["ok", "unknown", "warn", "bad"]
"""How bad a state is: colours and shapes follow it."""


class State(StrEnum):
    """How a target stands: exactly one, the most basic that is wrong."""

    OK = "ok"
    UNKNOWN = "unknown"
    DOWN = "down"
    FLAPPING = "flapping"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    NOT_SYNCED = "not_synced"
    WRONG_NETWORK = "wrong_network"
    FORKED = "forked"
    PROOF_INVALID = "proof_invalid"
    DISPROVED = "disproved"
    STALLED = "stalled"
    LAGGING = "lagging"
    SHARD_LAGGING = "shard_lagging"
    WRITE_BROKEN = "write_broken"
    CLOCK_SKEWED = "clock_skewed"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What follows from a state.

    Attributes:
        level: how bad it is.
        unusable: how bad it is where readiness does not count the target as usable.
        node: the cause that names it of a liteserver; None where no liteserver is ever in it.
        provider: likewise, of an HTTP provider.
        answers: whether the newest question was answered at all.
        accounts: whether accounts can be read there: as they are now, or as they were at an older
            block; None where what it says of accounts is not believed.
        compared: whether it is asked for an account that all are asked for.
        messages: whether a message that does not get through there says something of messages.
        flaps: whether coming and going between it and ``ok`` is flapping.
    """

    level: Level
    unusable: Level = "bad"
    node: Cause | None = None
    provider: Cause | None = None
    answers: bool = True
    accounts: Literal["now", "older"] | None = None
    compared: bool = False
    messages: bool = False
    flaps: bool = False


MEANINGS: Final[Mapping[State, Meaning]] = {
    State.OK: Meaning(level="ok", unusable="ok", accounts="now", compared=True, messages=True),
    State.UNKNOWN: Meaning(
        level="unknown", unusable="unknown", node=Cause.NO_DATA, provider=Cause.NO_DATA
    ),
    State.DOWN: Meaning(
        level="bad",
        node=Cause.NODE_DOWN,
        provider=Cause.PROVIDER_DOWN,
        answers=False,
        flaps=True,
    ),
    State.FLAPPING: Meaning(
        level="warn",
        node=Cause.NODE_FLAPPING,
        provider=Cause.PROVIDER_FLAPPING,
        accounts="now",
        messages=True,
    ),
    State.UNAUTHORIZED: Meaning(level="bad", provider=Cause.PROVIDER_UNAUTHORIZED, answers=False),
    State.THROTTLED: Meaning(
        level="warn",
        unusable="warn",  # it works; we are only asked to ask less
        node=Cause.PROVIDER_THROTTLED,
        provider=Cause.PROVIDER_THROTTLED,
        answers=False,
    ),
    State.NOT_SYNCED: Meaning(
        level="bad",
        node=Cause.NODE_NOT_SYNCED,
        provider=Cause.PROVIDER_DOWN,
        answers=False,
        flaps=True,
    ),
    State.WRONG_NETWORK: Meaning(
        level="bad", node=Cause.WRONG_NETWORK, provider=Cause.WRONG_NETWORK
    ),
    State.FORKED: Meaning(level="bad", node=Cause.NODE_FORKED, provider=Cause.PROVIDER_FORKED),
    State.PROOF_INVALID: Meaning(level="bad", node=Cause.PROOF_INVALID, compared=True),
    State.DISPROVED: Meaning(level="bad", provider=Cause.PROVIDER_DISPROVED, compared=True),
    State.STALLED: Meaning(
        level="bad",
        node=Cause.NODE_STALLED,
        provider=Cause.PROVIDER_STALLED,
        accounts="older",
    ),
    State.LAGGING: Meaning(
        level="warn",
        node=Cause.NODE_LAGGING,
        provider=Cause.PROVIDER_LAGGING,
        accounts="older",
    ),
    State.SHARD_LAGGING: Meaning(level="warn", node=Cause.NODE_SHARD_LAGGING),
    State.WRITE_BROKEN: Meaning(
        level="bad",
        node=Cause.WRITE_PATH_BROKEN,
        provider=Cause.WRITE_PATH_BROKEN,
        accounts="now",
        compared=True,
        messages=True,
    ),
    State.CLOCK_SKEWED: Meaning(
        level="warn",
        node=Cause.NODE_CLOCK_SKEWED,
        accounts="now",
        compared=True,
        messages=True,
    ),
    State.SLOW: Meaning(
        level="warn",
        node=Cause.NODE_SLOW,
        provider=Cause.PROVIDER_SLOW,
        accounts="now",
        compared=True,
        messages=True,
    ),
}
