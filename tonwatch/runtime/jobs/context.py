"""What jobs read at each tick, so that they go on while the configuration changes."""

from collections.abc import Callable, Mapping
from typing import Protocol

from tonwatch.config.models import Config
from tonwatch.probes.source import Source
from tonwatch.targets.kind import OpenTarget
from tonwatch.watch.view import View


class Context(Protocol):
    """The current state of the runtime.

    Attributes:
        wall: local clock, Unix seconds.
    """

    wall: Callable[[], float]

    @property
    def config(self) -> Config:
        """The configuration."""

    @property
    def view(self) -> View:
        """The newest view."""

    @property
    def targets(self) -> Mapping[str, OpenTarget]:
        """All targets, by name."""

    @property
    def sources(self) -> Mapping[str, Source]:
        """The targets that accounts can be read from, by name."""
