"""Counts of connections to tonwatch's own HTTP server."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from aiohttp import web


class Refusal(StrEnum):
    """Why a connection was refused or cut off."""

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
        connections: open now.
        refused: connections that were refused or cut off, by reason; each has an entry.
    """

    connections: int = 0
    refused: dict[Refusal, int] = field(default_factory=lambda: dict.fromkeys(Refusal, 0))


TRAFFIC: Final = web.AppKey("traffic", Traffic)
"""Key of an application's counts, which the listener updates and /metrics shows."""
