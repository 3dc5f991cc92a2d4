"""How probes of each kind of target can end: counters of exactly these start at 0."""

from typing import Final

from tonwatch.ton.errors import Reason

_OF_ANY_KIND: Final = (
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
    Reason.UNSUPPORTED,
    Reason.NOT_FOUND,
    Reason.SERVER_ERROR,
    Reason.PROBE_FAILED,
)

REASONS: Final = {
    "liteserver": (
        *_OF_ANY_KIND,
        Reason.HANDSHAKE_FAILED,
        Reason.HANDSHAKE_TIMEOUT,
        Reason.NOT_SYNCED,
        Reason.PROOF_INVALID,
        Reason.NOT_READY,
        Reason.SHARD_LAG,
        Reason.PRUNED,
        Reason.OVERLOADED,
    ),
    "toncenter-v2": (
        *_OF_ANY_KIND,
        Reason.TLS_FAILED,
        Reason.UPSTREAM_FAILED,
        Reason.UNAUTHORIZED,
        Reason.RATE_LIMITED,
    ),
}
"""How probes of each kind can end. Their counters start at 0: a counter that only appears with
its first failure hides that failure from `rate` and `increase`."""
