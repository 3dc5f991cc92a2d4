"""What a command returns to the shell."""

from typing import Final

OK: Final = 0
PROBLEM: Final = 1
"""Something is wrong that the command was to find, or it could not do its work."""
USAGE: Final = 2
"""The options or the configuration make no sense."""
