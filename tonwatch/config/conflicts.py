"""What cannot go together, once every target of a configuration is known.

One server under two names would have two votes, and would make an honest third look forked.
"""

import os
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from tonwatch.config import hosts
from tonwatch.config.models import GlobalConfig, LiteServer, Provider, Serve, decode_key
from tonwatch.config.strict import Place, dotted

Trait = tuple[str, Hashable]
"""Something that one server alone has: what it is called, and one spelling for all of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A target, and where it was configured.

    Attributes:
        target: it.
        place: of the entry that it comes from.
        source: that entry, where it is a ``global_config``.
        number: which of its liteservers the target is, from 1 on.
    """

    target: LiteServer | Provider
    place: Place
    source: GlobalConfig | None = None
    number: int = 0


class Conflict(NamedTuple):
    """The place in the configuration that is to blame, and what is wrong and to be done."""

    place: Place
    text: str


def conflicts(entries: Sequence[Entry], serve: Serve) -> Iterator[Conflict]:
    """Servers that have two names, and servers whose port we would take.

    Args:
        entries: every target, in the order of the configuration.
        serve: where tonwatch itself is to listen.
    """
    first: dict[Trait, Entry] = {}
    for entry in entries:
        shared: dict[Entry, list[str]] = {}
        for trait in traits(entry.target):
            earlier = first.setdefault(trait, entry)
            if earlier is not entry:
                shared.setdefault(earlier, []).append(trait[0])
        for earlier, kinds in shared.items():
            yield Conflict(entry.place, _one_server(earlier, entry, kinds))
    for entry in entries:
        host, port = _host_and_port(entry.target)
        if port == serve.port and hosts.takes_port_of(serve.host, host):
            yield Conflict(
                ("serve", "port"),
                f"serve.port: {dotted(entry.place)} has port {port} of this machine, so tonwatch"
                " cannot listen there: choose another",
            )


def traits(target: LiteServer | Provider) -> Iterator[Trait]:
    """By what a server is recognised: two entries that share any of it are one server."""
    if isinstance(target, Provider):
        # The same server behind http and https; and it may be either that is spelt out.
        port = None if target.url.port in {80, 443} else target.url.port
        path = re.sub("/+", "/", unquote(target.url.path or "")).removesuffix("/")
        yield "URL", (hosts.canonical(target.url.host or ""), port, path)
        return
    yield "host and port", (hosts.canonical(target.host), target.port)
    if target.key is not None:
        yield "key", decode_key(target.key)
    if target.key_file is not None:
        yield "key_file", os.path.realpath(target.key_file)


def _one_server(earlier: Entry, later: Entry, kinds: Sequence[str]) -> str:
    what = " and the same ".join(kinds)
    written = [_written(each.target) for each in (earlier, later)]
    if kinds[0] != "key" and written[0] != written[1]:
        what += f" ({written[0]} and {written[1]})"
    remedies, origin = [], ""
    for each in (earlier, later):
        place = dotted(each.place)
        if each.source is None:
            remedies.append(f"remove {place}")
            continue
        origin += f" {place} takes it as {each.target.name} from {each.source.global_config}:"
        if each.number > 1:
            remedies.append(f"lower {place}.count to {each.number - 1}")
    if origin:
        remedies.append("name a copy of that file without it")
    else:
        remedies = ["keep one of them"]
    return (
        f"{dotted(earlier.place)} and {dotted(later.place)} are one server, by the same {what};"
        f" under two names it would have two votes:{origin} {', or '.join(remedies)}"
    )


def _written(target: LiteServer | Provider) -> str:
    return str(target.url) if isinstance(target, Provider) else f"{target.host} {target.port}"


def _host_and_port(target: LiteServer | Provider) -> tuple[str, int | None]:
    if isinstance(target, Provider):
        return target.url.host or "", target.url.port
    return target.host, target.port
