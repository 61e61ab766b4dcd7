"""The index of the disk tier: one row a block file, and the counters. Disposable: the files can rebuild it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from erllama_cache import index_schema as sql
from erllama_cache.block import SaveReason
from erllama_cache.departure import Departure
from erllama_cache.errors import IndexUnusable
from erllama_cache.eviction import Candidate
from erllama_cache.keys import BlockKind
from erllama_cache.ref import Shape
from erllama_cache.row import Row, cooled

INDEX_NAME = "index.sqlite3"
BUSY_TIMEOUT_MS = 5000
MAX_DEPARTED = 50_000
"""How many blocks that are gone are remembered, to say why."""

# SQLITE_ERROR is what a file with somebody else's tables answers to ours.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_KEYS_A_QUERY = 500


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
            if version not in (0, sql.SCHEMA_VERSION) or verdict != "ok":
                return False
            connection.executescript(sql.SCHEMA)
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
        found = self._query(sql.SELECT_ROWS + "WHERE key = ?", (key,))
        return _row(found[0]) if found else None

    def get_all(self, keys: Sequence[bytes]) -> dict[bytes, Row]:
        """The rows of those blocks that are there, in far fewer questions than one a block."""
        found: dict[bytes, Row] = {}
        for first in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[first : first + _KEYS_A_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._query(f"{sql.SELECT_ROWS} WHERE key IN ({marks})", some)
            found.update((values[0], _row(values)) for values in rows)
        return found

    def rows(self) -> Iterator[Row]:
        """Every row, in no order."""
        return map(_row, self._query(sql.SELECT_ROWS))

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block that extends `parent`."""
        found = self._query("SELECT DISTINCT kind, n_tokens FROM blocks WHERE parent = ?", (parent,))
        return {Shape(BlockKind(kind), n_tokens) for kind, n_tokens in found}

    def children(self, parent: bytes) -> list[Row]:
        """The rows of the blocks that extend `parent`."""
        return [*map(_row, self._query(sql.SELECT_ROWS + "WHERE parent = ?", (parent,)))]

    def sizes(self) -> dict[bytes, int]:
        """File size in bytes by key, of every row."""
        return dict(self._query("SELECT key, bytes FROM blocks"))

    def totals(self) -> Totals:
        """The number of rows and the sum of their file sizes."""
        ((rows, file_bytes),) = self._query("SELECT rows, bytes FROM totals")
        return Totals(rows, file_bytes)

    def candidates(self) -> list[Candidate]:
        """Every block, as an eviction looks at it."""
        return [*map(Candidate._make, self._query(sql.CANDIDATES))]

    def insert(self, rows: Iterable[Row], *, may_be_orphans: bool = False) -> set[bytes]:
        """Add the rows, or bring those there up to date, and say which are there now.

        One that extends a block which is not there is left out, unless it may be an orphan.
        """
        inserted: set[bytes] = set()
        with self._transaction() as connection:
            for row in rows:
                values = {**asdict(row), "may_be_orphan": may_be_orphans}
                inserted.update(key for (key,) in connection.execute(sql.INSERT, values))
                connection.execute("DELETE FROM departed WHERE key = ?", (row.key,))
        return inserted

    def delete(self, keys: Iterable[bytes], why: Departure | None = None, *, now: float = 0.0) -> None:
        """Delete the rows that are there, whatever extends them, and remember why unless that is not known."""
        with self._transaction() as connection:
            for key in keys:
                connection.execute("DELETE FROM blocks WHERE key = ?", (key,))
                if why is not None:
                    connection.execute(sql.REMEMBER_DEPARTED, (key, now, why))

    def delete_leaves(
        self, keys: Iterable[bytes], why: Departure, *, now: float, even_pinned: bool = False
    ) -> list[bytes]:
        """Delete these blocks in this order, but none that is pinned or that, by now, another extends; which went."""
        gone: list[bytes] = []
        with self._transaction() as connection:
            for key in keys:
                gone += [
                    deleted
                    for (deleted,) in connection.execute(sql.DELETE_LEAF, {"key": key, "even_pinned": even_pinned})
                ]
            connection.executemany(sql.REMEMBER_DEPARTED, [(key, now, why) for key in gone])
            connection.execute(sql.FORGET_OLD_DEPARTED, (MAX_DEPARTED,))
        return gone

    def departed(self, key: bytes) -> tuple[float, Departure] | None:
        """When (Unix seconds) and why a block went that is not here any more; None if that is not known."""
        found = self._query("SELECT at, why FROM departed WHERE key = ?", (key,))
        return found[0] if found else None

    def pin(self, keys: Iterable[bytes], *, pinned: bool) -> None:
        """Spare these blocks from eviction, or no longer."""
        with self._transaction() as connection:
            connection.executemany("UPDATE blocks SET pinned = ? WHERE key = ?", [(pinned, key) for key in keys])

    def touch(self, keys: Sequence[bytes], now: float) -> None:
        """One more hit for each block, used at `now` (Unix seconds)."""
        if keys:
            with self._transaction() as connection:
                connection.executemany(sql.TOUCH, [{"key": key, "now": now} for key in keys])

    def add_counters(self, counts: Mapping[str, int]) -> None:
        """Add to the counters by name."""
        if counts:
            with self._transaction() as connection:
                connection.executemany(sql.ADD_COUNTER, [*counts.items()])

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        return dict(self._query("SELECT name, value FROM counters"))

    def add_written(self, day: str, count: int) -> None:
        """So many bytes more were written on a day (YYYY-MM-DD)."""
        self._query(sql.ADD_WRITTEN, (day, count))

    def written(self, day: str) -> int:
        """How many bytes all processes wrote on a day (YYYY-MM-DD)."""
        found = self._query("SELECT bytes FROM written WHERE day = ?", (day,))
        return int(found[0][0]) if found else 0

    def unused_bytes(self) -> int:
        """The space of what was deleted, which `compact` gives back."""
        ((pages,),), ((page_bytes,),) = self._query("PRAGMA freelist_count"), self._query("PRAGMA page_size")
        return int(pages) * int(page_bytes)

    def compact(self) -> None:
        """Give back the space of what was deleted."""
        self._query("VACUUM")
        self._query("PRAGMA wal_checkpoint(TRUNCATE)")

    def _query(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._connection().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection
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
        connection.create_function("cooled", 2, cooled, deterministic=True)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA synchronous = NORMAL")
        self._local.connection = connection
        return connection

    def _unusable(self, error: Exception) -> IndexUnusable:
        return IndexUnusable(path=self.path, reason=error)


def _row(values: tuple[Any, ...]) -> Row:
    (key, parent, root, kind, start, n_tokens, file_bytes, has_logits, reason, created, used) = values[:11]
    cost_s, hits, heat, is_pinned, label = values[11:]
    return Row(
        key=key,
        parent=parent,
        root=root,
        kind=BlockKind(kind),
        start=start,
        n_tokens=n_tokens,
        file_bytes=file_bytes,
        has_logits=bool(has_logits),
        reason=SaveReason(reason),
        created=created,
        used=used,
        cost_s=cost_s,
        hits=hits,
        heat=heat,
        is_pinned=bool(is_pinned),
        label=label,
    )
