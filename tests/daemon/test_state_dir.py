"""The state directory: made where it is missing, tried, and not shared."""

import os
from pathlib import Path
from typing import Any

import pytest

from tonwatch.state_dir import StateDirError, held


def raises(error: OSError) -> Any:
    def instead(*_: object, **__: object) -> None:
        raise error

    return instead


def test_it_is_made(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("")
    words = f"cannot write to state_dir {place}: File exists"
    with pytest.raises(StateDirError, match=words), held(place):
        pass


def test_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateDirError, match="Not a directory"), held(tmp_path / "file" / "state"):
        pass


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", raises(OSError(28, "No space left on device")))
    with pytest.raises(StateDirError, match="No space left on device"), held(tmp_path):
        pass


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests may run as root, who may write anywhere.
    monkeypatch.setattr("tempfile.TemporaryFile", raises(PermissionError(13, "Permission denied")))
    with pytest.raises(StateDirError, match="Permission denied; give it"), held(tmp_path):
        pass


def test_two_cannot_share_it(tmp_path: Path) -> None:
    with (
        held(tmp_path),
        pytest.raises(StateDirError, match="is used by another tonwatch"),
        held(tmp_path),
    ):
        pass
    with held(tmp_path):
        pass
