"""The files of older versions: taken over once, and nothing of them is lost."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from tonwatch.samples.account import AccountKey
from tonwatch.state.files import OlderFiles
from tonwatch.state.sqlite import NAME, SqliteStore
from tonwatch.state.store import Changes, Unreadable

KEY: Final = AccountKey("hot", "native")
OTHER: Final = AccountKey("hot", "usdt")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path)
    yield made
    made.close()


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} - {NAME, f"{NAME}-journal"}


def test_they_are_taken_over_and_renamed(store: SqliteStore, tmp_path: Path) -> None:
    content = {"hot@native.json": b'{"a": 1}', "hot@usdt.json": b"damaged, which is found later"}
    beside = {"hot@native.json.new": b"", "hot@usdt.json.corrupt-5": b"", "notes.json": b"{}"}
    for name, text in {**content, **beside}.items():
        (tmp_path / name).write_bytes(text)
    with capture_logs() as logs:
        store.open()
    assert [(line["event"], line["files"]) for line in logs] == [
        ("checkpoints of an older version are taken over", 2)
    ]
    assert store.checkpoint(KEY) == content["hot@native.json"]
    assert store.checkpoint(OTHER) == content["hot@usdt.json"]
    assert names(tmp_path) == beside.keys() | {f"{name}.imported" for name in content}
    for name, text in content.items():
        assert (tmp_path / f"{name}.imported").read_bytes() == text
    store.close()
    with capture_logs() as logs:
        store.open()
    assert not logs


def test_killed_before_they_are_renamed(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted since then is newer."""
    (tmp_path / "hot@native.json").write_bytes(b"1")
    with monkeypatch.context() as patch, capture_logs():
        patch.setattr(OlderFiles, "set_aside", lambda *_: None)
        store.open()
    store.write(Changes({KEY: b"2"}))
    store.close()
    with capture_logs():
        store.open()
    assert store.checkpoint(KEY) == b"2"
    assert names(tmp_path) == {"hot@native.json.imported"}


def test_killed_before_all_are_taken_over(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one transaction."""
    for key in (KEY, OTHER):
        OlderFiles(tmp_path).path(key).write_bytes(key.asset.encode())
    real = OlderFiles.read

    def read(files: OlderFiles, key: AccountKey) -> bytes:
        if key == OTHER:
            raise KeyboardInterrupt
        return real(files, key)

    with monkeypatch.context() as patch:
        patch.setattr(OlderFiles, "read", read)
        with pytest.raises(KeyboardInterrupt):
            store.open()
    assert names(tmp_path) == {"hot@native.json", "hot@usdt.json"}
    with capture_logs():
        store.open()
    assert store.checkpoint(KEY) == b"native"
    assert store.checkpoint(OTHER) == b"usdt"


def put(kind: str, place: Path) -> None:
    if kind == "a named pipe":
        os.mkfifo(place)
    elif kind == "a broken link":
        place.symlink_to("gone/away")
    else:
        place.mkdir()


@pytest.mark.parametrize("kind", ["a named pipe", "a broken link", "a directory"])
def test_one_that_cannot_be_read_for_now(store: SqliteStore, tmp_path: Path, kind: str) -> None:
    """Its account alone is not counted, until it can be read."""
    place = tmp_path / "hot@native.json"
    put(kind, place)
    (tmp_path / "hot@usdt.json").write_bytes(b"1")
    with capture_logs():
        store.open()
    assert store.checkpoint(OTHER) == b"1"
    for _ in range(2):
        with pytest.raises(Unreadable, match=kind):
            store.checkpoint(KEY)
    place.rmdir() if kind == "a directory" else place.unlink()
    place.write_bytes(b"2")
    assert store.checkpoint(KEY) == b"2"
    assert names(tmp_path) == {"hot@native.json.imported", "hot@usdt.json.imported"}


def test_one_larger_than_any_checkpoint(store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "hot@native.json").write_bytes(b" " * 70_000)
    with capture_logs():
        store.open()
    assert store.checkpoint(KEY) == b"", "which is no checkpoint"


def test_one_that_cannot_be_renamed(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hot@native.json").write_bytes(b"1")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(OlderFiles, "set_aside", refuse)
        store.open()
    assert [line["log_level"] for line in logs] == ["warning", "info"]
    assert store.checkpoint(KEY) == b"1"
