"""Maps ``liteServer.error`` to reasons, by code and text together.

The node uses one code for several errors (651 is lag as well as a block that
does not exist yet, 0 is a rejected message as well as a malformed query), so
neither alone is enough. Its texts change between releases, so families of them are
matched, in lower case. Providers forward the same texts: see `node_reason`.

Sources: the node's ``validator/impl/liteserver.cpp``, ``validator/manager.cpp`` (the suffixes),
``validator/db/archive-manager.cpp``, ``archive-slice.cpp`` and ``rootdb.cpp``; answers recorded
from v2025.10 and v2026.06.
"""

import re
from typing import Final

from tonwatch.ton.errors import Reason

_MESSAGES: Final = (
    # "cannot apply external message to current state : " is the prefix of any of these.
    ("too many pending external message checks", Reason.OVERLOADED),
    ("too many external messages to address", Reason.OVERLOADED),
    ("cannot apply external message", Reason.MESSAGE_REJECTED),
    ("external message was not accepted", Reason.MESSAGE_REJECTED),
    ("duplicate message", Reason.MESSAGE_REJECTED),
)

_NOT_YET: Final = (
    # The node adds these where the query is about something newer than what it has.
    ("possibly out of sync", Reason.SHARD_LAG),
    ("last known masterchain block", Reason.NOT_FOUND),
    ("is not applied", Reason.SHARD_LAG),
    ("specified mc block is older", Reason.SHARD_LAG),
    ("too big masterchain block seqno", Reason.NOT_READY),
)

_OTHERS: Final = (
    ("unsupported getmasterchaininfo mode", Reason.UNSUPPORTED),
    ("unknown constructor", Reason.UNSUPPORTED),
    ("unknown query", Reason.UNSUPPORTED),
    ("not in db", Reason.NOT_FOUND),
    ("cannot load block", Reason.NOT_FOUND),
    ("cannot find block", Reason.NOT_FOUND),
)

_ABSENT: Final = re.compile(
    r"not in db|not in archive|block not found|already gc'd|file (?:is deleted|not found)"
)
"""Something is absent: pruned, or it never existed."""

_GONE: Final = re.compile(
    # A lookup by seqno or time that every chain has reached.
    r"cannot find block \([^)]*\) (?:lt|utime|seqno)=[1-9]\d*: "
    r"(?:ltdb: block not found|(?:lt|ts|seqno|handle) not in|package already gc'd)"
    r"|\b(?:lt|ts|seqno) not in db"
    # A block that the node knows, without its data or its state.
    r"|already gc'd|state not in db|\bfile (?:not in|not found|is deleted)"
    # Where the block with the transaction is pruned, the oldest one left is searched.
    r"|cannot locate transaction in block with specified logical time"
)
"""Texts that only pruned history causes, for a valid query."""

_OF_TRANSACTIONS: Final = "with specified transaction"

_REQUESTS: Final = r"(?:requests?|queries|query|calls?|connections?|quota|rate|rps)"

_EXCEEDED: Final = r"(?<!deadline )(?<!timeout )(?<!time )\bexceed(?:ed|s|ing)?\b"

_THROTTLED: Final = re.compile(
    # A broken limiter is not a limit.
    r"rate[\s_-]*limit(?!\w* (?:service|server|backend))|throttl|\bslow down\b"
    rf"|too[\s_-]*many[\s_-]*(?:\w+ )?{_REQUESTS}"
    # "requests per second exceeded" and "exceeded your requests per second limit"; but not gas or
    # sizes that a contract exceeds, nor deadlines that a server exceeds.
    rf"|\b{_REQUESTS}\b.{{0,40}}{_EXCEEDED}|{_EXCEEDED}.{{0,40}}\b{_REQUESTS}\b"
    rf"|\b(?:{_REQUESTS}|daily|monthly|plan)\b.{{0,30}}\blimit\b.{{0,30}}\breach"
    r"|^\W*limit (?:was |is |has been )?exceeded"
    r"|^\W*429\b|\b(?:http|error|status|code)\W{0,3}429\b|error(?: code)?:? *1015\b"
)
"""Texts of proxies in front of liteservers and of providers; 1015 is Cloudflare's."""

_CODES: Final = {
    -701: Reason.MESSAGE_REJECTED,
    -503: Reason.UPSTREAM_TIMEOUT,
    429: Reason.RATE_LIMITED,
    601: Reason.SERVER_ERROR,
    602: Reason.SERVER_ERROR,
    603: Reason.SERVER_ERROR,
    621: Reason.UNSUPPORTED,
    651: Reason.NOT_READY,
    652: Reason.UPSTREAM_TIMEOUT,
    653: Reason.OVERLOADED,
}

_SHARD_CLIENT: Final = re.compile(r"shard_client_seqno=(\d{1,10})")
_BOTH_SEQNOS: Final = re.compile(r"shard_client_seqno=(\d{1,10}) ls_seqno=(\d{1,10})")
_LAST_KNOWN: Final = re.compile(r"last known masterchain block: (\d{1,10})")


def classify(code: int, message: str) -> Reason:
    """The reason behind a liteserver's error answer."""
    text = message.lower()
    if reason := node_reason(text):
        return reason
    if is_throttled(text):
        return Reason.RATE_LIMITED
    return _CODES.get(code, Reason.SERVER_ERROR)


def classify_transactions(code: int, message: str) -> Reason:
    """As `classify`, for a query of an account's transactions by logical time and hash."""
    return transactions_reason(message.lower()) or classify(code, message)


def node_reason(text: str) -> Reason | None:
    """The reason in the node's text, which providers forward; None for an unknown text.

    Pruned data is distinguished from data that does not exist yet, and from a block that the
    node does not know at all: that may be on a fork.

    Args:
        text: in lower case.
    """
    for part, reason in _MESSAGES:
        if part in text:
            return reason
    if _OF_TRANSACTIONS in text:
        return transactions_reason(text)
    for part, reason in _NOT_YET:
        if part in text:
            return reason
    if _GONE.search(text):
        return Reason.PRUNED
    for part, reason in _OTHERS:
        if part in text:
            return reason
    return None


def transactions_reason(text: str) -> Reason | None:
    """The reason in a node's text about an account's transactions; None for an unknown text.

    A logical time exists on every chain that has reached it: what is absent was pruned, or is
    not there yet, and then the text says so. The text is the same for a time that no node has
    reached, without any lag; that is ``not_ready``.

    Args:
        text: in lower case.
    """
    for part, reason in _NOT_YET:
        if part in text:
            is_lag = reason is Reason.SHARD_LAG and shard_client_lags(text)
            return reason if is_lag else Reason.NOT_READY
    return Reason.PRUNED if _GONE.search(text) or _ABSENT.search(text) else None


def is_throttled(text: str) -> bool:
    """Whether a text, in lower case, reports a rate limit."""
    return bool(_THROTTLED.search(text))


def shard_client_lags(text: str) -> bool:
    """Whether a node's shard client lags its masterchain; True for a text without seqnos."""
    found = _BOTH_SEQNOS.search(text)
    return found is None or int(found[1]) < int(found[2])


def shard_client_seqno(message: str) -> int | None:
    """The shard client's masterchain seqno that an ``out of sync`` text carries."""
    found = _SHARD_CLIENT.search(message)
    return int(found.group(1)) if found else None


def last_known_seqno(message: str) -> int | None:
    """The newest masterchain seqno that the node has, from a ``cannot find block`` text."""
    found = _LAST_KNOWN.search(message)
    return int(found.group(1)) if found else None
