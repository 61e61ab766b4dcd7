"""The index of the disk tier: one row a block file, and the counters. Disposable: the files can rebuild it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erllama_cache.block import Block, BlockHeader, SaveReason
from erllama_cache.errors import IndexUnusable
from erllama_cache.keys import BlockKind
from erllama_cache.ref import Shape

SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 5000

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS blocks (
    key BLOB PRIMARY KEY, parent BLOB NOT NULL, root BLOB NOT NULL, kind INTEGER NOT NULL,
    start INTEGER NOT NULL, n_tokens INTEGER NOT NULL, bytes INTEGER NOT NULL, logits INTEGER NOT NULL,
    reason TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL, hits INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blocks_by_parent ON blocks (parent, kind, n_tokens);
CREATE INDEX IF NOT EXISTS blocks_by_use ON blocks (used);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
_OLDEST_LEAVES = """
SELECT * FROM blocks AS leaf
WHERE NOT EXISTS (SELECT 1 FROM blocks AS child WHERE child.parent = leaf.key)
ORDER BY used, start DESC, key LIMIT ?
"""
# Whoever publishes the same block last knows its file best; who used it, and how often, stays.
_INSERT = """
INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes, logits = excluded.logits, reason = excluded.reason,
    created = excluded.created, used = max(used, excluded.used)
"""
_DELETE_LEAF = "DELETE FROM blocks WHERE key = ? AND NOT EXISTS (SELECT 1 FROM blocks WHERE parent = ?) RETURNING key"
_TOUCH = "UPDATE blocks SET used = max(used, ?), hits = hits + 1 WHERE key = ?"
_ADD_COUNTER = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"

# SQLITE_ERROR is what a file with somebody else's tables answers to ours.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the index knows of a block file. `file_bytes` in bytes, `created` and `used` in Unix seconds."""

    key: bytes
    parent: bytes
    root: bytes
    kind: BlockKind
    start: int
    n_tokens: int
    file_bytes: int
    has_logits: bool
    reason: SaveReason
    created: float
    used: float
    hits: int = 0

    @classmethod
    def of(cls, block: Block | BlockHeader, *, used: float) -> Row:
        """The row of a block file that was last used at `used`."""
        return cls(
            key=block.key,
            parent=block.parent,
            root=block.root,
            kind=block.kind,
            start=block.start,
            n_tokens=block.n_tokens,
            file_bytes=block.file_bytes,
            has_logits=block.has_logits,
            reason=block.reason,
            created=block.created,
            used=used,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """How much the index holds."""

    rows: int
    file_bytes: int


class Index:
    """`index.sqlite3`, in WAL mode. Any thread and any number of processes may use it at once.

    Each thread gets its own connection, so that a lookup never waits for a write. Every method raises
    IndexUnusable if SQLite cannot do its part.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] | None = []

    def open(self) -> bool:
        """Create what is missing (0600). False if the file is damaged or of another version: replace it."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = self._connection()
            connection.execute("PRAGMA journal_mode = WAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if version not in (0, SCHEMA_VERSION) or verdict != "ok":
                return False
            connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            # sqlite_errorcode may be an extended code, whose low byte is the plain one.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                return False
            raise self._unusable(error) from error
        except OSError as error:
            raise self._unusable(error) from error
        return True

    def close(self) -> None:
        """Close every thread's connection. What comes later raises IndexUnusable."""
        with self._lock:
            connections, self._connections = self._connections or [], None
        for connection in connections:
            connection.close()

    def get(self, key: bytes) -> Row | None:
        """The row of a block, or None."""
        found = self._query("SELECT * FROM blocks WHERE key = ?", (key,))
        return _row(found[0]) if found else None

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block that extends `parent`."""
        found = self._query("SELECT DISTINCT kind, n_tokens FROM blocks WHERE parent = ?", (parent,))
        return {Shape(BlockKind(kind), n_tokens) for kind, n_tokens in found}

    def sizes(self) -> dict[bytes, int]:
        """File size in bytes by key, of every row."""
        return dict(self._query("SELECT key, bytes FROM blocks"))

    def totals(self) -> Totals:
        """The number of rows and the sum of their file sizes."""
        ((rows, file_bytes),) = self._query("SELECT count(*), coalesce(sum(bytes), 0) FROM blocks")
        return Totals(rows, file_bytes)

    def oldest_leaves(self, limit: int) -> list[Row]:
        """Blocks that no other extends, the one longest unused first."""
        return [_row(values) for values in self._query(_OLDEST_LEAVES, (limit,))]

    def insert(self, row: Row) -> None:
        """Add the row, or bring the one there up to date."""
        values = (row.key, row.parent, row.root, row.kind, row.start, row.n_tokens, row.file_bytes)
        self._query(_INSERT, (*values, row.has_logits, row.reason, row.created, row.used, row.hits))

    def delete(self, key: bytes) -> None:
        """Delete the row if it is there."""
        self._query("DELETE FROM blocks WHERE key = ?", (key,))

    def delete_leaf(self, key: bytes) -> bool:
        """Delete the row unless, by now, another block extends it, and say whether it was deleted."""
        return bool(self._query(_DELETE_LEAF, (key, key)))

    def touch(self, keys: Iterable[bytes], now: float) -> None:
        """One more hit for each block, used at `now` (Unix seconds)."""
        self._write(_TOUCH, [(now, key) for key in keys])

    def add_counters(self, counts: dict[str, int]) -> None:
        """Add to the counters by name."""
        self._write(_ADD_COUNTER, list(counts.items()))

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        return dict(self._query("SELECT name, value FROM counters"))

    def _query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._connection().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _write(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            return connection
        with self._lock:
            if self._connections is None:
                raise sqlite3.ProgrammingError("it is closed")
            mode = "ro" if self._read_only else "rw"
            uri = f"{self.path.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            self._connections.append(connection)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous = NORMAL")
        self._local.connection = connection
        return connection

    def _unusable(self, error: Exception) -> IndexUnusable:
        return IndexUnusable(path=self.path, reason=error)


def _row(values: tuple[Any, ...]) -> Row:
    key, parent, root, kind, start, n_tokens, file_bytes, logits, reason, created, used, hits = values
    return Row(
        key=key,
        parent=parent,
        root=root,
        kind=BlockKind(kind),
        start=start,
        n_tokens=n_tokens,
        file_bytes=file_bytes,
        has_logits=bool(logits),
        reason=SaveReason(reason),
        created=created,
        used=used,
        hits=hits,
    )
