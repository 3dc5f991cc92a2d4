"""State in a SQLite database in the state directory, or in memory.

A rollback journal, not a write-ahead log: the log needs memory that processes share, which network
volumes do not have, and with it a database goes on being written after its directory was removed.
`synchronous` is FULL, with a journal that is truncated and synced: what was written survives a loss
of power.
"""

import re
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from tonwatch.samples.account import AccountKey
from tonwatch.samples.incident import Incident, IncidentQuery
from tonwatch.state import records
from tonwatch.state.files import OlderFiles
from tonwatch.state.schema import MIGRATIONS, TABLES, VERSION
from tonwatch.state.store import Changes, Newer, Unreadable
from tonwatch.system import regular_file

log = structlog.get_logger(__name__)

NAME: Final = "tonwatch.sqlite3"
"""Of the database's file."""

KEPT_ASIDE: Final = 3
"""Databases that are set aside and kept; likewise checkpoints of each account."""

_BUSY: Final = 2.0
"""Seconds to wait for somebody who reads the database."""

_SIDE_FILES: Final = ("", "-journal", "-wal")
"""Suffixes of the files that SQLite opens."""

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TRANSIENT: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
"""After these the connection is still good."""

_HEADER: Final = 100
"""Bytes of the file's header; the schema's version is in it."""

T = TypeVar("T")


class _Damaged(Exception):
    """The database is not one of tonwatch; the text says why."""


class SqliteStore:
    """A database that is opened where needed, and again after an error.

    A damaged one is set aside; a new one begins with what can be read of it.

    Args:
        state_dir: where it is; None for in memory, until it is closed.
        wall: local clock, Unix seconds.
    """

    def __init__(self, state_dir: Path | None, wall: Callable[[], float] = time.time) -> None:
        self.path = Path(":memory:") if state_dir is None else state_dir / NAME
        self.lost = 0
        self._new = self.path.with_name(f"{NAME}.new")
        self._dir = state_dir
        self._files = OlderFiles(state_dir)
        self._wall = wall
        self._connection: sqlite3.Connection | None = None
        self._was_open = False

    def open(self) -> None:
        """See `StateStore`."""
        try:
            self._run(lambda _: None)
        except Newer:
            raise
        except Unreadable as error:
            log.warning("state cannot be read", file=str(self.path), reason=str(error))

    def close(self) -> None:
        """See `StateStore`."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def checkpoint(self, key: AccountKey) -> bytes | None:
        """See `StateStore`; empty where it is damaged.

        A file that could not be taken over before is tried again.
        """

        def read(connection: sqlite3.Connection) -> bytes | None:
            row = _row(connection, key)
            if row is None and self._take_over(connection, key):
                row = _row(connection, key)
            if row is None:
                return None
            return _whole(row, *key) or b""

        return self._run(read)

    def key_block(self, network: bytes) -> bytes | None:
        """See `StateStore`; None also where it is damaged, since it can be verified anew."""

        def read(connection: sqlite3.Connection) -> bytes | None:
            query = "SELECT content, checksum FROM key_blocks WHERE network = ?"
            row = connection.execute(query, (network,)).fetchone()
            return None if row is None else _whole(row, network.hex())

        return self._run(read)

    def incidents(self, query: IncidentQuery) -> list[Incident]:
        """See `StateStore`."""
        return self._run(lambda connection: records.read(connection, query))

    def write(self, changes: Changes) -> None:
        """See `StateStore`."""

        def written(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                for key, reason in changes.set_aside.items():
                    _set_aside(connection, key, self._wall(), reason)
                _insert(connection, changes.checkpoints.items())
                connection.executemany(
                    "INSERT OR REPLACE INTO key_blocks VALUES (?, ?, ?)",
                    (
                        (network, content, _checksum(network.hex(), "", content))
                        for network, content in changes.key_blocks.items()
                    ),
                )
                records.write(connection, changes.incidents)
                if changes.retention is not None:
                    records.prune(connection, changes.retention)

        self._run(written)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the open database.

        Raises:
            Unreadable: it failed.
        """
        try:
            try:
                return work(self._opened())
            except (sqlite3.DatabaseError, UnicodeDecodeError, _Damaged) as error:
                if _is_damaged(error):
                    self._begin_anew(error)
                elif _is_elsewhere(error):
                    self.close()
                else:
                    raise
                return work(self._opened())
        except sqlite3.Error as error:
            if _code(error) not in _TRANSIENT:
                self.close()
            raise Unreadable(str(error)) from None
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None
        except (_Damaged, regular_file.NotRegular) as error:
            raise Unreadable(str(error)) from None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            is_new = self._dir is None or self._examine(self._dir)
            connection = _connect(self.path)
            try:
                self._prepare(connection)
                if not self._was_open:
                    records.cut_off(connection)
            except BaseException:
                connection.close()
                raise
            if is_new and self._was_open:
                self.lost += 1
                log.warning("the database was removed: a new one is written", file=str(self.path))
            self._connection, self._was_open = connection, True
        return self._connection

    def _examine(self, state_dir: Path) -> bool:
        """Look at the file before SQLite opens it; returns whether there is none.

        Raises:
            OSError: it cannot be read.
            NotRegular: it is no file.
            Unreadable: its directory is missing, or it is of a newer tonwatch.
        """
        try:
            state_dir.stat()
        except OSError as error:
            raise Unreadable(f"its directory: {error.strerror}") from None
        for suffix in _SIDE_FILES:
            file = self.path.with_name(NAME + suffix)
            if file.is_symlink() and not file.exists():
                raise Unreadable("a broken link")
            regular_file.ensure_regular_or_missing(file)
        if not self.path.exists() and self._new.exists() and not _journal(self._new).exists():
            # It ended after it had set a damaged one aside.
            self._new.replace(self.path)
        try:
            with self.path.open("rb") as file_object:
                header = file_object.read(_HEADER)
        except FileNotFoundError:
            return True
        version = int.from_bytes(header[60:64], "big")
        if header.startswith(b"SQLite format 3\0") and version > VERSION:
            raise Newer(
                f"state_dir {state_dir} is of a newer tonwatch: its schema has version {version},"
                f" and this tonwatch knows {VERSION}; run the newer one, or give this one another"
                " directory. Nothing was changed"
            )
        return False

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Bring the schema up to date, and take over the files of older versions."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        keys = list(self._files.found())
        if version < VERSION or keys:
            with _transaction(connection):
                _migrate(connection)
                taken = self._insert_files(connection, keys)
            self._rename(taken)
            if taken:
                log.info("checkpoints of an older version are taken over", files=len(taken))
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if not tables >= TABLES:
            raise _Damaged("tables are missing")

    def _insert_files(
        self, connection: sqlite3.Connection, keys: list[AccountKey]
    ) -> list[AccountKey]:
        """Insert checkpoints from files; what is in the database already is newer."""
        taken = []
        for key in keys:
            with suppress(Unreadable):  # `checkpoint` tries again, and says so
                _insert(connection, [(key, self._files.read(key))], keep=True)
                taken.append(key)
        return taken

    def _take_over(self, connection: sqlite3.Connection, key: AccountKey) -> bool:
        """Insert an account's checkpoint from its file, where it still has one.

        Raises:
            Unreadable: the file cannot be read.
        """
        if not self._files.exists(key):
            return False
        content = self._files.read(key)
        with _transaction(connection):
            _insert(connection, [(key, content)], keep=True)
        self._rename([key])
        return True

    def _rename(self, keys: list[AccountKey]) -> None:
        for key in keys:
            try:
                self._files.set_aside(key)
            except OSError as error:
                log.warning(
                    "a file that was taken over cannot be renamed",
                    file=str(self._files.path(key)),
                    reason=error.strerror,
                )

    def _begin_anew(self, damage: Exception) -> None:
        """Set a damaged database aside, and begin a new one with what can be read of it.

        Raises:
            OSError: it cannot be set aside.
            sqlite3.Error: the new one cannot be written.
        """
        self.close()
        new, journal = self._new, _journal(self.path)
        new.unlink(missing_ok=True)
        _journal(new).unlink(missing_ok=True)
        with closing(_connect(new)) as connection:
            _migrate(connection)
            read = self._salvage(connection)
        _journal(new).unlink()
        # After those that are there, also where the clock was set back: the oldest are removed.
        number = max([int(self._wall()), *(each + 1 for each, _ in _set_aside_before(self.path))])
        aside = self.path.with_name(f"{NAME}.corrupt-{number}")
        try:
            aside.hardlink_to(self.path)  # there is a database at any moment
        except OSError:
            self.path.replace(aside)  # not every file system has hard links
        # SQLite would apply it to the new database.
        if journal.exists() and journal.stat().st_size:
            journal.replace(_journal(aside))
        new.replace(self.path)
        self.lost += 1
        reason = str(damage)
        try:
            _remove_oldest(self.path)
        except OSError as error:
            reason = f"{reason}; older ones cannot be removed: {error.strerror}"
        log.error(
            "the database is damaged and set aside: payouts of wallets whose checkpoint cannot be"
            " read are counted from now on",
            file=str(self.path),
            aside=str(aside),
            checkpoints_read=read,
            reason=reason,
        )

    def _salvage(self, new: sqlite3.Connection) -> int:
        """Copy the whole checkpoints of a damaged database, before and behind the damage.

        Returns how many there are.

        Raises:
            sqlite3.Error: they cannot be written.
        """
        with _transaction(new):
            for wallet, asset, *row in self._readable():
                if (content := _whole(row, wallet, asset)) is not None:
                    _insert(new, [(AccountKey(wallet, asset), content)], keep=True)
        return int(new.execute("SELECT count(*) FROM checkpoints").fetchone()[0])

    def _readable(self) -> Iterator[tuple[Any, ...]]:
        """The rows of a damaged database, as far as they can be read; some of them twice."""
        for order in ("ASC", "DESC"):
            query = f"SELECT * FROM checkpoints NOT INDEXED ORDER BY rowid {order}"  # noqa: S608
            try:
                with closing(_connect(self.path)) as damaged:
                    yield from damaged.execute(query)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is_damaged(error) and not _is_without_table(error):
                    raise


def _journal(database: Path) -> Path:
    """SQLite finds it by its name."""
    return database.with_name(f"{database.name}-journal")


def _connect(path: Path) -> sqlite3.Connection:
    # Calls come one at a time, but not always from the same thread.
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        for setting in ("journal_mode = TRUNCATE", "synchronous = FULL", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block is committed, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself after some errors.
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _insert(
    connection: sqlite3.Connection,
    checkpoints: Iterable[tuple[AccountKey, bytes]],
    *,
    keep: bool = False,
) -> None:
    """Insert checkpoints; with `keep` only those of accounts that have none."""
    connection.executemany(
        "INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?)"
        if keep
        else "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)",
        ((*key, content, _checksum(*key, content)) for key, content in checkpoints),
    )


def _set_aside(connection: sqlite3.Connection, key: AccountKey, at: float, reason: str) -> None:
    connection.execute(
        "INSERT INTO checkpoints_set_aside (wallet, asset, content, at, reason)"
        " SELECT wallet, asset, content, ?, ? FROM checkpoints WHERE wallet = ? AND asset = ?",
        (at, reason, *key),
    )
    connection.execute("DELETE FROM checkpoints WHERE wallet = ? AND asset = ?", key)
    connection.execute(
        "DELETE FROM checkpoints_set_aside WHERE wallet = ? AND asset = ? AND id NOT IN"
        " (SELECT id FROM checkpoints_set_aside WHERE wallet = ? AND asset = ?"
        " ORDER BY id DESC LIMIT ?)",
        (*key, *key, KEPT_ASIDE),
    )


def _checksum(name: str, asset: str, content: bytes) -> int:
    """Over a whole entry: SQLite does not notice a flipped bit."""
    return zlib.crc32(content, zlib.crc32(f"{name}@{asset}".encode()))


def _set_aside_before(path: Path) -> list[tuple[int, Path]]:
    """The databases that are set aside, by number, the oldest first."""
    return sorted(
        (int(match[1]), entry)
        for entry in path.parent.iterdir()
        if (match := re.fullmatch(re.escape(path.name) + r"\.corrupt-([0-9]{1,15})", entry.name))
    )


def _remove_oldest(path: Path) -> None:
    for _, entry in _set_aside_before(path)[:-KEPT_ASIDE]:
        entry.unlink()
        _journal(entry).unlink(missing_ok=True)


def _row(connection: sqlite3.Connection, key: AccountKey) -> tuple[object, object] | None:
    query = "SELECT content, checksum FROM checkpoints WHERE wallet = ? AND asset = ?"
    row: tuple[object, object] | None = connection.execute(query, key).fetchone()
    return row


def _whole(row: Sequence[object], name: str, asset: str = "") -> bytes | None:
    """The content of a row with its checksum; None where they disagree."""
    content, checksum = row
    if isinstance(content, bytes) and _checksum(name, asset, content) == checksum:
        return content
    return None


def _is_damaged(error: Exception) -> bool:
    # A message that quotes a damaged name cannot be decoded.
    return isinstance(error, _Damaged | UnicodeDecodeError) or _code(error) in _DAMAGED


def _is_elsewhere(error: Exception) -> bool:
    """Whether the file was moved or removed while it was open."""
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED


def _is_without_table(error: Exception) -> bool:
    return _code(error) == sqlite3.SQLITE_ERROR


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 without one."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
