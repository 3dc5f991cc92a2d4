"""The state directory: created where missing, checked, and locked."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.configs import configured
from tonwatch.runtime import state_dir
from tonwatch.runtime.runtime import running
from tonwatch.runtime.state_dir import StateDirError, locked

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
    monkeypatch.setattr(state_dir, "OPENS_WITHIN", 0.05)
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


def test_a_pipe_in_the_place_of_the_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    with locked(tmp_path):
        pass
