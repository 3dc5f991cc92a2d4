"""The state directory: created where missing, checked, and locked."""

import asyncio
import fcntl
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.configs import configured
from tonwatch.runtime.runtime import running
from tonwatch.state import state
from tonwatch.state.directory import LOCK, StateDirError, locked

KEY = "n4VDnSCUuSpjnCyUk9e3QOOd6o0ItSWYbTnW3Wnn8wk="


def raises(error: OSError) -> Any:
    def instead(*_: object, **__: object) -> None:
        raise error

    return instead


def test_it_is_created(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("")
    words = f"cannot write to state_dir {place}: File exists"
    with pytest.raises(StateDirError, match=words), locked(place):
        pass


def test_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateDirError, match="Not a directory"), locked(tmp_path / "file" / "state"):
        pass


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", raises(OSError(28, "No space left on device")))
    with pytest.raises(StateDirError, match="No space left on device"), locked(tmp_path):
        pass


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests may run as root, who may write anywhere.
    monkeypatch.setattr("tempfile.TemporaryFile", raises(PermissionError(13, "Permission denied")))
    with pytest.raises(StateDirError, match="Permission denied; give it"), locked(tmp_path):
        pass


def test_it_cannot_be_shared(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(StateDirError, match="is used by another tonwatch"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


async def test_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start waits a limited time, and fails with the reason."""
    answers = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: answers.wait())
    monkeypatch.setattr(state, "OPENS_WITHIN", 0.05)
    config = configured(
        {
            "state_dir": str(tmp_path),
            "liteservers": [{"name": "it", "host": "127.0.0.1", "port": 1, "key": KEY}],
            "wallets": [{"name": "hot", "address": f"0:{bytes(32).hex()}", "payouts": True}],
        }
    )
    with pytest.raises(StateDirError, match=f"the disk of state_dir {tmp_path} does not answer"):
        async with running(config):
            pass
    answers.set()


@pytest.mark.parametrize("place", [LOCK, f"{LOCK}/held"])
def test_a_pipe_in_the_place_of_the_lock(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / place)
    with locked(tmp_path):
        pass


class TestVersionsWithAFileForEachAccount:
    """They lock a file, and would count anew beside a database that they do not know."""

    @staticmethod
    def older(state_dir: Path) -> int:
        """Lock the directory as they do."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.open(state_dir / "lock", flags, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock

    def test_one_that_runs_keeps_the_directory(self, tmp_path: Path) -> None:
        lock = self.older(tmp_path)
        for _ in range(2):
            with (
                pytest.raises(StateDirError, match="is used by another tonwatch"),
                locked(tmp_path),
            ):
                pass
        assert (tmp_path / "lock").is_file()
        os.close(lock)
        with locked(tmp_path):
            pass

    def test_they_refuse_a_directory_that_was_used_since(self, tmp_path: Path) -> None:
        """Their words: cannot write to state_dir: Is a directory."""
        os.close(self.older(tmp_path))
        with locked(tmp_path), pytest.raises(IsADirectoryError):
            self.older(tmp_path)
        with pytest.raises(IsADirectoryError):
            self.older(tmp_path)


def test_state_of_a_newer_tonwatch(tmp_path: Path) -> None:
    """It is refused at the start, in words, and the directory is free again."""

    async def opened() -> None:
        made = state.State(tmp_path)
        await made.open()
        await made.close()

    asyncio.run(opened())
    connection = sqlite3.connect(tmp_path / "tonwatch.sqlite3")
    connection.execute("PRAGMA user_version = 1000")
    connection.close()
    with pytest.raises(StateDirError, match=r"of a newer tonwatch.*version 1000.*run the newer"):
        asyncio.run(opened())
    with locked(tmp_path):
        pass
