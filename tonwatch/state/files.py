"""Checkpoints in files, one for each account, as tonwatch kept them before it had a database.

They are taken over as they are, whether they can be used or not, and then renamed.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tonwatch.samples.account import AccountKey
from tonwatch.state.store import Unreadable
from tonwatch.system import regular_file

TAKEN_OVER: Final = ".imported"
"""Suffix of the name of a file that was taken over."""

_MAX_SIZE: Final = 64 * 1024
_NAME: Final = re.compile(r"([^@]+)@([^@]+)\.json")


class OlderFiles:
    """The files in a state directory; none without one."""

    def __init__(self, state_dir: Path | None) -> None:
        self._dir = state_dir

    def path(self, key: AccountKey) -> Path:
        """The file of an account. Names hold no ``@``, so no two accounts share one."""
        assert self._dir is not None, "there are no files"
        return self._dir / f"{key.name}@{key.asset}.json"

    def found(self) -> Iterator[AccountKey]:
        """The accounts that have a file.

        Raises:
            OSError: the directory cannot be read.
        """
        for entry in sorted(self._dir.iterdir()) if self._dir is not None else ():
            if match := _NAME.fullmatch(entry.name):
                yield AccountKey(match[1], match[2])

    def exists(self, key: AccountKey) -> bool:
        """Whether an account has a file, or something else in its place.

        Raises:
            OSError: unknown.
        """
        if self._dir is None:
            return False
        try:
            self.path(key).lstat()
        except FileNotFoundError:
            return False
        return True

    def read(self, key: AccountKey) -> bytes:
        """An account's file; empty where it is larger than any checkpoint.

        Raises:
            Unreadable: it cannot be read for now, or is no file.
        """
        try:
            return regular_file.read(self.path(key), _MAX_SIZE)
        except FileNotFoundError:
            raise Unreadable("a broken link") from None
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None
        except regular_file.NotRegular as error:
            raise Unreadable(str(error)) from None
        except ValueError:
            return b""

    def set_aside(self, key: AccountKey) -> None:
        """Rename an account's file, which was taken over; without one nothing happens.

        Raises:
            OSError: it cannot be renamed.
        """
        file = self.path(key)
        if self.exists(key):
            file.replace(file.with_name(file.name + TAKEN_OVER))
