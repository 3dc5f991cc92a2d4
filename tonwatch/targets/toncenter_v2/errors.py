"""Maps errors of toncenter's servers to reasons, by status and text.

Errors of a liteserver or tonlib are forwarded verbatim: the Python server answers them with
status 500, the C++ server with tonlib's own code or 542, or with 400 where it is configured to
hide errors. So the node's message is matched first. Texts are matched in lower case.
"""

from typing import Final

from tonwatch.ton.errors import MAX_DETAIL, Reason
from tonwatch.ton.liteserver.errors import (
    is_throttled,
    node_reason,
    shard_client_lags,
    transactions_reason,
)

_OF_THE_QUERY: Final = frozenset({Reason.MESSAGE_REJECTED, Reason.PRUNED})
"""A node's errors about the query itself. All others are failures of the node: the provider
has no working node for the query (`Reason.UPSTREAM_FAILED`), or one whose shard client lags."""

_FROM_THE_NODE: Final = frozenset(
    {
        Reason.UPSTREAM_FAILED,
        Reason.SERVER_ERROR,
        Reason.UNSUPPORTED,
        Reason.PRUNED,
        Reason.SHARD_LAG,
    }
)
"""Failures whose text may contain the message of the provider's liteserver."""

_NO_LITESERVER: Final = (
    "no working liteservers",
    # The Python server's text for any exception in it, since its web framework wraps them. For
    # the queries that are sent here that is the lack of a liteserver.
    "unhandled errors in a taskgroup",
)

_EXIT_CODE: Final = "exitcode="
_RESERVED: Final = 40
"""Characters kept for a status in front of a text, and for an exit code at its end."""


def reason_for(status: int, text: str, code: int | None = None) -> Reason:
    """The reason behind an HTTP status, the `code` in a body, and its text.

    542 is the C++ server's own status for a liteserver's error; the Python
    server answers 500 for that, and 503 where it has no liteserver left.

    Args:
        status: of HTTP; the code in the body where HTTP says 200.
        text: the message in the body.
        code: in the body; None without one.
    """
    lowered = text.lower()
    from_node = node_reason(lowered)
    if from_node is Reason.OVERLOADED:
        return from_node  # too many messages of all clients, whatever the status
    if {429, 420} & {status, code} or (
        # A page that is not there may mention limits.
        status not in (404, 405)
        and from_node is not Reason.MESSAGE_REJECTED
        and is_throttled(lowered)
    ):
        return Reason.RATE_LIMITED
    if status in (401, 402, 403):
        return Reason.UNAUTHORIZED
    if from_node in _OF_THE_QUERY:
        return from_node
    if "shard_client_seqno=" in lowered:
        # Without a lag one of the provider's nodes is a block behind another.
        return Reason.SHARD_LAG if shard_client_lags(lowered) else Reason.UPSTREAM_FAILED
    if status == 504 or "liteserver timeout" in lowered:
        return Reason.UPSTREAM_TIMEOUT
    if status == 542 or "lite_server" in lowered or any(part in lowered for part in _NO_LITESERVER):
        return Reason.UPSTREAM_FAILED
    if status in (404, 405):
        return Reason.NOT_FOUND
    if status in (400, 409, 416, 422):
        return Reason.UNSUPPORTED
    return Reason.SERVER_ERROR if status >= 500 else Reason.BAD_ANSWER


def reason_for_transactions(status: int, text: str, code: int | None = None) -> Reason:
    """As `reason_for`, for a query of an account's transactions by logical time and hash."""
    reason = reason_for(status, text, code)
    if reason in _FROM_THE_NODE:
        return transactions_reason(text.lower()) or reason
    return reason


def with_exit_code(text: str) -> str:
    """The text, shortened in its middle where its exit code would be cut off."""
    at = text.find(_EXIT_CODE)
    if at <= MAX_DETAIL - _RESERVED:
        return text
    return f"{text[: MAX_DETAIL // 2]}… {text[at:]}"
