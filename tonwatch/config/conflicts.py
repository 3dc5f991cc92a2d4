"""Conflicts between the targets of a configuration.

One server under two names would have two votes, and could make a correct third one look forked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tonwatch.config import hosts
from tonwatch.config.models import Serve
from tonwatch.config.strict import Place, dotted
from tonwatch.config.target import Entry, TargetSection, Trait


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A target, and where it was configured.

    Attributes:
        target: the target.
        place: of the entry that it comes from.
        source: that entry.
        number: which of the entry's targets it is, from 1 on.
    """

    target: TargetSection
    place: Place
    source: Entry
    number: int


class Conflict(NamedTuple):
    """The place in the configuration, and what is wrong there and how to fix it."""

    place: Place
    text: str


def conflicts(entries: Sequence[Placed], serve: Serve) -> Iterator[Conflict]:
    """Servers with two names, and servers on the port that tonwatch would listen on.

    Args:
        entries: every target, in the order of the configuration.
        serve: where tonwatch itself is to listen.
    """
    first: dict[Trait, Placed] = {}
    for entry in entries:
        shared: dict[Placed, list[str]] = {}
        for trait in entry.target.traits():
            earlier = first.setdefault(trait, entry)
            if earlier is not entry:
                shared.setdefault(earlier, []).append(trait.what)
        for earlier, kinds in shared.items():
            yield Conflict(entry.place, _one_server(earlier, entry, kinds))
    for entry in entries:
        host, port = entry.target.endpoint
        if port == serve.port and hosts.takes_port_of(serve.host, host):
            yield Conflict(
                ("serve", "port"),
                f"serve.port: {dotted(entry.place)} has port {port} of this machine, so tonwatch"
                " cannot listen there: choose another",
            )


def _one_server(earlier: Placed, later: Placed, kinds: Sequence[str]) -> str:
    what = " and the same ".join(kinds)
    written = [each.target.written for each in (earlier, later)]
    if kinds[0] != "key" and written[0] != written[1]:
        what += f" ({written[0]} and {written[1]})"
    remedies, origin = [], ""
    for each in (earlier, later):
        place = dotted(each.place)
        if each.source.file() is None:
            remedies.append(f"remove {place}")
            continue
        origin += f" {place} takes it as {each.target.name} from {each.source.file()}:"
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
