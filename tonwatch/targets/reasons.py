"""The reasons that any probe of any target can end with."""

from typing import Final

from tonwatch.ton.errors import Reason

COMMON_REASONS: Final = (
    Reason.OK,
    Reason.KEY_UNAVAILABLE,
    Reason.RESOLVE_FAILED,
    Reason.CONNECT_REFUSED,
    Reason.CONNECT_TIMEOUT,
    Reason.CONNECT_FAILED,
    Reason.LOCAL_RESOURCES,
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
