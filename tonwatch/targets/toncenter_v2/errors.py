"""What an error of toncenter's servers means: by its status and its text together.

What a liteserver or tonlib said is passed on as it was: the Python server answers it with
status 500, the C++ server with tonlib's own code or 542, or with 400 where it is told to hide
errors. So the node's words are looked for first. Texts are matched in lower case.
"""

from typing import Final

from tonwatch.ton.errors import MAX_DETAIL, Reason
from tonwatch.ton.liteserver.errors import is_throttled, node_reason, transactions_reason

_ALIKE: Final = frozenset({Reason.MESSAGE_REJECTED, Reason.PRUNED})
"""What a node says of the question itself. All else that it says is its trouble, not ours: the
provider has no working node for the question (`Reason.UPSTREAM_FAILED`)."""

_BY_ITS_NODE: Final = frozenset(
    {Reason.UPSTREAM_FAILED, Reason.SERVER_ERROR, Reason.UNSUPPORTED, Reason.PRUNED}
)
"""Failures whose text may have the words of the provider's liteserver."""

_NO_LITESERVER: Final = (
    "no working liteservers",
    # The Python server's words for any exception in it, since its web framework wraps them. For
    # the questions that are asked here that is the lack of a liteserver.
    "unhandled errors in a taskgroup",
)

_EXIT_CODE: Final = "exitcode="
_ROOM: Final = 40
"""Characters kept for a status in front of a text, and for an exit code at its end."""


def reason_for(status: int, text: str, code: int | None = None) -> Reason:
    """The reason behind an HTTP status, the `code` in a body, and its text.

    542 is the C++ server's own status for a liteserver's error; the Python
    server says 500 for that, and 503 where it has no liteserver left.

    Args:
        status: of HTTP; the code in the body where that says ``ok`` wrongly.
        text: what the body says.
        code: in the body; None without one.
    """
    lowered = text.lower()
    said = node_reason(lowered)
    if said is Reason.OVERLOADED:
        return said  # too many messages of all the node's users, whatever the status: not ours
    if {429, 420} & {status, code} or (
        # A page that is not there may speak of limits.
        status not in (404, 405) and said is not Reason.MESSAGE_REJECTED and is_throttled(lowered)
    ):
        return Reason.RATE_LIMITED
    if status in (401, 403):
        return Reason.UNAUTHORIZED
    if said in _ALIKE:
        return said
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
    """As `reason_for`, where an account's transactions were asked for by logical time and hash."""
    reason = reason_for(status, text, code)
    if reason in _BY_ITS_NODE:
        return transactions_reason(text.lower()) or reason
    return reason


def with_exit_code(text: str) -> str:
    """The text, without some of its middle where its exit code would be cut off."""
    at = text.find(_EXIT_CODE)
    if at <= MAX_DETAIL - _ROOM:
        return text
    return f"{text[: MAX_DETAIL // 2]}… {text[at:]}"
