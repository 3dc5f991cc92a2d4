"""Where answers are parsed: large ones in a thread, and not too many at once."""

import errno
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from tests.ton.large_accounts import CountingThreads
from tonwatch.ton.errors import BadAnswer, Reason, TonError
from tonwatch.ton.parsing import INLINE, Parsing


@pytest.fixture
def threads() -> Iterator[CountingThreads]:
    with CountingThreads() as pool:
        yield pool


@pytest.mark.parametrize(
    ("size", "is_in_loop"), [(0, True), (INLINE, True), (INLINE + 1, False)], ids=str
)
async def test_where_it_is_parsed(threads: CountingThreads, size: int, is_in_loop: bool) -> None:
    where = await Parsing(threads).run(size, threading.get_ident)
    assert (where == threading.get_ident()) is is_in_loop


async def test_without_threads_all_is_parsed_in_the_loop() -> None:
    assert await Parsing().run(INLINE + 1, threading.get_ident) == threading.get_ident()


async def test_what_it_raises_is_raised(threads: CountingThreads) -> None:
    def fail() -> None:
        raise BadAnswer("not a bag of cells")

    with pytest.raises(BadAnswer, match="not a bag"):
        await Parsing(threads).run(INLINE + 1, fail)


async def test_too_much_at_once_is_refused(threads: CountingThreads) -> None:
    parsing, most = Parsing(threads), 32 * 1024 * 1024
    assert await parsing.run(most, int, "5") == 5
    assert await parsing.run(most, int, "6") == 6  # what is parsed counts no more
    with pytest.raises(TonError) as caught:
        await parsing.run(most + 1, int, "7")
    assert caught.value.reason is Reason.ANSWER_TOO_LARGE
    assert threads.calls == 2


class NoThreads(Executor):
    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        raise OSError(errno.EAGAIN, "cannot start a thread")


async def test_a_machine_without_threads() -> None:
    with pytest.raises(TonError, match="cannot start a thread") as caught:
        await Parsing(NoThreads()).run(INLINE + 1, int, "5")
    assert caught.value.reason is Reason.LOCAL_RESOURCES
