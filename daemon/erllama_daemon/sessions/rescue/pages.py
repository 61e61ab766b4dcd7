"""Rows out of a database file that SQLite may refuse: every leaf of every table is read for itself.

The format is SQLite's, https://www.sqlite.org/fileformat2.html. Nothing that is read here is known to be right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 100
PAGE_BYTES = 4096
"""Of a page, where the header does not say so."""

_TABLE_LEAF = 0x0D
_WAL_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")
_WAL_MAGIC = 0x377F0682
"""Its last bit says that the words of the checksums are big-endian."""
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)

Value = None | int | float | str | bytes


@dataclass(frozen=True, slots=True)
class Row:
    """A row of whichever table. A column that stands for the `rowid` is None; what is lost of the last ones is zeros.

    A text that is no UTF-8 is None too.
    """

    rowid: int
    values: tuple[Value, ...]


def rows_in(path: Path) -> Iterator[Row]:
    """Everything that looks like a row in the database at `path`, whose log is read too. Changes nothing.

    Raises OSError if the file cannot be read at all; parts that cannot are taken for zeros.
    """
    header = _read(path)[:HEADER_BYTES]
    log = path.with_name(path.name + "-wal")
    for page_bytes, reserved in _layouts(header):
        pages = _Pages(_read(path), _read(log) if log.exists() else b"", page_bytes, reserved)
        rows = [row for number in range(1, pages.count + 1) for row in pages.rows(number)]
        if len(rows) > 0:
            yield from rows
            return


class _Pages:
    """The pages of a database as its last transaction left them."""

    def __init__(self, file: bytes, log: bytes, page_bytes: int, reserved: int) -> None:
        self._file = file
        self._page_bytes = page_bytes
        self._usable = page_bytes - reserved
        self._newer, pages = _frames(log, page_bytes)
        self.count = pages or -(-len(file) // page_bytes)

    def rows(self, number: int) -> Iterator[Row]:
        """The rows of a page, if it is the leaf of a table."""
        page = self._page(number)
        start = HEADER_BYTES if number == 1 else 0
        if page[start] != _TABLE_LEAF:
            return
        (cells,) = struct.unpack_from(">H", page, start + 3)
        end = min(start + 8 + 2 * cells, self._usable)
        for (at,) in struct.iter_unpack(">H", page[start + 8 : end - (end - start) % 2]):
            try:
                yield self._row(page, at)
            except (IndexError, ValueError, struct.error):
                continue

    def _page(self, number: int) -> bytes:
        """A page; zeros for one that is not there."""
        if number in self._newer:
            return self._newer[number]
        at = (number - 1) * self._page_bytes
        return self._file[at : at + self._page_bytes].ljust(self._page_bytes, b"\0")

    def _row(self, page: bytes, at: int) -> Row:
        size, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if size > len(self._file) + len(self._newer) * self._page_bytes:
            raise ValueError("a row that is larger than the file")
        return Row(rowid, tuple(_values(self._payload(page, at, size))))

    def _payload(self, page: bytes, at: int, size: int) -> bytes:
        """The bytes of a row, of which the rest may lie in a chain of other pages."""
        most = self._usable - 35
        if size <= most:
            return page[at : at + size]
        least = (self._usable - 12) * 32 // 255 - 23
        here = least + (size - least) % (self._usable - 4)
        here = here if here <= most else least
        payload = bytearray(page[at : at + here])
        (following,) = struct.unpack_from(">I", page, at + here)
        while len(payload) < size and 0 < following <= self.count:
            more = self._page(following)
            (following,) = struct.unpack_from(">I", more)
            payload += more[4 : min(self._usable, 4 + size - len(payload))]
        return bytes(payload).ljust(size, b"\0")


def _layouts(header: bytes) -> list[tuple[int, int]]:
    """How large the pages are, and how much of each is not used: what the header says, or else what is usual."""
    layouts = [(PAGE_BYTES, 0)]
    if len(header) == HEADER_BYTES:
        (said,) = struct.unpack_from(">H", header, 16)
        said = 65536 if said == 1 else said
        if said >= 512 and said & (said - 1) == 0 and header[20] <= said - 480:
            layouts.insert(0, (said, header[20]))
    return layouts


def _frames(log: bytes, page_bytes: int) -> tuple[dict[int, bytes], int]:
    """The newest version of each page in a log, up to its last transaction, and how many pages there are then."""
    pages: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    count = 0
    if len(log) < _WAL_HEADER.size:
        return pages, count
    magic, _format, size, _number, salt_1, salt_2, *stored = _WAL_HEADER.unpack_from(log)
    order = ">" if magic & 1 else "<"
    sums = _checksum(order, log[:24], (0, 0))
    if magic & ~1 != _WAL_MAGIC or size != page_bytes or sums != tuple(stored):
        return pages, count
    for at in range(_WAL_HEADER.size, len(log) - _FRAME_HEADER.size - page_bytes + 1, _FRAME_HEADER.size + page_bytes):
        number, total, one, two, *stored = _FRAME_HEADER.unpack_from(log, at)
        page = log[at + _FRAME_HEADER.size : at + _FRAME_HEADER.size + page_bytes]
        sums = _checksum(order, page, _checksum(order, log[at : at + 8], sums))
        if (one, two) != (salt_1, salt_2) or sums != tuple(stored):
            break
        pending[number] = page
        if total:
            pages |= pending
            pending, count = {}, total
    return pages, count


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def _values(payload: bytes) -> Iterator[Value]:
    """The columns of a row."""
    length, at = _varint(payload, 0)
    body = length
    if length > len(payload):
        raise ValueError("a row that ends before its head")
    while at < length:
        kind, at = _varint(payload, at)
        if kind in (8, 9):
            yield kind - 8
        elif kind < len(_INTEGER_BYTES):
            size = _INTEGER_BYTES[kind]
            yield int.from_bytes(payload[body : body + size], "big", signed=True) if size else None
            body += size
        elif kind == 7:
            yield struct.unpack_from(">d", payload, body)[0]
            body += 8
        else:
            size = (kind - 12) // 2
            stored = payload[body : body + size]
            yield _text(stored) if kind % 2 else stored
            body += size


def _text(stored: bytes) -> str | None:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends. Raises IndexError."""
    value = 0
    for more in range(8):
        byte = data[at + more]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + more + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def _read(path: Path) -> bytes:
    """A file, whose unreadable parts are zeros. Raises OSError if it cannot be opened."""
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        data = bytearray(size)
        for at in range(0, size, PAGE_BYTES):
            try:
                file.seek(at)
                part = file.read(PAGE_BYTES)
            except OSError:
                continue
            data[at : at + len(part)] = part
    return bytes(data)
