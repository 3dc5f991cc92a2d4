"""The database: whole at any moment, and never mistaken for another."""

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.conftest import Clock
from tonwatch.samples.account import AccountKey
from tonwatch.state import sqlite
from tonwatch.state.schema import MIGRATIONS, TABLES, VERSION
from tonwatch.state.sqlite import KEPT_ASIDE, NAME, SqliteStore
from tonwatch.state.store import Changes, Newer, Unreadable

KEY: Final = AccountKey("hot", "native")
OTHER: Final = AccountKey("hot", "usdt")
NETWORK: Final = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path, clock.wall)
    made.open()
    yield made
    made.close()


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} - {f"{NAME}-journal"}


def account(number: int) -> AccountKey:
    return AccountKey(f"wallet-{number}", "native")


class TestWriting:
    def test_what_is_written_is_read(self, store: SqliteStore) -> None:
        assert store.checkpoint(KEY) is None
        assert store.key_block(NETWORK) is None
        store.write(Changes({KEY: b"1", OTHER: b""}, key_blocks={NETWORK: b"block"}))
        store.write(Changes({KEY: b"2"}))
        store.close()
        assert store.checkpoint(KEY) == b"2"
        assert store.checkpoint(OTHER) == b""
        assert store.key_block(NETWORK) == b"block"
        assert store.key_block(bytes(32)) is None

    def test_all_of_it_or_nothing(self, store: SqliteStore) -> None:
        """On a disk that is full, by SQLite's own limit."""
        small = {account(number): b"1" for number in range(8)}
        store.write(Changes(small))
        assert store._connection is not None
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        large = {key: bytes(2000) for key in small}
        for _ in range(3):
            with pytest.raises(Unreadable, match="database or disk is full"):
                store.write(Changes(large, key_blocks={NETWORK: b"block"}))
            assert {key: store.checkpoint(key) for key in small} == small
            assert store.key_block(NETWORK) is None
        store._connection.execute("PRAGMA max_page_count = 1000000")
        store.write(Changes(large))
        assert {key: store.checkpoint(key) for key in small} == large

    def test_a_limit_of_files(self, store: SqliteStore) -> None:
        """Too many open files end neither in a new database nor in a set-aside one."""
        store.write(Changes({KEY: b"1"}))
        store.close()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Descriptors are given out from the lowest free one on.
        free = os.open("/", os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises(Unreadable, match="Too many open files"):
                store.checkpoint(KEY)
            with pytest.raises(Unreadable, match="Too many open files"):
                store.write(Changes({KEY: b"2"}))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert store.checkpoint(KEY) == b"1"
        assert store.lost == 0

    def test_somebody_reads_it(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """As an operator may; what cannot be written then is written later."""
        monkeypatch.setattr(sqlite, "_BUSY", 0.01)
        store.close()
        store.write(Changes({KEY: b"1"}))
        reader = sqlite3.connect(store.path, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
        with pytest.raises(Unreadable, match="database is locked"):
            store.write(Changes({KEY: b"2"}))
        assert store.checkpoint(KEY) == b"1"
        reader.execute("COMMIT")
        store.write(Changes({KEY: b"2"}))
        reader.close()
        assert store.checkpoint(KEY) == b"2"


class TestMissing:
    """A volume that is not there may have the database."""

    def test_the_directory(self, store: SqliteStore, tmp_path: Path) -> None:
        store.write(Changes({KEY: b"1"}))
        away = tmp_path.with_name(f"{tmp_path.name}-away")
        tmp_path.rename(away)
        for _ in range(2):
            with pytest.raises(Unreadable, match="its directory: No such file"):
                store.write(Changes({KEY: b"2"}))
        with pytest.raises(Unreadable, match="its directory: No such file"):
            store.checkpoint(KEY)
        away.rename(tmp_path)
        assert store.checkpoint(KEY) == b"1"
        assert store.lost == 0

    def test_a_broken_link(self, store: SqliteStore) -> None:
        store.close()
        store.path.unlink()
        store.path.symlink_to("gone/away")
        with pytest.raises(Unreadable, match="a broken link"):
            store.checkpoint(KEY)
        with pytest.raises(Unreadable, match="a broken link"):
            store.write(Changes({KEY: b"1"}))
        assert store.path.is_symlink()

    def test_the_database_is_removed_while_it_is_used(self, store: SqliteStore) -> None:
        store.write(Changes({KEY: b"1"}))
        store.path.unlink()
        with capture_logs() as logs:
            store.write(Changes({OTHER: b"2"}))
        assert [line["event"].split(":")[0] for line in logs] == ["the database was removed"]
        assert store.lost == 1
        assert store.checkpoint(KEY) is None
        assert store.checkpoint(OTHER) == b"2"


def put(kind: str, place: Path) -> None:
    if kind == "a named pipe":
        os.mkfifo(place)
    elif kind == "a device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()


@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a directory"])
@pytest.mark.parametrize("suffix", ["", "-journal"])
def test_no_file_in_its_place(store: SqliteStore, kind: str, suffix: str) -> None:
    """Such as a wrong mount: it is left for the operator to remove, and nothing blocks."""
    store.write(Changes({KEY: b"1"}))
    store.close()
    place = store.path.with_name(NAME + suffix)
    away = place.rename(place.with_name("away"))
    put(kind, place)
    before = place.lstat()
    with capture_logs() as logs:
        store.open()
    assert [kind in line["reason"] for line in logs] == [True]
    with pytest.raises(Unreadable, match=kind):
        store.checkpoint(KEY)
    with pytest.raises(Unreadable, match=kind):
        store.write(Changes({KEY: b"2"}))
    assert place.lstat().st_ino == before.st_ino
    place.rmdir() if kind == "a directory" else place.unlink()
    away.rename(place)
    assert store.checkpoint(KEY) == b"1"


class TestVersions:
    @staticmethod
    def schema(path: Path) -> dict[str, str]:
        with sqlite3.connect(path) as connection:
            found = dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql <> ''"))
        connection.close()
        return found

    @pytest.mark.parametrize("version", range(VERSION))
    def test_each_older_one_is_migrated(
        self, store: SqliteStore, tmp_path: Path, version: int
    ) -> None:
        older = tmp_path / "older"
        older.mkdir()
        connection = sqlite3.connect(older / NAME)
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
        connection.close()
        migrated = SqliteStore(older)
        migrated.write(Changes({KEY: b"1"}))
        migrated.close()
        assert self.schema(older / NAME) == self.schema(store.path)
        assert self.schema(store.path).keys() >= TABLES

    def test_a_newer_one_is_refused_and_not_touched(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        store.write(Changes({KEY: b"1"}))
        store.close()
        with sqlite3.connect(store.path) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.close()
        before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
        words = (
            f"of a newer tonwatch: its schema has version {VERSION + 1}, and this tonwatch knows"
        )
        with pytest.raises(Newer, match=words):
            store.open()
        with pytest.raises(Newer, match=words):
            store.write(Changes({KEY: b"2"}))
        assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def without_tables(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.close()


DAMAGES: Final[dict[str, Callable[[Path], object]]] = {
    "no database": lambda path: path.write_bytes(b"\xff" * 8192),
    "text": lambda path: path.write_text("hello"),
    "a page of zeros": lambda path: overwrite(path, 4096, bytes(4096)),
    "a page of noise": lambda path: overwrite(path, 2 * 4096, b"\xa5" * 4096),
    "cut short": lambda path: os.truncate(path, 5 * 4096 + 17),
    "no tables": without_tables,
}


class TestDamage:
    """It is set aside, and what can be read of it is kept."""

    MANY: Final = {account(number): b"%d" % number * 300 for number in range(200)}

    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
    def test_it_is_set_aside(
        self, store: SqliteStore, clock: Clock, damage: Callable[[Path], object]
    ) -> None:
        store.write(Changes(self.MANY))
        store.close()
        damage(store.path)
        content = store.path.read_bytes()
        with capture_logs() as logs:
            found = {key: store.checkpoint(key) for key in self.MANY}
        assert [(line["log_level"], line["event"][:35]) for line in logs] == [
            ("error", "the database is damaged and set asi")
        ]
        kept = {key: read for key, read in found.items() if read is not None}
        assert kept.items() <= self.MANY.items()
        assert logs[0]["checkpoints_read"] == len(kept)
        aside = store.path.with_name(f"{NAME}.corrupt-{int(clock.wall())}")
        assert aside.read_bytes() == content
        assert names(store.path.parent) == {NAME, aside.name}
        assert store.lost == 1
        store.write(Changes(self.MANY))
        store.close()
        assert {key: store.checkpoint(key) for key in self.MANY} == self.MANY

    def test_a_damaged_page_costs_only_what_is_in_it(self, store: SqliteStore) -> None:
        store.write(Changes(self.MANY))
        pages = store.path.stat().st_size // 4096
        store.close()
        overwrite(store.path, pages // 2 * 4096, bytes(4096))
        with capture_logs():
            found = {key: store.checkpoint(key) for key in self.MANY}
        lost = [key for key, read in found.items() if not read]
        assert 0 < len(lost) < 12

    def test_a_flipped_bit_in_an_entry(self, store: SqliteStore) -> None:
        """Of which SQLite does not know."""
        store.write(Changes({KEY: b"amount 1000", OTHER: b"amount 2000"}))
        store.close()
        at = store.path.read_bytes().index(b"amount 1000")
        overwrite(store.path, at + 7, b"9")
        assert store.checkpoint(KEY) == b"", "which is no checkpoint"
        assert store.checkpoint(OTHER) == b"amount 2000"

    def test_few_are_kept(self, store: SqliteStore, clock: Clock, tmp_path: Path) -> None:
        (tmp_path / f"{NAME}.corrupt-mine").write_text("not ours to remove")
        for _ in range(KEPT_ASIDE + 3):
            clock.advance(10)
            store.close()
            store.path.write_text("broken")
            with capture_logs():
                store.checkpoint(KEY)
        now = int(clock.wall())
        assert names(tmp_path) == {
            NAME,
            f"{NAME}.corrupt-mine",
            *(f"{NAME}.corrupt-{now - 10 * back}" for back in range(KEPT_ASIDE)),
        }

    @pytest.mark.parametrize("step", [0.0, -3600.0], ids=["at once", "set back"])
    def test_the_newest_are_kept(self, store: SqliteStore, clock: Clock, step: float) -> None:
        """None takes the place of another one."""
        for number in range(KEPT_ASIDE + 2):
            store.close()
            store.path.write_text(f"broken {number}")
            with capture_logs():
                store.checkpoint(KEY)
            clock.advance(step)
        kept = {each.read_text() for each in store.path.parent.glob("*.corrupt-*")}
        assert kept == {f"broken {number}" for number in range(2, KEPT_ASIDE + 2)}

    @pytest.mark.parametrize("step", range(3))
    @pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
    def test_killed_while_it_is_set_aside(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, links: bool, step: int
    ) -> None:
        """At each file that is moved; what can be read is kept."""
        store.write(Changes(self.MANY))
        pages = store.path.stat().st_size // 4096
        store.close()
        overwrite(store.path, pages // 2 * 4096, bytes(4096))
        calls = iter(range(100))

        def or_killed(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                if next(calls) == step:
                    raise KeyboardInterrupt
                return real(*args)

            return call

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patch, capture_logs():
            patch.setattr(Path, "replace", or_killed(Path.replace))
            patch.setattr(Path, "hardlink_to", or_killed(Path.hardlink_to) if links else refuse)
            with suppress(KeyboardInterrupt):
                for key in self.MANY:
                    store.checkpoint(key)
        restarted = SqliteStore(store.path.parent)
        with capture_logs():
            found = [key for key in self.MANY if restarted.checkpoint(key)]
        assert len(found) > len(self.MANY) - 12
        restarted.close()
        assert names(store.path.parent) >= {NAME}
        assert not store.path.with_name(f"{NAME}.new").exists()

    def test_where_it_cannot_be_set_aside(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise what can be read of it by other means would be overwritten."""
        store.close()
        store.path.write_text("broken")

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", refuse)
            patch.setattr(Path, "hardlink_to", refuse)
            for _ in range(3):
                with pytest.raises(Unreadable, match="Operation not permitted"):
                    store.write(Changes({KEY: b"1"}))
        assert store.path.read_text() == "broken"
        with capture_logs():
            store.write(Changes({KEY: b"1"}))
        assert store.checkpoint(KEY) == b"1"

    @settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_damage_ends_in_the_checkpoint_or_none(
        self, tmp_path: Path, data: st.DataObject
    ) -> None:
        """Never in another one; where it is unknown for now, it is said."""
        few = {account(number): b"%d" % number * 600 for number in range(20)}
        whole, directory = tmp_path / "whole", tmp_path / "damaged"
        if not whole.exists():
            whole.mkdir()
            store = SqliteStore(whole)
            store.write(Changes(few))
            store.close()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(whole, directory)
        store = SqliteStore(directory)
        size = store.path.stat().st_size
        place = data.draw(st.integers(0, 3 * 4096) | st.integers(0, size - 1))
        overwrite(store.path, place, data.draw(st.binary(min_size=1, max_size=20)))
        try:
            with capture_logs():
                for key, content in few.items():
                    assert store.checkpoint(key) in (None, b"", content)
                store.write(Changes({KEY: b"1"}))
                assert store.checkpoint(KEY) == b"1"
        except Unreadable:
            pass
        finally:
            store.close()
