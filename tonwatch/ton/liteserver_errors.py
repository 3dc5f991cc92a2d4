"""What a ``liteServer.error`` means: by its code and its text together.

The node uses one code for several troubles (651 is lag as well as a block that
does not exist yet, 0 is a rejected message as well as a malformed question), so
neither alone is enough. Texts are from ``validator/impl/liteserver.cpp`` and
``validator/manager.cpp``; they are matched in lower case, first match wins.
"""

import re
from typing import Final

from tonwatch.ton.errors import Reason

_TEXTS: Final = (
    ("lt not in db", Reason.PRUNED),
    ("seqno not in db", Reason.PRUNED),
    ("state already gc'd", Reason.PRUNED),
    ("possibly out of sync", Reason.SHARD_LAG),
    ("block is not applied", Reason.SHARD_LAG),
    ("specified mc block is older", Reason.SHARD_LAG),
    ("too big masterchain block seqno", Reason.NOT_READY),
    ("too many pending external message checks", Reason.OVERLOADED),
    ("too many external messages to address", Reason.OVERLOADED),
    ("cannot apply external message", Reason.MESSAGE_REJECTED),
    ("duplicate message", Reason.MESSAGE_REJECTED),
    ("unsupported getmasterchaininfo mode", Reason.UNSUPPORTED),
    ("unknown constructor", Reason.UNSUPPORTED),
    ("unknown query", Reason.UNSUPPORTED),
    ("not in db", Reason.NOT_FOUND),
    ("cannot load block", Reason.NOT_FOUND),
    ("cannot find block", Reason.NOT_FOUND),
)

_CODES: Final = {
    -503: Reason.UPSTREAM_TIMEOUT,
    601: Reason.SERVER_ERROR,
    602: Reason.SERVER_ERROR,
    603: Reason.SERVER_ERROR,
    621: Reason.UNSUPPORTED,
    651: Reason.NOT_READY,
    652: Reason.UPSTREAM_TIMEOUT,
    653: Reason.OVERLOADED,
}

_SHARD_CLIENT: Final = re.compile(r"shard_client_seqno=(\d{1,10})")
_LAST_KNOWN: Final = re.compile(r"last known masterchain block: (\d{1,10})")


def classify(code: int, message: str) -> Reason:
    """The reason behind a liteserver's error answer."""
    text = message.lower()
    for part, reason in _TEXTS:
        if part in text:
            return reason
    return _CODES.get(code, Reason.SERVER_ERROR)


def shard_client_seqno(message: str) -> int | None:
    """The shard client's masterchain seqno that an ``out of sync`` text carries."""
    found = _SHARD_CLIENT.search(message)
    return int(found.group(1)) if found else None


def last_known_seqno(message: str) -> int | None:
    """The newest masterchain seqno that the node has, from a ``cannot find block`` text."""
    found = _LAST_KNOWN.search(message)
    return int(found.group(1)) if found else None
