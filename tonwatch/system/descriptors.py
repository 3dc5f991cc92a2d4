"""How many files and sockets this process may have open, and who needs how many."""

import resource
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_MOST: Final = 1 << 16
"""What is asked for where more is allowed: some container runtimes allow 1e9."""

_OWN: Final = 64
"""For the log, secret files, the state, name resolution in threads, connections that are just
being refused or closed."""

_EACH_TARGET: Final = 8
"""Two connections that are kept, one that is made anew, each tried at two addresses at a time;
wallets that are read at an HTTP provider."""


def raise_limit() -> int:
    """Raise the soft limit to the hard one, at most to 65,536; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        log.info("descriptor limit", limit=soft)
        return _MOST if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError) as error:
        # A sandbox may forbid it. What there is has to do.
        log.warning("descriptor limit not raised", limit=soft, error=str(error))
        return soft
    log.info("descriptor limit", limit=allowed, was=soft)
    return allowed


def left_for_clients(limit: int, targets: int) -> int:
    """Descriptors that probes of so many targets never need; below 1 where they need all."""
    return limit - _OWN - _EACH_TARGET * targets
