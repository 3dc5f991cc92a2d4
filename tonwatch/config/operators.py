"""Who operates a provider, by its host: two of one operator are one source."""

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from tonwatch.config import hosts

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_PRIVATE: Final = frozenset({"local", "localhost", "internal", "svc", "lan", "home", "intranet"})
"""Last labels of names that are not in the public DNS."""

_ADDRESS: Final = re.compile(r"[0-9.]+|.*:.*")


@lru_cache(maxsize=1024)
def registered_domain(host: str) -> str | None:
    """The domain that somebody has registered, of a host in the public DNS.

    The first call reads a file of 340 KB; later ones of the same host read nothing.

    Returns:
        None for addresses, for names that are not in the public DNS, and for public suffixes.
    """
    name = hosts.canonical(host)
    _, dot, last = name.rpartition(".")
    if not dot or last in _PRIVATE or _ADDRESS.fullmatch(name):
        return None
    domain: str | None = _public_suffixes().privatesuffix(name)
    return domain


@cache
def _public_suffixes() -> "PublicSuffixList":
    # Imported where a host is in the public DNS: it takes 40 ms and 4 MB.
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
