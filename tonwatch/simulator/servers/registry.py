"""The kinds of simulated servers by name. A further kind is a folder and its line in `SERVERS`."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tonwatch.simulator.servers.base import SimulatedServer
from tonwatch.simulator.servers.liteserver.server import LiteServer
from tonwatch.simulator.servers.toncenter_v2.server import ToncenterV2

SERVERS: Final[dict[str, type[SimulatedServer]]] = {
    server.kind: server
    for server in (
        LiteServer,
        ToncenterV2,
    )
}


class Section(NamedTuple):
    """A list of servers in scenarios and in tonwatch's configuration.

    Attributes:
        stem: servers without names are named ``stem-1``, ``stem-2``, ...
        kind: the default.
    """

    stem: str
    kind: str


SECTIONS: Final = {
    "liteservers": Section("node", LiteServer.kind),
    "providers": Section("provider", ToncenterV2.kind),
}


class ServerSpec(NamedTuple):
    """A server that a network is to have."""

    name: str
    kind: str


def specs(section: str, wanted: int | Sequence[str | ServerSpec]) -> list[ServerSpec]:
    """The servers of a section.

    Args:
        section: one of `SECTIONS`.
        wanted: how many, or their names; a name alone has the section's default kind.

    Raises:
        ValueError: there is no such kind in this section; the text names all.
    """
    stem, default = SECTIONS[section]
    if isinstance(wanted, int):
        return [ServerSpec(f"{stem}-{number}", default) for number in range(1, wanted + 1)]
    found = [ServerSpec(each, default) if isinstance(each, str) else each for each in wanted]
    kinds = [kind for kind, server in SERVERS.items() if server.section == section]
    for spec in found:
        if spec.kind not in kinds:
            known = ", ".join(kinds)
            raise ValueError(f"{spec.name}: no kind {spec.kind!r} in {section}; kinds are: {known}")
    return found
