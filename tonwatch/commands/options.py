"""What commands share: exit codes, kinds of options, and how they get a configuration."""

import argparse
import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from tonwatch.config.models import Config

OK: Final = 0
PROBLEM: Final = 1
"""Something is wrong that the command was to find, or it could not do its work."""
USAGE: Final = 2
"""The options or the configuration make no sense."""


class NothingToWatch(Exception):
    """No target is configured. Its argument is the file that was read; None for none."""

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
    """Makes a configuration of the options of a command line."""

    def load(self, options: argparse.Namespace) -> "Config":
        """The configuration that the options, the environment and the file make together.

        Raises:
            ConfigError: it cannot be used.
        """

    def load_to_watch(self, options: argparse.Namespace) -> "Config":
        """The configuration, for a command that has to watch something or say whether it could.

        Raises:
            ConfigError: it cannot be used.
            NothingToWatch: there is no target in it.
        """


def pace(text: str) -> float:
    """A factor by which time goes faster, for argparse."""
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
