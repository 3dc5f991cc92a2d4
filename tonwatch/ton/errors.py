"""Why a query failed: one closed set of reasons, one exception tree.

Reasons are label values, and appear in ``/health``, alerts and runbooks, so a
reason is added here first and never spelled anywhere else.

    TonError                 carries a Reason and the peer's message
    ├── ConnectError         no usable connection was made
    ├── ConnectionLost       the connection ended during the query
    ├── QueryTimeout         no answer within the deadline
    ├── ProtocolError        the peer violated the protocol
    ├── BadAnswer            well-formed transport, invalid content
    ├── ProofInvalid         the answer contradicts its own Merkle proof
    ├── LiteServerError      the liteserver answered liteServer.error
    └── ProviderError        the HTTP provider answered an error
"""

from enum import StrEnum

MAX_DETAIL = 300
"""Characters kept of a peer's message: enough to recognise it, too few to flood a page."""


class Reason(StrEnum):
    """How a probe ended. ``ok`` or exactly one kind of failure."""

    OK = "ok"

    # Before a connection exists.
    KEY_UNAVAILABLE = "key_unavailable"
    RESOLVE_FAILED = "resolve_failed"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    HANDSHAKE_FAILED = "handshake_failed"
    HANDSHAKE_TIMEOUT = "handshake_timeout"

    LOCAL_RESOURCES = "local_resources"
    """This machine has no descriptor, port or memory left: nothing was learnt of the target."""

    # On the connection.
    CONNECTION_LOST = "connection_lost"
    QUERY_TIMEOUT = "query_timeout"
    NOT_SYNCED = "not_synced"
    PROTOCOL_ERROR = "protocol_error"
    ANSWER_TOO_LARGE = "answer_too_large"
    BAD_ANSWER = "bad_answer"
    PROOF_INVALID = "proof_invalid"

    # The server answered an error.
    NOT_READY = "not_ready"
    SHARD_LAG = "shard_lag"
    PRUNED = "pruned"
    OVERLOADED = "overloaded"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_FAILED = "upstream_failed"
    MESSAGE_REJECTED = "message_rejected"
    UNSUPPORTED = "unsupported"
    UNAUTHORIZED = "unauthorized"
    """The configured API key is refused."""
    FORBIDDEN = "forbidden"
    """Refused, and no API key is configured."""
    RATE_LIMITED = "rate_limited"
    NOT_FOUND = "not_found"
    SERVER_ERROR = "server_error"
    METHOD_FAILED = "method_failed"

    # The answer is about another chain, or a proof contradicts it.
    WRONG_NETWORK = "wrong_network"
    DISPROVED = "disproved"
    FALSE_TIME = "false_time"
    """Its block times are later than the time."""

    # A bug in tonwatch.
    PROBE_FAILED = "probe_failed"


class TonError(Exception):
    """A query that was not answered.

    Attributes:
        reason: the kind of failure.
        detail: what happened in one line; a peer's message in it is cut to
            ``MAX_DETAIL`` characters and has no control characters.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = one_line(detail)
        super().__init__(f"{reason}: {self.detail}")


class ConnectError(TonError):
    """No usable connection: resolving, connecting, TLS or the handshake failed."""


class ConnectionLost(TonError):
    """The connection ended while a query was pending, or before it was sent."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.CONNECTION_LOST, detail)


class QueryTimeout(TonError):
    """The peer did not answer within the deadline."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.QUERY_TIMEOUT, detail)


class ProtocolError(TonError):
    """The peer violated the protocol; the connection cannot be used any more."""

    def __init__(self, detail: str, reason: Reason = Reason.PROTOCOL_ERROR) -> None:
        super().__init__(reason, detail)


class BadAnswer(TonError):
    """An answer of the wrong type, cut short, too long or with impossible values."""

    def __init__(self, detail: str, reason: Reason = Reason.BAD_ANSWER) -> None:
        super().__init__(reason, detail)


class ProofInvalid(TonError):
    """An answer whose Merkle proof does not lead to the block it claims."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.PROOF_INVALID, detail)


class LiteServerError(TonError):
    """``liteServer.error``: the node's code, and its text as ``detail``."""

    def __init__(self, reason: Reason, code: int, message: str) -> None:
        self.code = code
        super().__init__(reason, f"liteserver error {code}: {message}")


class ProviderError(TonError):
    """An HTTP provider's error: the status, and the message in its body."""

    def __init__(self, reason: Reason, status: int, message: str) -> None:
        self.status = status
        super().__init__(reason, f"HTTP {status}: {message}" if message else f"HTTP {status}")


def one_line(text: str) -> str:
    """Cut foreign text to one printable line of ``MAX_DETAIL`` characters."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_DETAIL])
    line = " ".join(printable.split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"
