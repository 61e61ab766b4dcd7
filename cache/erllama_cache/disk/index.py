"""The index of the disk tier: one row a block file, and the counters. Disposable: the files can rebuild it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from erllama_cache.disk import schema as sql
from erllama_cache.disk.connections import Connections
from erllama_cache.disk.departure import Departure
from erllama_cache.disk.eviction import Candidate
from erllama_cache.disk.row import Row, cooled
from erllama_cache.errors import IndexUnusable
from erllama_cache.keys import BlockKind
from erllama_cache.ref import BlockRef, Shape

INDEX_NAME = "index.sqlite3"
BUSY_TIMEOUT_MS = 5000
MAX_DEPARTED = 50_000
"""How many blocks that are gone are remembered, to say why."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# At the start also what a file with somebody else's tables answers to ours, or with a version from the future.
_DAMAGED_AT_START = {*_DAMAGED, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY}
_KNOWN_DAMAGED = -1
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
        self._connections = Connections(path, _prepare, read_only=read_only)
        self._inode: tuple[int, int] | None = None
        self._is_damaged = False

    def open(self) -> bool:
        """Create what is missing (0600). False if the file is damaged or of another version: replace it."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            with self._connections.use() as connection:
                self._inode = _inode(self.path)
                connection.execute("PRAGMA journal_mode = WAL")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if version not in (0, sql.SCHEMA_VERSION) or verdict != "ok":
                    return False
                connection.executescript(sql.SCHEMA)
                return _has_our_tables(connection)
        except (sqlite3.Error, ValueError) as error:
            # Text that cannot be decoded, were it in SQLite's own messages, comes without a code.
            if _code(error) in {*_DAMAGED_AT_START, None}:
                return False
            raise self._unusable(error) from error
        except OSError as error:
            raise self._unusable(error) from error

    def is_lost(self) -> bool:
        """Whether the file was removed, replaced or found damaged since it was opened, or could not be opened."""
        try:
            return self._is_damaged or self._inode != _inode(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False  # nothing would be better after opening it again

    def close(self) -> None:
        """Close every thread's connection, each once its query has ended. What comes later raises IndexUnusable."""
        self._connections.close()

    def get(self, key: bytes) -> Row | None:
        """The row of a block, or None."""
        found = self._query(sql.SELECT_ROWS + "WHERE key = ?", (key,), Row.of_values)
        return found[0] if found else None

    def refs(self, keys: Sequence[bytes]) -> dict[bytes, BlockRef]:
        """References to those blocks that are there, in far fewer questions than one a block."""
        found: dict[bytes, BlockRef] = {}
        for first in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[first : first + _KEYS_A_QUERY]
            marks = ",".join("?" * len(some))
            found |= {ref.key: ref for ref in self._query(f"{sql.SELECT_REFS} WHERE key IN ({marks})", some, _ref)}
        return found

    def rows(self) -> Iterator[Row]:
        """Every row, in no order."""
        return iter(self._query(sql.SELECT_ROWS, (), Row.of_values))

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block that extends `parent`."""
        return set(self._query("SELECT DISTINCT kind, n_tokens FROM blocks WHERE parent = ?", (parent,), _shape))

    def children(self, parent: bytes) -> list[Row]:
        """The rows of the blocks that extend `parent`."""
        return self._query(sql.SELECT_ROWS + "WHERE parent = ?", (parent,), Row.of_values)

    def generated(self, parent: bytes, limit: int) -> list[bytes]:
        """The keys of up to `limit` blocks of generated tokens that extend `parent`, those used last in front."""
        return [key for (key,) in self._query(sql.GENERATED_CHILDREN, (parent, BlockKind.PREFILL, limit))]

    def sizes(self) -> dict[bytes, int]:
        """File size in bytes by key, of every row."""
        return dict(self._query("SELECT key, bytes FROM blocks"))

    def totals(self) -> Totals:
        """The number of rows and the sum of their file sizes."""
        ((rows, file_bytes),) = self._query("SELECT rows, bytes FROM totals")
        return Totals(rows, file_bytes)

    def candidates(self) -> list[Candidate]:
        """Every block, as an eviction looks at it."""
        return self._query(sql.CANDIDATES, (), Candidate._make)

    def insert(self, rows: Iterable[Row], *, may_be_orphans: bool = False) -> set[bytes]:
        """Add the rows, or bring those there up to date, and say which are there now.

        One that extends a block which is not there is left out, unless it may be an orphan.
        """
        inserted: set[bytes] = set()
        with self._transaction() as connection:
            for row in rows:
                values = {**asdict(row), "may_be_orphan": may_be_orphans}
                for (key,) in connection.execute(sql.INSERT, values).fetchall():
                    inserted.add(key)
                    connection.execute("DELETE FROM departed WHERE key = ?", (key,))
        return inserted

    def delete(self, keys: Iterable[bytes], why: Departure | None = None, *, now: float = 0.0) -> None:
        """Delete the rows that are there, whatever extends them, and remember of these why, if that is known."""
        with self._transaction() as connection:
            for key in keys:
                was_there = connection.execute("DELETE FROM blocks WHERE key = ?", (key,)).rowcount
                if was_there and why is not None:
                    connection.execute(sql.REMEMBER_DEPARTED, (key, now, why))

    def purge(self, keys: Collection[bytes]) -> None:
        """Delete the rows that are there. The index is damaged if one of them cannot be found to be deleted."""
        self.delete(keys)
        if not self.sizes().keys().isdisjoint(keys):
            raise self._unusable(ValueError("a row is not where its key belongs"))

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

    def pinned(self) -> set[bytes]:
        """The keys of the blocks that are spared from eviction."""
        return {key for (key,) in self._query("SELECT key FROM blocks WHERE pinned")}

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

    def _query(
        self, statement: str, values: Sequence[object] = (), make: Callable[[tuple[Any, ...]], Any] = tuple
    ) -> list[Any]:
        try:
            with self._connections.use() as connection:
                return [*map(make, connection.execute(statement, values))]
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._unusable(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._connections.use() as connection:
                connection.execute("BEGIN IMMEDIATE")
                with connection:
                    yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> IndexUnusable:
        if isinstance(error, ValueError | TypeError) or _code(error) in _DAMAGED:
            self._is_damaged = True
            # The check at the start does not see everything, so it is told; if that fails it sees for itself.
            with suppress(sqlite3.Error), self._connections.use() as connection:
                connection.execute(f"PRAGMA user_version = {_KNOWN_DAMAGED}")
        return IndexUnusable(path=self.path, reason=error)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.create_function("cooled", 2, cooled, deterministic=True)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA synchronous = NORMAL")


def _code(error: Exception) -> int | None:
    """SQLite's code. The one given may be an extended code, whose low byte is the plain one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _has_our_tables(connection: sqlite3.Connection) -> bool:
    query = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(sql.SCHEMA)
        return connection.execute(query).fetchall() == fresh.execute(query).fetchall()


def _shape(values: tuple[Any, ...]) -> Shape:
    kind, n_tokens = values
    return Shape(BlockKind(kind), int(n_tokens))


def _ref(values: tuple[Any, ...]) -> BlockRef:
    key, parent, kind, start, n_tokens, has_logits, cost_s = values
    return BlockRef(
        key=key,
        parent=parent,
        kind=BlockKind(kind),
        start=start,
        n_tokens=n_tokens,
        has_logits=bool(has_logits),
        cost_s=cost_s,
        tier="disk",
    )
