"""How probes can end, and why compute phases are skipped."""

from collections.abc import Mapping
from typing import Final

from tonwatch.probes.sample import Probe
from tonwatch.ton.errors import Reason

_ON_THE_WAY: Final = (
    Reason.OK,
    Reason.KEY_UNAVAILABLE,
    Reason.RESOLVE_FAILED,
    Reason.CONNECT_REFUSED,
    Reason.CONNECT_TIMEOUT,
    Reason.CONNECT_FAILED,
    Reason.CONNECTION_LOST,
    Reason.QUERY_TIMEOUT,
    Reason.PROTOCOL_ERROR,
    Reason.ANSWER_TOO_LARGE,
    Reason.BAD_ANSWER,
    Reason.UPSTREAM_TIMEOUT,
    Reason.NOT_FOUND,
    Reason.SERVER_ERROR,
    Reason.PROBE_FAILED,
)

_LITESERVER: Final = (
    *_ON_THE_WAY,
    Reason.HANDSHAKE_FAILED,
    Reason.HANDSHAKE_TIMEOUT,
    Reason.PROOF_INVALID,
    Reason.NOT_READY,
    Reason.SHARD_LAG,
    Reason.OVERLOADED,
    Reason.RATE_LIMITED,
)

_TONCENTER: Final = (
    *_ON_THE_WAY,
    Reason.TLS_FAILED,
    Reason.UPSTREAM_FAILED,
    Reason.UNSUPPORTED,
    Reason.UNAUTHORIZED,
    Reason.FORBIDDEN,
    Reason.RATE_LIMITED,
)

REASONS: Final[Mapping[str, Mapping[Probe, tuple[Reason, ...]]]] = {
    "liteserver": {
        # Reading an account asks for a state, which may be gone; a ping tells not_synced.
        Probe.HEAD: (*_LITESERVER, Reason.NOT_SYNCED, Reason.UNSUPPORTED, Reason.PRUNED),
        Probe.CONNECT: (*_LITESERVER, Reason.NOT_SYNCED),
        Probe.FORK: (*_LITESERVER, Reason.PRUNED),
        Probe.BALANCE: (*_LITESERVER, Reason.UNSUPPORTED, Reason.PRUNED),
        Probe.COMPARE: (*_LITESERVER, Reason.PRUNED),
        Probe.WRITE: (*_LITESERVER, Reason.MESSAGE_REJECTED),
    },
    "toncenter-v2": {
        Probe.HEAD: _TONCENTER,
        Probe.FORK: (*_TONCENTER, Reason.PRUNED),
        Probe.BALANCE: (*_TONCENTER, Reason.PRUNED),
        Probe.COMPARE: (*_TONCENTER, Reason.PRUNED, Reason.DISPROVED),
        Probe.WRITE: (*_TONCENTER, Reason.OVERLOADED, Reason.MESSAGE_REJECTED),
    },
}
"""How probes can end, by kind of target."""

SKIPPED: Final = ("no_state", "bad_state", "no_gas", "suspended")
"""Why a transaction has no compute phase. Source: `ComputeSkipReason` in block.tlb."""
