"""What a model's state is cached under: a fingerprint of its file, as exact as its user has patience for.

`safe` is the SHA-256 of the file, computed once for as long as the file stays the same. `gguf_chunked` reads the header
and a sample of each tensor. `fast_unsafe` takes what it is told. No fingerprint of one mode is ever one of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from erllama_cache.choices import FingerprintMode
from erllama_cache.model.file_memo import FileMemo, file_identity
from erllama_cache.model.gguf_header import read_header
from erllama_cache.model.parts import parts_of

GIVEN_BYTES = 32
SAMPLE_BYTES = 4096
"""How much is read of a tensor's beginning, middle and end."""

# A GGUF file begins otherwise, so what is hashed here is never what `safe` hashes.
_CHUNKED_TAG = b"erllama gguf_chunked 1\0"
_GIVEN_TAG = b"erllama fast_unsafe 1\0"
_READ_BYTES = 1 << 20

_PARTS_TAG = b"erllama parts 1\0"


def model_fingerprint(path: Path, memo: Path, mode: FingerprintMode, given: bytes | None) -> bytes:
    """The fingerprint of the model at `path`, 32 bytes. `memo` is for `safe`, `given` for `fast_unsafe`.

    Of a model in several parts, `path` is the first, and what all of them have together is its fingerprint. Raises as
    the function of its mode. Any thread, any process.
    """
    match mode:
        case "safe":
            return _of_all([safe_fingerprint(part, memo) for part in parts_of(path)])
        case "gguf_chunked":
            return _of_all([chunked_fingerprint(part) for part in parts_of(path)])
        case "fast_unsafe":
            return given_fingerprint(given)


def _of_all(parts: Sequence[bytes]) -> bytes:
    # The first part may hold nothing but metadata, the same for two models.
    return parts[0] if len(parts) == 1 else hashlib.sha256(_PARTS_TAG + b"".join(parts)).digest()


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
    known = FileMemo(memo, "fingerprints", "sha256")
    before = file_identity(path)
    remembered = known.recall(before)
    if remembered is not None:
        return remembered
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    # A file that changed while it was read has a digest that belongs to neither version.
    if file_identity(path) == before:
        known.remember(before, digest)
    return digest
