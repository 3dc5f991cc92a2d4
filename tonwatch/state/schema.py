"""The database's schema, as a list of migrations.

Migration N leads from version N to N + 1, which `PRAGMA user_version` keeps. They only go forward.
One that was released is never changed: further ones are added.
"""

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # The checksum is over names and content: SQLite does not notice a flipped bit.
        """CREATE TABLE checkpoints (
            wallet TEXT NOT NULL,
            asset TEXT NOT NULL,
            content BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            PRIMARY KEY (wallet, asset)
        )""",
        """CREATE TABLE checkpoints_set_aside (
            id INTEGER PRIMARY KEY,
            wallet TEXT NOT NULL,
            asset TEXT NOT NULL,
            content BLOB NOT NULL,
            at REAL NOT NULL,
            reason TEXT NOT NULL
        )""",
        """CREATE TABLE key_blocks (
            network BLOB PRIMARY KEY,
            content BLOB NOT NULL,
            checksum INTEGER NOT NULL
        )""",
    ),
    (
        """CREATE TABLE incidents (
            id TEXT PRIMARY KEY,
            network BLOB NOT NULL,
            kind TEXT NOT NULL,
            cause TEXT NOT NULL,
            since REAL NOT NULL,
            seen REAL NOT NULL,
            until REAL,
            cut_off INTEGER NOT NULL,
            target TEXT NOT NULL,
            account TEXT NOT NULL,
            others TEXT NOT NULL,
            is_primary INTEGER NOT NULL,
            sentence TEXT NOT NULL,
            impact TEXT NOT NULL,
            evidence TEXT NOT NULL
        )""",
        "CREATE INDEX incidents_by_time ON incidents (since)",
    ),
)

VERSION: Final = len(MIGRATIONS)
"""Of the schema that this tonwatch writes."""

TABLES: Final = frozenset({"checkpoints", "checkpoints_set_aside", "key_blocks", "incidents"})
"""The tables of that version."""
