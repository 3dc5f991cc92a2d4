"""The colours and texts of states: the same on every dashboard."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, TypeVar

from grafana_foundation_sdk.models import dashboard

from tonwatch.serve.metrics.wallets import ACCOUNT_STATUSES, UNKNOWN
from tonwatch.ton.contracts.accounts import AccountStatus
from tonwatch.ton.errors import Reason
from tonwatch.watch.findings import Cause
from tonwatch.watch.readiness import Phase
from tonwatch.watch.states import MEANINGS, Level, State

S = TypeVar("S", bound=str)

OK: Final = "green"
WARN: Final = "orange"
BAD: Final = "red"
INFO: Final = "blue"
NOT_KNOWN: Final = "#8e8e8e"
REFUSED: Final = "purple"
WRONG: Final = "yellow"

_LEVELS: Final[Mapping[Level, str]] = {"ok": OK, "unknown": NOT_KNOWN, "warn": WARN, "bad": BAD}

_FROM_GOOD_TO_BAD: Final = (
    State.OK,
    State.UNKNOWN,
    State.SLOW,
    State.CLOCK_SKEWED,
    State.THROTTLED,
    State.FLAPPING,
    State.SHARD_LAGGING,
    State.LAGGING,
    State.WRITE_BROKEN,
    State.ACCOUNTS_FAILING,
    State.STALLED,
    State.UNAUTHORIZED,
    State.DISPROVED,
    State.PROOF_INVALID,
    State.FORKED,
    State.WRONG_NETWORK,
    State.NOT_SYNCED,
    State.DOWN,
)

TARGET_STATES: Final[Mapping[State, str]] = {
    state: _LEVELS[MEANINGS[state].level] for state in _FROM_GOOD_TO_BAD
}
"""From good to bad. A panel draws a state as its place in here, so that tables sort by it."""

CAUSES: Final[Mapping[Cause, str]] = {
    Cause.HEALTHY: OK,
    Cause.STARTING: INFO,
    **dict.fromkeys(
        (
            Cause.EGRESS_LOSSY,
            Cause.NODE_LAGGING,
            Cause.NODE_CATCHING_UP,
            Cause.NODE_SHARD_LAGGING,
            Cause.NODE_THROTTLED,
            Cause.PROVIDER_THROTTLED,
            Cause.PROVIDER_LAGGING,
            Cause.PROVIDER_SHARD_LAGGING,
            Cause.PAYOUTS_BOUNCING,
            Cause.WALLET_READ_FAILING,
            Cause.PAYOUTS_GAP,
            Cause.PAYOUTS_BACKLOG,
            Cause.STATE_DIR_FAILING,
            Cause.WRITE_PROBE_IDLE,
            Cause.CHAIN_SLOW,
            Cause.NODE_FLAPPING,
            Cause.PROVIDER_FLAPPING,
            Cause.NODE_CLOCK_SKEWED,
            Cause.NODE_SLOW,
            Cause.PROVIDER_SLOW,
            Cause.NO_DATA,
        ),
        WARN,
    ),
}
"""Every other cause is bad."""

PHASES: Final[Mapping[Phase, str]] = {
    Phase.READY: OK,
    Phase.STARTING: INFO,
    Phase.DRAINING: INFO,
    Phase.UNREADY: BAD,
}

ACCOUNTS: Final[Mapping[str, str]] = {
    AccountStatus.ACTIVE: OK,
    UNKNOWN: NOT_KNOWN,
    AccountStatus.UNINITIALIZED: INFO,
    AccountStatus.MISSING: WARN,
    AccountStatus.FROZEN: BAD,
}
"""From good to bad, drawn like those of targets."""

REASONS: Final[Mapping[str, Sequence[Reason]]] = {
    BAD: (
        Reason.RESOLVE_FAILED,
        Reason.CONNECT_REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.CONNECT_FAILED,
        Reason.TLS_FAILED,
        Reason.HANDSHAKE_FAILED,
        Reason.HANDSHAKE_TIMEOUT,
        Reason.CONNECTION_LOST,
        Reason.QUERY_TIMEOUT,
    ),
    WARN: (
        Reason.NOT_SYNCED,
        Reason.NOT_READY,
        Reason.SHARD_LAG,
        Reason.PRUNED,
        Reason.OVERLOADED,
        Reason.UPSTREAM_TIMEOUT,
        Reason.UPSTREAM_FAILED,
        Reason.MESSAGE_REJECTED,
        Reason.UNSUPPORTED,
        Reason.NOT_FOUND,
        Reason.SERVER_ERROR,
        Reason.METHOD_FAILED,
    ),
    REFUSED: (Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.RATE_LIMITED),
    WRONG: (
        Reason.PROTOCOL_ERROR,
        Reason.ANSWER_TOO_LARGE,
        Reason.BAD_ANSWER,
        Reason.PROOF_INVALID,
        Reason.WRONG_NETWORK,
        Reason.DISPROVED,
        Reason.FALSE_TIME,
    ),
    NOT_KNOWN: (Reason.KEY_UNAVAILABLE, Reason.LOCAL_RESOURCES, Reason.PROBE_FAILED),
}
"""Why probes fail: not reached, cannot answer, refuses access, wrong answer, its own side."""

SEVERITIES: Final[Mapping[str, str]] = {"critical": BAD, "warning": WARN, "info": INFO}


def cause_colours() -> dict[str, str]:
    """Regular expressions of names that begin with a cause, by what they share: a colour."""
    named: dict[str, list[str]] = {}
    for cause in Cause:
        named.setdefault(CAUSES.get(cause, BAD), []).append(cause)
    return {f"^({'|'.join(causes)})( |$)": colour for colour, causes in named.items()}


def reason_colours() -> dict[str, str]:
    """Likewise for reasons within the names of series."""
    return {f" ({'|'.join(reasons)}) ": colour for colour, reasons in REASONS.items()}


def phase_colours() -> dict[str, str]:
    return {f"^{phase}$": colour for phase, colour in PHASES.items()}


def codes(states: Iterable[str]) -> dict[str, int]:
    """The number for each state in a query; see `query.coded`."""
    return {str(state): code for code, state in enumerate(states)}


def words(states: Mapping[S, str]) -> list[dashboard.ValueMapping]:
    """From those numbers back to names and colours."""
    return texts(
        [(str(code), str(state), colour) for code, (state, colour) in enumerate(states.items())]
    )


def texts(mapped: Sequence[tuple[str, str, str]]) -> list[dashboard.ValueMapping]:
    """Value, what is shown in its place, and its colour."""
    return [
        dashboard.ValueMap(
            {
                value: dashboard.ValueMappingResult(
                    text=text.replace("_", " "), color=colour, index=index
                )
                for index, (value, text, colour) in enumerate(mapped)
            }
        )
    ]


def yes_no(yes: str = "yes", no: str = "no") -> list[dashboard.ValueMapping]:
    """1 is good, 0 is bad."""
    return texts([("1", yes, OK), ("0", no, BAD)])


assert set(TARGET_STATES) == set(State), "a state without a colour"
assert set(ACCOUNTS) == set(map(str, ACCOUNT_STATUSES)), "a state of accounts without a colour"
assert set(PHASES) == set(Phase), "a phase without a colour"
assert {*chain(*REASONS.values()), Reason.OK} == set(Reason), "a reason without a colour"
