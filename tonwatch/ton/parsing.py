"""Parses large answers in a thread, so that they do not block the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, TypeVar, TypeVarTuple

from tonwatch.ton.errors import Reason, TonError
from tonwatch.ton.local_resources import raise_exhausted

INLINE: Final = 16 * 1024
"""Bytes up to which an answer is parsed in the event loop: under 15 ms, whatever is in it. Nearly
all answers are shorter, and a thread takes longer to wake up than they take to parse."""

_MOST_AT_ONCE: Final = 32 * 1024 * 1024
"""Bytes of answers that wait to be parsed: three of the largest accounts that there can be."""

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Parsing:
    """Where answers are parsed.

    Args:
        threads: for large answers; None to parse all in the event loop.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        self._threads = threads
        self._waiting = 0

    async def run(self, size: int, parse: Callable[[*Arguments], T], *args: *Arguments) -> T:
        """Parse an answer of `size` bytes.

        Raises:
            TonError: raised by `parse`; or reason ``answer_too_large`` where too much is being
                parsed, or ``local_resources`` where no thread can be started.
        """
        if self._threads is None or size <= INLINE:
            return parse(*args)
        if self._waiting + size > _MOST_AT_ONCE:
            text = f"{self._waiting + size:,} bytes of answers at once"
            raise TonError(Reason.ANSWER_TOO_LARGE, text)
        self._waiting += size
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, parse, *args)
        except OSError as error:
            raise_exhausted(error)
            raise
        finally:
            self._waiting -= size
