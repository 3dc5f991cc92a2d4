"""State in the event loop: what waits is one transaction, and a disk that hangs delays nothing."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tonwatch.samples.account import AccountKey
from tonwatch.samples.incident import IncidentQuery
from tonwatch.state import state as module
from tonwatch.state.sqlite import NAME, SqliteStore
from tonwatch.state.state import State
from tonwatch.state.store import Changes, DiskHangs
from tonwatch.system.executors import Busy

KEY: Final = AccountKey("hot", "native")


def account(number: int) -> AccountKey:
    return AccountKey(f"wallet-{number}", "native")


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    made = State(tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many checkpoints each transaction has."""
    sizes: list[int] = []
    real = SqliteStore.write

    def write(store: SqliteStore, changes: Changes) -> None:
        sizes.append(len(changes.checkpoints))
        real(store, changes)

    monkeypatch.setattr(SqliteStore, "write", write)
    return sizes


async def test_what_waits_is_one_transaction(state: State, transactions: list[int]) -> None:
    """Each costs the disk the same, whatever is in it."""
    written = await asyncio.gather(
        *(state.write(Changes({account(number): b"1"})) for number in range(1000))
    )
    assert set(written) == {""}
    assert sum(transactions) == 1000
    assert len(transactions) < 20
    assert await state.checkpoint(account(999)) == b"1"


async def test_the_last_write_wins(state: State) -> None:
    writes = [
        asyncio.create_task(state.write(Changes({KEY: b"%d" % number}))) for number in range(50)
    ]
    await asyncio.sleep(0)
    for task in writes[:40]:
        task.cancel()
    await asyncio.gather(*writes, return_exceptions=True)
    assert await state.checkpoint(KEY) == b"49"


async def test_each_attempt_to_write_is_reported(tmp_path: Path) -> None:
    reports: list[str] = []
    state = State(tmp_path, reported=reports.append)
    await state.open()
    assert await state.write(Changes({KEY: b"1"})) == ""
    (tmp_path / NAME).rename(tmp_path / "away")
    (tmp_path / NAME).mkdir()
    text = "a directory where a file is expected"
    assert await state.write(Changes({KEY: b"2"})) == text
    (tmp_path / NAME).rmdir()
    (tmp_path / "away").rename(tmp_path / NAME)
    assert await state.write(Changes({KEY: b"2"})) == ""
    await state.close()
    assert reports == ["", f"{tmp_path}: {text}", ""]


async def test_closing_completes_what_is_being_written(tmp_path: Path) -> None:
    state = State(tmp_path)
    await state.open()
    writing = asyncio.create_task(state.write(Changes({KEY: b"1"})))
    await asyncio.sleep(0)
    await state.close()
    assert await writing == ""
    again = State(tmp_path)
    await again.open()
    assert await again.checkpoint(KEY) == b"1"
    await again.close()


async def test_failures_that_nobody_waits_for(state: State, tmp_path: Path) -> None:
    """They are no unhandled exceptions of the event loop."""
    unhandled: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    (tmp_path / NAME).rename(tmp_path / "away")
    (tmp_path / NAME).mkdir()
    calls = (state.write(Changes({KEY: b"1"})), state.checkpoint(KEY))
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert await state.write(Changes({KEY: b"2"})) != ""
    del tasks, task
    gc.collect()
    await asyncio.sleep(0)
    assert unhandled == []


class TestADiskThatHangs:
    """Nothing is lost, nothing piles up, and counting does not begin anew."""

    @pytest.fixture
    def hanging(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """The disk, until the event is set."""
        gate = threading.Event()
        real = SqliteStore._opened

        def hang(store: SqliteStore) -> Any:
            gate.wait()
            return real(store)

        monkeypatch.setattr(module, "DISK_WITHIN", 0.02)
        monkeypatch.setattr(SqliteStore, "_opened", hang)
        yield gate
        gate.set()

    async def test_writing(self, state: State, hanging: threading.Event) -> None:
        for number in range(5):
            text = await state.write(Changes({KEY: b"%d" % number}))
            assert text == "the disk does not answer"
        assert state._thread._calls == 1
        hanging.set()
        async with asyncio.timeout(10):
            while await state.write(Changes({KEY: b"new"})):
                await asyncio.sleep(0.005)
        assert await state.checkpoint(KEY) == b"new"

    async def test_incidents(
        self, state: State, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Clients get an answer soon, and many of them do not fill the queue."""
        monkeypatch.setattr(module, "READ_WITHIN", 0.02)
        query = IncidentQuery(network=bytes(32))
        answers = await asyncio.gather(
            *(state.incidents(query) for _ in range(100)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {DiskHangs, Busy}
        with pytest.raises(DiskHangs):
            await state.incidents(query)
        assert state._thread._calls <= 8
        hanging.set()

    async def test_reading(self, state: State, hanging: threading.Event) -> None:
        """Beginning anew would lose what was counted."""
        for _ in range(5):
            with pytest.raises(DiskHangs):
                await state.checkpoint(KEY)
        assert state._thread._calls == 1
        hanging.set()
