"""What an error of toncenter's servers means: by its status and its text together.

What a liteserver or tonlib said is passed on as it was: the Python server answers it with
status 500, the C++ server with tonlib's own code or 542, or with 400 where it is told to hide
errors. So the node's words are looked for first. Texts are matched in lower case, first match
wins; those of the node are from ``validator/impl/liteserver.cpp``.
"""

from typing import Final

from tonwatch.ton.errors import MAX_DETAIL, Reason

_TEXTS: Final = (
    # "cannot apply external message to current state : " stands before whatever the node says.
    ("too many pending external message checks", Reason.OVERLOADED),
    ("too many external messages to address", Reason.OVERLOADED),
    ("cannot apply external message", Reason.MESSAGE_REJECTED),
    ("external message was not accepted", Reason.MESSAGE_REJECTED),
    ("duplicate message", Reason.MESSAGE_REJECTED),
    # What a node without the whole history says of an old transaction or an old state.
    ("lt not in db", Reason.PRUNED),
    ("state already gc'd", Reason.PRUNED),
    ("with specified transaction: not in db", Reason.PRUNED),
    ("cannot locate transaction in block with specified logical time", Reason.PRUNED),
)

_EXIT_CODE: Final = "exitcode="
_ROOM: Final = 40
"""Characters kept for a status in front of a text, and for an exit code at its end."""


def reason_for(code: int, text: str) -> Reason:
    """The reason behind an HTTP status, or the same number as `code` in a body, and its text.

    542 is the C++ server's own status for a liteserver's error; the Python
    server says 500 for that, and 503 where it has no liteserver left.
    """
    lowered = text.lower()
    if code == 429 or "ratelimit" in lowered or "rate limit" in lowered:
        return Reason.RATE_LIMITED
    if code in (401, 403):
        return Reason.UNAUTHORIZED
    for part, reason in _TEXTS:
        if part in lowered:
            return reason
    if code == 504 or "liteserver timeout" in lowered:
        return Reason.UPSTREAM_TIMEOUT
    if code == 542 or "lite_server" in lowered or "no working liteservers" in lowered:
        return Reason.UPSTREAM_FAILED
    if code in (404, 405):
        return Reason.NOT_FOUND
    if code in (400, 409, 416, 422):
        return Reason.UNSUPPORTED
    return Reason.SERVER_ERROR if code >= 500 else Reason.BAD_ANSWER


def with_exit_code(text: str) -> str:
    """The text, without some of its middle where its exit code would be cut off."""
    at = text.find(_EXIT_CODE)
    if at <= MAX_DETAIL - _ROOM:
        return text
    return f"{text[: MAX_DETAIL // 2]}… {text[at:]}"
