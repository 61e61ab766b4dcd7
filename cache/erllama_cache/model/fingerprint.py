"""What a model's state is cached under: a fingerprint of its file, as exact as its user has patience for.

`safe` is the SHA-256 of the file, computed once for as long as the file stays the same. `gguf_chunked` reads the header
and a sample of each tensor. `fast_unsafe` takes what it is told. No fingerprint of one mode is ever one of another.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from erllama_cache.choices import FingerprintMode
from erllama_cache.model.gguf_header import read_header

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fingerprints (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 BLOB NOT NULL
) WITHOUT ROWID
"""
_RECALL = "SELECT sha256 FROM fingerprints WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"
_REMEMBER = "INSERT OR REPLACE INTO fingerprints (path, size, mtime_ns, inode, sha256) VALUES (?, ?, ?, ?, ?)"

GIVEN_BYTES = 32
SAMPLE_BYTES = 4096
"""How much is read of a tensor's beginning, middle and end."""

# A GGUF file begins otherwise, so what is hashed here is never what `safe` hashes.
_CHUNKED_TAG = b"erllama gguf_chunked 1\0"
_GIVEN_TAG = b"erllama fast_unsafe 1\0"
_READ_BYTES = 1 << 20

_Identity = tuple[str, int, int, int]


def model_fingerprint(path: Path, memo: Path, mode: FingerprintMode, given: bytes | None) -> bytes:
    """The fingerprint of the model file at `path`, 32 bytes. `memo` is for `safe`, `given` for `fast_unsafe`.

    Raises as the function of its mode. Any thread, any process.
    """
    match mode:
        case "safe":
            return safe_fingerprint(path, memo)
        case "gguf_chunked":
            return chunked_fingerprint(path)
        case "fast_unsafe":
            return given_fingerprint(given)


def chunked_fingerprint(path: Path) -> bytes:
    """SHA-256 of a file's size, its GGUF header and a sample of each tensor, 32 bytes.

    Two files get the same one if they differ only between the samples, as no two models by accident do. Raises
    GgufMalformed (a ValueError) for a file that is no GGUF, and OSError if `path` cannot be read.
    """
    with path.open("rb") as file:
        header = read_header(file)
        digest = hashlib.sha256(_CHUNKED_TAG + header.file_bytes.to_bytes(8, "little"))
        file.seek(0)
        for position in range(0, header.data_offset, _READ_BYTES):
            digest.update(file.read(min(_READ_BYTES, header.data_offset - position)))
        for start, end in header.tensor_spans():
            for sample in _samples(file, start, end):
                digest.update(sample)
    return digest.digest()


def _samples(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The first, the middle and the last bytes of a tensor; all of a small one."""
    last = end - SAMPLE_BYTES
    if end - start <= 3 * SAMPLE_BYTES:
        file.seek(start)
        yield file.read(end - start)
        return
    for position in (start, (start + last) // 2, last):
        file.seek(position)
        yield file.read(SAMPLE_BYTES)


def given_fingerprint(given: bytes | None) -> bytes:
    """The fingerprint of a model that its user vouches for, 32 bytes. Raises ValueError unless `given` has 32 too."""
    if given is None or len(given) != GIVEN_BYTES:
        raise ValueError(f"a given fingerprint has {GIVEN_BYTES} bytes")
    return hashlib.sha256(_GIVEN_TAG + given).digest()


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
