"""A stream of bytes as the records that it consists of, each as soon as it is there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from erllama_cli.documents import DOCUMENT_BYTES_LIMIT
from erllama_cli.options.batch import BatchFormat
from erllama_daemon.errors import BatchUnreadable

_PIECE_BYTES = 1 << 16


def pieces_of(stream: BinaryIO) -> Iterator[bytes]:
    """What a stream holds, as it comes. Raises OSError."""
    # A thread that waits in a buffer would hold the lock that the interpreter takes at its end.
    source = getattr(stream, "raw", stream)
    while piece := source.read(_PIECE_BYTES):
        yield piece


def recognized(pieces: Iterator[bytes]) -> tuple[BatchFormat, Iterator[bytes]]:
    """What the records are, and all the pieces. Looks no further than it must, so that what comes first is done first.

    JSON Lines show in their first line that is not blank. Else a NUL character anywhere separates records, and only
    where none is, lines do. Raises BatchUnreadable if that takes more than any context holds.
    """
    seen: list[bytes] = []
    size = 0
    first: list[bytes] | None = []
    for piece in pieces:
        seen.append(piece)
        size += len(piece)
        if first is not None:
            line, ends, _ = (piece if first else piece.lstrip()).partition(b"\n")
            first += [line] if line else []
            if ends:
                if _is_json_record(b"".join(first)):
                    return "jsonl", itertools.chain(seen, pieces)
                first = None
        if b"\0" in piece:
            return "nul", itertools.chain(seen, pieces)
        if size > DOCUMENT_BYTES_LIMIT:
            raise BatchUnreadable(
                reason="no record ends in its first 64 MiB; if each line is one, say --batch-format lines"
            )
    return "jsonl" if first and _is_json_record(b"".join(first)) else "lines", iter(seen)


def split(pieces: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    """The records without their ends. The last one may have none. Raises BatchUnreadable for one that is too long."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        *ended, rest = piece.split(separator)
        for end in ended:
            yield b"".join([*parts, end])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > DOCUMENT_BYTES_LIMIT:
            raise BatchUnreadable(reason=f"a record has more than {DOCUMENT_BYTES_LIMIT:,} bytes")
    if last := b"".join(parts):
        yield last


def _is_json_record(line: bytes) -> bool:
    """Whether it is a JSON object or string; of one that is not UTF-8, its record says so."""
    try:
        return b"\0" not in line and isinstance(msgspec.json.decode(line.decode(errors="replace")), dict | str)
    except (msgspec.DecodeError, RecursionError):
        return False
