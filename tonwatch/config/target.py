"""Shared by all entries of ``liteservers`` and ``providers``, of any kind.

The kinds, and the other keys of their entries, are in `tonwatch.targets`.
"""

from abc import abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from tonwatch.config.hosts import is_loopback
from tonwatch.config.types import Name, Section

Role = Literal["primary", "reference"]

ListName = Literal["liteservers", "providers"]


class Trait(NamedTuple):
    """A property that is unique to a server.

    Attributes:
        what: its name in messages.
        value: in canonical spelling.
    """

    what: str
    value: Hashable


class Endpoint(NamedTuple):
    """Where a server listens; `port` is None where it is not known."""

    host: str
    port: int | None


class Entry(Section):
    """One entry of a list of targets: a target, or what stands for several.

    Attributes:
        listed: its list.
        tag: distinguishes it from the list's other entries: the value of its ``kind`` or, in a
            list without kinds, a key that it alone has. Empty for the list's default entry.
    """

    listed: ClassVar[ListName]
    tag: ClassVar[str]

    name: Name
    role: Role = "primary"
    operator: Name | None = Field(
        None,
        description="who runs it: targets of one operator are one source where sources are counted",
    )

    def names(self) -> list[str]:
        """The names of all targets that it stands for."""
        return [self.name]

    @abstractmethod
    def targets(self, zerostate: bytes) -> Sequence["TargetSection"]:
        """The targets that it stands for. Blocks where they are read from a file.

        Args:
            zerostate: root hash of the network that they must be of.

        Raises:
            ValueError: they cannot be read; the text says why and what to do.
        """

    def file(self) -> Path | None:
        """The file that lists its targets; None where they are configured here."""
        return None


class TargetSection(Entry):
    """One target."""

    local: bool | None = Field(None, description="on this machine; by default if host is loopback")

    def targets(self, zerostate: bytes) -> Sequence["TargetSection"]:
        """Itself."""
        del zerostate
        return (self,)

    @property
    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Its host and port."""

    @property
    @abstractmethod
    def written(self) -> str:
        """The endpoint as the operator wrote it, for messages. Never with a secret in it."""

    @abstractmethod
    def traits(self) -> Iterator[Trait]:
        """Its unique properties: two entries that share one are the same server."""

    @property
    def operated_by(self) -> str:
        """Its operator: as configured, or itself."""
        return self.operator or self.name

    @property
    def pause(self) -> float:
        """Seconds that a request may wait for the local rate limit."""
        return 0.0

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: as configured, or because its host is loopback."""
        return is_loopback(self.endpoint.host) if self.local is None else self.local

    def is_same_server(self, other: "TargetSection") -> bool:
        """Whether nothing but `role`, `local` and `operator` differs."""
        used_as = {"role": other.role, "local": other.local, "operator": other.operator}
        return type(self) is type(other) and self.model_copy(update=used_as) == other
