"""Thread pools: bounded, independent of each other, and no obstacle to shutdown."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from tonwatch.system import executors
from tonwatch.system.executors import Busy, Threads

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def pool() -> Iterator[Threads]:
    made = Threads("test", 2, waiting=3)
    yield made
    made.shutdown()


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


async def test_results_and_exceptions(pool: Threads) -> None:
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(pool, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(pool, divmod, 7, 0)
    assert pool.submit(lambda *, x: x, x=5).result() == 5


@pytest.mark.parametrize(
    "error", [StopIteration, StopAsyncIteration, SystemExit, asyncio.CancelledError]
)
async def test_exceptions_that_futures_refuse_become_runtime_errors(
    pool: Threads, error: type[BaseException]
) -> None:
    def fails() -> None:
        raise error

    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match=error.__name__) as caught:
            await asyncio.get_running_loop().run_in_executor(pool, fails)
    assert isinstance(caught.value.__cause__, error)


def hang(begun: threading.Event, gate: threading.Event) -> bool:
    begun.set()
    return gate.wait()


class TestGivenUp:
    """A call whose future is cancelled while it runs may never end."""

    def hang(self, pool: Threads, gate: threading.Event) -> Future[bool]:
        begun = threading.Event()
        future = pool.submit(hang, begun, gate)
        begun.wait()
        assert not future.cancel()
        return future

    def test_calls_fail_at_once_while_all_threads_hang(
        self, pool: Threads, gate: threading.Event
    ) -> None:
        hanging = [self.hang(pool, gate) for _ in range(2)]
        with pytest.raises(Busy, match="hang"):
            pool.submit(divmod, 7, 2)
        gate.set()
        assert all(future.result() for future in hanging)
        assert pool.submit(divmod, 7, 2).result() == (3, 1)

    def test_a_spare_thread_takes_over(self, gate: threading.Event) -> None:
        pool = Threads("spare", 1, waiting=1, spare=2)
        hanging = [self.hang(pool, gate)]
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        hanging += [self.hang(pool, gate) for _ in range(2)]
        with pytest.raises(Busy, match="hang"):
            pool.submit(divmod, 7, 2)
        gate.set()
        assert all(future.result() for future in hanging)
        assert len({pool.submit(threading.get_ident).result() for _ in range(20)}) == 1
        pool.shutdown()

    def test_a_spare_thread_serves_waiting_calls(self, gate: threading.Event) -> None:
        pool = Threads("spare", 1, waiting=1, spare=1)
        begun = threading.Event()
        hanging = pool.submit(hang, begun, gate)
        begun.wait()
        waiting = pool.submit(divmod, 7, 2)
        hanging.cancel()
        assert waiting.result() == (3, 1)
        pool.shutdown()


def test_one_thread_serves_calls_that_follow_each_other(pool: Threads) -> None:
    idents = set()
    for _ in range(20):
        idents.add(pool.submit(threading.get_ident).result())
    assert len(idents) == 1


def test_a_call_beyond_the_limit_is_busy(pool: Threads, gate: threading.Event) -> None:
    waiting = [pool.submit(gate.wait) for _ in range(5)]
    with pytest.raises(Busy):
        pool.submit(gate.wait)
    assert names().count("tonwatch-test") == 2
    gate.set()
    assert all(future.result() for future in waiting)


def test_a_cancelled_call_is_not_begun(pool: Threads, gate: threading.Event) -> None:
    begun: list[int] = []
    waiting = [pool.submit(gate.wait) for _ in range(2)]
    given_up, wanted = (pool.submit(begun.append, number) for number in (1, 2))
    assert given_up.cancel()
    gate.set()
    wanted.result()
    assert begun == [2]
    assert all(future.result() for future in waiting)


def test_shutdown_waits_for_nothing(pool: Threads, gate: threading.Event) -> None:
    begun = threading.Barrier(3)
    running = [pool.submit(lambda: begun.wait() >= 0 and gate.wait()) for _ in range(2)]
    begun.wait()
    waiting = pool.submit(gate.wait)
    pool.shutdown()
    with pytest.raises(CancelledError):
        waiting.result(timeout=0)
    with pytest.raises(RuntimeError, match="ended"):
        pool.submit(gate.wait)
    gate.set()
    assert all(future.result() for future in running)


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> None:
    monkeypatch.setattr(executors, "_IDLE", 0.01)
    pool = Threads("idle", 50)
    futures = [pool.submit(gate.wait) for _ in range(50)]
    gate.set()
    assert all(future.result() for future in futures)
    for thread in threading.enumerate():
        if thread.name == "tonwatch-idle":
            thread.join()
    assert names().count("tonwatch-idle") == 0
    assert pool.submit(divmod, 7, 2).result() == (3, 1)
    pool.shutdown()


def test_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, pool: Threads, gate: threading.Event
) -> None:
    """Calls wait for existing threads; without any it is an error with a message."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="cannot start a thread"):
            pool.submit(gate.wait)
    first = pool.submit(gate.wait)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    second = pool.submit(divmod, 7, 2)
    gate.set()
    assert (first.result(), second.result()) == (True, (3, 1))


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import asyncio, threading\n"
        "from tonwatch.system import executors\n"
        "async def main():\n"
        "    async with executors.running() as pools:\n"
        "        for pool in (pools.scrapes, pools.pages, pools.secrets):\n"
        "            pool.submit(threading.Event().wait)\n"
        "        pools.names._lookup = lambda _: threading.Event().wait()\n"
        "        asyncio.ensure_future(pools.names.resolve('slow.example', 1))\n"
        "        await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, timeout=20, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


DEFAULT = re.compile(r"to_thread\(|run_in_executor\(\s*None|loop\.getaddrinfo|ThreadPoolExecutor\(")


def test_nothing_uses_the_default_executor(subtests: pytest.Subtests) -> None:
    for path in (ROOT / "tonwatch").rglob("*.py"):
        with subtests.test(path.name):
            assert not DEFAULT.search(path.read_text(encoding="utf-8"))
