"""The header of a GGUF file: its metadata and where its tensors are, read without trusting a byte of it.

The format is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. What
llama.cpp refuses (arrays of arrays, more than four dimensions, a name twice) is refused here too.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)

HEADER_BYTES_LIMIT = 64 << 20
"""The largest vocabularies, of a quarter of a million tokens, take some 15 MB."""

ENTRIES_LIMIT = 1 << 16
TENSORS_LIMIT = 1 << 18
DIMENSIONS_LIMIT = 4

_ALIGNMENT_KEY = "general.alignment"
_DEFAULT_ALIGNMENT = 32
_READ_BYTES = 1 << 20
_CUT_OFF = "its header is cut off or damaged"


class GgufMalformed(ValueError):
    """A file is no GGUF file, or none that can be read. The message goes after `…: `, and begins with it or its."""


class NotGguf(GgufMalformed):
    """A file that does not begin as a GGUF file does."""


class ValueType(IntEnum):
    """The type of a metadata value, by its number in the file."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


_SCALARS = {
    ValueType.UINT8: struct.Struct("<B"),
    ValueType.INT8: struct.Struct("<b"),
    ValueType.UINT16: struct.Struct("<H"),
    ValueType.INT16: struct.Struct("<h"),
    ValueType.UINT32: struct.Struct("<I"),
    ValueType.INT32: struct.Struct("<i"),
    ValueType.FLOAT32: struct.Struct("<f"),
    ValueType.BOOL: struct.Struct("<?"),
    ValueType.UINT64: struct.Struct("<Q"),
    ValueType.INT64: struct.Struct("<q"),
    ValueType.FLOAT64: struct.Struct("<d"),
}
_U64 = _SCALARS[ValueType.UINT64]


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """What is kept of an array: the type of its elements, and how many there are."""

    element: ValueType
    count: int


Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class MetadataValue:
    """A value and its type. Bytes of a string that are no UTF-8 are U+FFFD."""

    type: ValueType
    value: Scalar | ArrayShape


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor: `dimensions` counts elements, the innermost first; `type_number` is llama.cpp's `ggml_type`.

    `offset` is in bytes from the beginning of the data section, and lies within the file.
    """

    name: str
    dimensions: tuple[int, ...]
    type_number: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A header whose lengths and offsets all lie within the file. `data_offset` and `file_bytes` are in bytes.

    `data_offset` is where the data section begins; without tensors it may lie behind the end of the file.
    """

    version: int
    metadata: dict[str, MetadataValue]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int

    def value(self, key: str, kind: ValueType) -> Scalar | ArrayShape | None:
        """The value of a key; None if there is none, or one of another type."""
        entry = self.metadata.get(key)
        return entry.value if entry is not None and entry.type is kind else None

    def tensor_spans(self) -> list[tuple[int, int]]:
        """Where the tensors' bytes begin and end in the file, in order; the last one ends with the file.

        Tensors without bytes may be left out.
        """
        starts = sorted({self.data_offset + tensor.offset for tensor in self.tensors})
        return list(zip(starts, [*starts[1:], self.file_bytes], strict=False))


def read_header(file: BinaryIO) -> GgufHeader:
    """Reads the header of a seekable file from its beginning; afterwards its position is anywhere.

    Takes no more memory and time than 64 MiB of header need. Raises GgufMalformed, and OSError if it cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    reader = _Reader(file, size)
    if reader.take(len(MAGIC)) != MAGIC:
        raise NotGguf("it is not a GGUF file")
    version = reader.u32()
    if version not in VERSIONS:
        raise GgufMalformed("it is no little-endian GGUF file of version 2 or 3")
    tensor_count, entry_count = reader.u64(), reader.u64()
    if tensor_count > TENSORS_LIMIT or entry_count > ENTRIES_LIMIT:
        raise GgufMalformed(f"its header counts {tensor_count} tensors and {entry_count} entries")
    metadata = _metadata(reader, entry_count)
    tensors = _tensors(reader, tensor_count)
    alignment = _alignment(metadata)
    data_offset = -(-reader.position // alignment) * alignment
    for tensor in tensors:
        if data_offset + tensor.offset > size:
            raise GgufMalformed(f"its tensor {tensor.name} lies behind its end")
    return GgufHeader(version, metadata, tensors, data_offset, size)


def _metadata(reader: _Reader, count: int) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for _ in range(count):
        key = reader.string()
        if key in metadata:
            raise GgufMalformed(f"its header holds {key} twice")
        metadata[key] = _value(reader)
    return metadata


def _value(reader: _Reader) -> MetadataValue:
    kind = _value_type(reader)
    if kind is ValueType.STRING:
        return MetadataValue(kind, reader.string())
    if kind is not ValueType.ARRAY:
        return MetadataValue(kind, reader.scalar(kind))
    element, count = _value_type(reader), reader.u64()
    if element is ValueType.ARRAY:
        raise GgufMalformed("its header holds an array of arrays")
    if element is ValueType.STRING:
        reader.skip_strings(count)
    else:
        reader.skip(count * _SCALARS[element].size)
    return MetadataValue(kind, ArrayShape(element, count))


def _value_type(reader: _Reader) -> ValueType:
    number = reader.u32()
    try:
        return ValueType(number)
    except ValueError as error:
        raise GgufMalformed(f"its header holds a value of type {number}, which does not exist") from error


def _tensors(reader: _Reader, count: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    for _ in range(count):
        name, dimensions = reader.string(), reader.u32()
        if dimensions > DIMENSIONS_LIMIT:
            raise GgufMalformed(f"its tensor {name} has {dimensions} dimensions")
        if name in tensors:
            raise GgufMalformed(f"its header holds the tensor {name} twice")
        shape = tuple(reader.u64() for _ in range(dimensions))
        tensors[name] = TensorInfo(name, shape, reader.u32(), reader.u64())
    return tuple(tensors.values())


def _alignment(metadata: dict[str, MetadataValue]) -> int:
    entry = metadata.get(_ALIGNMENT_KEY)
    if entry is None:
        return _DEFAULT_ALIGNMENT
    alignment = entry.value
    if entry.type is not ValueType.UINT32 or not isinstance(alignment, int) or alignment.bit_count() != 1:
        raise GgufMalformed(f"its {_ALIGNMENT_KEY} is not a power of two")
    return alignment


class _Reader:
    """Takes values from the beginning of a file, of `size` bytes, one after the other."""

    # What was read is kept: a header is small, and a position in one buffer is far cheaper than a read a number.

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = min(size, HEADER_BYTES_LIMIT)
        self._buffer = bytearray()
        self.position = 0

    def take(self, count: int) -> bytes:
        start = self.position
        self.skip(count)
        return bytes(self._buffer[start : self.position])

    def skip(self, count: int) -> None:
        self._read_up_to(self.position + count)
        self.position += count

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self) -> str:
        return self.take(self.u64()).decode("utf-8", "replace")

    def scalar(self, kind: ValueType) -> Scalar:
        layout = _SCALARS[kind]
        value: Scalar = layout.unpack(self.take(layout.size))[0]
        return value

    def skip_strings(self, count: int) -> None:
        # A vocabulary has hundreds of thousands of them: nothing is called that need not be.
        buffer, length, position, number = self._buffer, len(self._buffer), self.position, _U64.unpack_from
        for _ in range(count):
            start = position + _U64.size
            if start > length:
                length = self._read_up_to(start)
            position = start + number(buffer, position)[0]
            if position > self._size:
                raise GgufMalformed(_CUT_OFF)
        self._read_up_to(position)
        self.position = position

    def _read_up_to(self, end: int) -> int:
        """Has so many bytes of the file in the buffer; how many there are now."""
        if end > self._size:
            raise GgufMalformed(_CUT_OFF)
        while (missing := end - len(self._buffer)) > 0:
            data = self._file.read(min(max(missing, _READ_BYTES), self._size - len(self._buffer)))
            if not data:
                raise GgufMalformed(_CUT_OFF)
            self._buffer += data
        return len(self._buffer)
