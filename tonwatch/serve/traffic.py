"""What is counted of the connections to tonwatch's own HTTP server."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from aiohttp import web


class Refusal(StrEnum):
    """Why a client was not served, or not to the end."""

    FULL = "full"
    DISPLACED = "displaced"
    REQUEST_TIMEOUT = "request_timeout"
    REQUEST_TOO_LARGE = "request_too_large"
    RESPONSE_TIMEOUT = "response_timeout"
    NOT_ACCEPTED = "not_accepted"


@dataclass(slots=True)
class Traffic:
    """Counts since the start.

    Attributes:
        connections: that are open now.
        refused: connections that were refused or cut off, by why; every reason is there.
    """

    connections: int = 0
    refused: dict[Refusal, int] = field(default_factory=lambda: dict.fromkeys(Refusal, 0))


TRAFFIC: Final = web.AppKey("traffic", Traffic)
"""Where an application keeps what the listener counts and /metrics shows."""
