"""What was once derived from a file, for as long as the file stays the same."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

FileIdentity = tuple[str, int, int, int]
"""A file's path behind all links, its size, its mtime in nanoseconds, its inode."""


def file_identity(path: Path) -> FileIdentity:
    """What tells a file from what it was before. Raises OSError."""
    resolved = path.resolve()
    status = resolved.stat()
    return (str(resolved), status.st_size, status.st_mtime_ns, status.st_ino)


class FileMemo:
    """A small SQLite file (0600) with one value a file, in `column` of `table`.

    One that cannot be read or written only costs time. Any thread, any process.
    """

    def __init__(self, file: Path, table: str, column: str) -> None:
        if not (table.isidentifier() and column.isidentifier()):
            raise ValueError("tables and columns are named by identifiers")
        self._file = file
        self._schema = (
            f"CREATE TABLE IF NOT EXISTS {table} (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, "
            f"inode INTEGER, {column} BLOB NOT NULL) WITHOUT ROWID"
        )
        self._recall = f"SELECT {column} FROM {table} WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"  # noqa: S608
        self._remember = (
            f"INSERT OR REPLACE INTO {table} (path, size, mtime_ns, inode, {column}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
        )

    def recall(self, identity: FileIdentity) -> bytes | None:
        """What was remembered of a file that has not changed since; None if nothing was."""
        try:
            if not self._file.is_file():
                return None
            with closing(sqlite3.connect(self._file)) as db:
                row = db.execute(self._recall, identity).fetchone()
        except (OSError, sqlite3.Error, UnicodeEncodeError):  # a path need not be UTF-8
            return None
        return bytes(row[0]) if row else None

    def remember(self, identity: FileIdentity, value: bytes) -> None:
        """Keeps what was derived from a file, in place of what was before."""
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self._file)) as db, db:
                db.execute(self._schema)
                db.execute(self._remember, (*identity, value))
        except sqlite3.DatabaseError as error:
            # A memo that is no database would otherwise cost the same time at every use.
            if error.sqlite_errorcode in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                self._file.unlink(missing_ok=True)
        except (OSError, sqlite3.Error, UnicodeEncodeError):
            return
