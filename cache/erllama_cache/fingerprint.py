"""The `safe` model fingerprint: the SHA-256 of a file, computed once for as long as the file stays the same."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fingerprints (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 BLOB NOT NULL
) WITHOUT ROWID
"""
_RECALL = "SELECT sha256 FROM fingerprints WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"
_REMEMBER = "INSERT OR REPLACE INTO fingerprints (path, size, mtime_ns, inode, sha256) VALUES (?, ?, ?, ?, ?)"

_Identity = tuple[str, int, int, int]


def safe_fingerprint(path: Path, memo: Path) -> bytes:
    """SHA-256 of the file at `path`, 32 bytes.

    `memo` is a small SQLite file (0600) that remembers it by path, size, mtime and inode; one that cannot be
    read or written only costs time. Raises OSError if `path` cannot be read. Any thread, any process.
    """
    before = _identity(path)
    known = _recall(memo, before)
    if known is not None:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    # A file that changed while it was read has a digest that belongs to neither version.
    if _identity(path) == before:
        _remember(memo, before, digest)
    return digest


def _identity(path: Path) -> _Identity:
    resolved = path.resolve()
    status = resolved.stat()
    return (str(resolved), status.st_size, status.st_mtime_ns, status.st_ino)


def _recall(memo: Path, identity: _Identity) -> bytes | None:
    try:
        if not memo.is_file():
            return None
        with closing(sqlite3.connect(memo)) as db:
            row = db.execute(_RECALL, identity).fetchone()
    except (OSError, sqlite3.Error):
        return None
    return bytes(row[0]) if row else None


def _remember(memo: Path, identity: _Identity, digest: bytes) -> None:
    try:
        memo.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(memo, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(memo)) as db, db:
            db.execute(_SCHEMA)
            db.execute(_REMEMBER, (*identity, digest))
    except sqlite3.DatabaseError as error:
        # A memo that is no database would otherwise cost the same time at every load.
        if error.sqlite_errorcode in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            memo.unlink(missing_ok=True)
    except (OSError, sqlite3.Error):
        return
