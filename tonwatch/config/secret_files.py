"""Secret and key files: they may appear late, change in place, and are never shown.

Kubernetes and vault agents replace files by renaming or by swapping symlinks,
so a change is detected by the content, not by inode or modification time.
"""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import structlog

from tonwatch.system import regular_file
from tonwatch.system.internal_errors import Component, InternalErrors
from tonwatch.ton.errors import ConnectError, Reason

log = structlog.get_logger(__name__)

REFRESH_INTERVAL: Final = 5.0
"""Seconds between two reads of the files."""

FIRST_WITHIN: Final = 3.0
"""Seconds that the start waits for the files; slower ones count as appearing late."""

_MAX_SIZE: Final = 64 * 1024

T = TypeVar("T")


class SecretFile(Generic[T]):
    """A file read into a value.

    Args:
        path: the file; it need not exist yet.
        parse: converts its content; raises ValueError without quoting it.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        self.path = path
        self._parse = parse
        self._value: T | None = None
        self._digest = b""
        self._trouble = "not read yet"

    def get(self) -> T:
        """The value; the last valid one where the file has since gone or become invalid.

        Raises:
            ConnectError: ``key_unavailable``, there has been no valid content yet.
        """
        if self._value is None:
            raise ConnectError(Reason.KEY_UNAVAILABLE, f"{self.path}: {self._trouble}")
        return self._value

    def refresh(self) -> None:
        """Read the file again; blocks, so call it in a thread. Logs each change once."""
        try:
            content = regular_file.read(self.path, _MAX_SIZE)
            digest = hashlib.sha256(content).digest()
            if digest == self._digest:
                self._trouble = ""
                return
            value = self._parse(content)
        except (OSError, ValueError) as error:
            trouble = (error.strerror or "unreadable") if isinstance(error, OSError) else str(error)
            self._fails(trouble)
            return
        if self._digest:
            log.info("secret file changed", path=str(self.path))
        self._value, self._digest, self._trouble = value, digest, ""

    def hangs(self) -> None:
        """Record that a refresh has not ended in time."""
        self._fails("the disk does not answer")

    def _fails(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("secret file", path=str(self.path), trouble=trouble)
        self._trouble = trouble


class SecretFiles:
    """Reads all secret files repeatedly, independently of each other: one may hang.

    Args:
        threads: where they are read.
        errors: counts internal errors.
    """

    def __init__(self, threads: Executor, errors: InternalErrors) -> None:
        self._files: dict[SecretFile[Any], asyncio.Future[None] | None] = {}
        self._threads = threads
        self._errors = errors

    def open(self, path: Path, parse: Callable[[bytes], T]) -> SecretFile[T]:
        """A file that is read from now on; see `SecretFile`. It has no value until `refresh`."""
        file = SecretFile(path, parse)
        self._files[file] = None
        return file

    def close(self, file: SecretFile[Any]) -> None:
        """Stop reading it."""
        reading = self._files.pop(file, None)
        if reading is not None:
            reading.cancel()

    async def refresh(self, within: float) -> None:
        """Refresh all, except those whose last refresh has not ended yet.

        Args:
            within: seconds to wait for them.
        """
        loop = asyncio.get_running_loop()
        for file, reading in self._files.items():
            if reading is None or reading.done():
                self._files[file] = loop.run_in_executor(self._threads, self._refresh, file)
        pending = [reading for reading in self._files.values() if reading is not None]
        if pending:
            await asyncio.wait(pending, timeout=within)
        for file, reading in self._files.items():
            if reading is not None and not reading.done():
                file.hangs()

    async def keep(self) -> None:
        """Refresh all until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_INTERVAL)
            with self._errors.guard(Component.SECRETS):
                await self.refresh(REFRESH_INTERVAL)

    def close_all(self) -> None:
        """Stop reading all files."""
        for file in tuple(self._files):
            self.close(file)

    def _refresh(self, file: SecretFile[Any]) -> None:
        with self._errors.guard(Component.SECRETS, str(file.path)):
            file.refresh()
