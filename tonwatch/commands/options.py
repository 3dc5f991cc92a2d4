"""Shared by commands: exit codes, types of options, and loading of the configuration."""

import argparse
import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from tonwatch.config.models import Config

OK: Final = 0
PROBLEM: Final = 1
"""The command found a problem, or failed."""
USAGE: Final = 2
"""Invalid options or configuration."""


class NothingToWatch(Exception):
    """No target is configured. Its argument is the configuration file, or None."""

    def __str__(self) -> str:
        (file,) = self.args
        return (
            "tonwatch: nothing to watch: no liteserver and no provider is configured"
            f"{f' in {file}' if file else ''}.\n"
            "Write them into a file (see docs/configuration.md) and start"
            " `tonwatch run --config FILE`.\n"
            "To see it work first, on a simulated network with incidents: `tonwatch demo`."
        )


class Loading(Protocol):
    """Loads the configuration by the options of a command line."""

    def load(self, options: argparse.Namespace) -> "Config":
        """The configuration of options, environment and file together.

        Raises:
            ConfigError: it cannot be used.
        """

    def load_to_watch(self, options: argparse.Namespace) -> "Config":
        """The configuration, for a command that needs targets.

        Raises:
            ConfigError: it cannot be used.
            NothingToWatch: it has no target.
        """


def pace(text: str) -> float:
    """A factor of speed, for argparse."""
    factor = float(text)
    if not 0 < factor < math.inf:
        raise argparse.ArgumentTypeError("the pace must be a number above zero")
    return factor


def port(text: str) -> int:
    """A port, 0 for any free one, for argparse."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number up to 65535")
    return number
