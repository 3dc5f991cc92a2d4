"""The limit of open files and sockets, and how it is divided."""

import resource
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_MOST: Final = 1 << 16
"""The limit set where more is allowed: some container runtimes allow 1e9."""

_OWN: Final = 64
"""For the log, secret files, the state, name resolution in threads, and connections that are
being refused or closed."""

_EACH_TARGET: Final = 8
"""Two kept connections and a new one, each tried at two addresses at a time; or the connections
of an HTTP provider."""


def raise_limit() -> int:
    """Raise the soft limit to the hard one, at most to 65,536; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        log.info("descriptor limit", limit=soft)
        return _MOST if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError) as error:
        # A sandbox may forbid it: go on with the current limit.
        log.warning("descriptor limit not raised", limit=soft, error=str(error))
        return soft
    log.info("descriptor limit", limit=allowed, was=soft)
    return allowed


def left_for_clients(limit: int, targets: int) -> int:
    """Descriptors left for HTTP clients; below 1 where probes need all."""
    return limit - _OWN - _EACH_TARGET * targets
