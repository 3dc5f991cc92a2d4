"""The states of a target, and what follows from each: one row for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from tonwatch.watch.findings import Cause

Level = Literal["ok", "unknown", "warn", "bad"]
"""Severity of a state, shown by colour and shape."""


class State(StrEnum):
    """The state of a target: exactly one, the most basic problem."""

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
    ACCOUNTS_FAILING = "accounts_failing"
    LAGGING = "lagging"
    SHARD_LAGGING = "shard_lagging"
    WRITE_BROKEN = "write_broken"
    CLOCK_SKEWED = "clock_skewed"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What follows from a state.

    Attributes:
        level: severity.
        unusable: severity where readiness does not count the target as usable.
        node: the cause of its finding on a liteserver; None where no liteserver is ever in it.
        provider: likewise, on an HTTP provider.
        answers: whether the newest probe was answered at all.
        accounts: whether accounts can be read there: as they are now, or as they were at an older
            block; None where its answers about accounts are not trusted.
        compared: whether it is queried when accounts are compared.
        messages: whether a failed write probe counts against its handling of messages.
        flaps: whether changing between it and ``ok`` is flapping.
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
        unusable="warn",  # it works, within its rate limit
        node=Cause.NODE_THROTTLED,
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
    State.DISPROVED: Meaning(
        level="bad",
        node=Cause.NODE_DISPROVED,
        provider=Cause.PROVIDER_DISPROVED,
        compared=True,
    ),
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
    State.SHARD_LAGGING: Meaning(
        level="warn", node=Cause.NODE_SHARD_LAGGING, provider=Cause.PROVIDER_SHARD_LAGGING
    ),
    State.ACCOUNTS_FAILING: Meaning(
        level="bad", node=Cause.ACCOUNTS_FAILING, provider=Cause.ACCOUNTS_FAILING, compared=True
    ),
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
