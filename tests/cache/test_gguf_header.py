"""The header of a GGUF file: what the gguf package writes, and what nobody should have written."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import TinyModel, write_tiny_model

from erllama_cache.model import gguf_header
from erllama_cache.model.gguf_header import (
    ArrayShape,
    GgufHeader,
    GgufMalformed,
    MetadataValue,
    ValueType,
    read_header,
)

SCALARS: dict[str, tuple[ValueType, int | float | bool | str]] = {
    "a.uint8": (ValueType.UINT8, 255),
    "a.int8": (ValueType.INT8, -128),
    "a.uint16": (ValueType.UINT16, 65535),
    "a.int16": (ValueType.INT16, -2),
    "a.uint32": (ValueType.UINT32, 1 << 31),
    "a.int32": (ValueType.INT32, -1),
    "a.float32": (ValueType.FLOAT32, 0.5),
    "a.bool": (ValueType.BOOL, True),
    "a.string": (ValueType.STRING, "Grüße"),
    "a.uint64": (ValueType.UINT64, 1 << 63),
    "a.int64": (ValueType.INT64, -(1 << 63)),
    "a.float64": (ValueType.FLOAT64, 0.1),
}


def parse(data: bytes) -> GgufHeader:
    return read_header(io.BytesIO(data))


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, *dimensions: int, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name) + shape + struct.pack("<IQ", 0, offset)


def header(*parts: bytes, version: int = 3, tensors: int = 0, entries: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + b"".join(parts)


@pytest.mark.parametrize("kind", TinyModel)
def test_it_reads_what_the_gguf_package_reads(kind: TinyModel, tmp_path: Path) -> None:
    path = write_tiny_model(kind, tmp_path / "model.gguf")
    with path.open("rb") as file:
        found = read_header(file)
    reader = gguf.GGUFReader(path)
    assert (found.version, found.data_offset, found.file_bytes) == (3, reader.data_offset, path.stat().st_size)
    assert found.metadata.keys() == {key for key in reader.fields if not key.startswith("GGUF.")}
    for key, value in found.metadata.items():
        contents = reader.fields[key].contents()
        types = [int(each) for each in reader.fields[key].types]
        assert types[0] == value.type
        if isinstance(value.value, ArrayShape):
            assert (int(value.value.element), value.value.count) == (types[1], len(contents))
        else:
            assert value.value == contents
    assert [
        (each.name, each.dimensions, each.type_number, found.data_offset + each.offset) for each in found.tensors
    ] == [(each.name, tuple(each.shape), each.tensor_type, each.data_offset) for each in reader.tensors]


def test_the_tensors_bytes_lie_in_their_spans(tmp_path: Path) -> None:
    path = write_tiny_model(TinyModel.DENSE, tmp_path / "model.gguf")
    with path.open("rb") as file:
        spans = read_header(file).tensor_spans()
    tensors = sorted((int(each.data_offset), int(each.n_bytes)) for each in gguf.GGUFReader(path).tensors)
    assert spans[-1][1] == path.stat().st_size
    for (start, end), (offset, size) in zip(spans, tensors, strict=True):
        assert start == offset
        assert 0 <= end - (offset + size) < 32, "only padding follows"


def test_values_of_every_type_are_read(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "all.gguf", "llama")
    for key, (kind, value) in SCALARS.items():
        writer.add_key_value(key, value, gguf.GGUFValueType(kind))
    writer.add_array("an.array", [1, 2, 3])
    writer.add_array("some.texts", ["a", "", "c" * 300])
    writer.add_custom_alignment(256)
    writer.add_tensor("only", np.ones(3, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = parse((tmp_path / "all.gguf").read_bytes())
    for key, (kind, value) in SCALARS.items():
        assert found.metadata[key] == MetadataValue(kind, value)
        assert found.value(key, kind) == value
    assert found.value("a.uint8", ValueType.INT8) is None
    assert found.value("nothing", ValueType.INT8) is None
    assert found.value("an.array", ValueType.ARRAY) == ArrayShape(ValueType.INT32, 3)
    assert found.value("some.texts", ValueType.ARRAY) == ArrayShape(ValueType.STRING, 3)
    assert found.data_offset % 256 == 0


def test_version_2_is_read_and_a_header_may_be_empty() -> None:
    found = parse(header(version=2))
    assert (found.version, found.metadata, found.tensors, found.data_offset) == (2, {}, (), 32)
    assert found.tensor_spans() == []


HUGE = 1 << 62


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"GGU", "cut off"),
        (b"hello, world, this is text", "not a GGUF file"),
        (header(version=1), "version 2 or 3"),
        (header(version=4), "version 2 or 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "little-endian"),
        (header(tensors=HUGE), "counts"),
        (header(entries=HUGE), "counts"),
        (header(tensors=1000), "cut off"),
        (header(entries=1000), "cut off"),
        (header(struct.pack("<Q", HUGE), entries=1), "cut off"),
        (header(struct.pack("<Q", (1 << 64) - 8), entries=1), "cut off"),
        (header(entry("a", 8, struct.pack("<Q", HUGE)), entries=1), "cut off"),
        (header(entry("a", 13, b""), entries=1), "type 13"),
        (header(entry("a", 9, struct.pack("<IQ", 0, HUGE)), entries=1), "cut off"),
        (header(entry("a", 9, struct.pack("<IQ", 8, HUGE)), entries=1), "cut off"),
        (header(entry("a", 9, struct.pack("<IQQ", 8, 1, HUGE)), entries=1), "cut off"),
        (header(entry("a", 9, struct.pack("<IQ", 13, 0)), entries=1), "type 13"),
        (header(entry("a", 9, struct.pack("<IQ", 9, 1) * 1000), entries=1), "array of arrays"),
        (header(entry("a", 0, b"1"), entry("a", 0, b"2"), entries=2), "a twice"),
        (header(entry("general.alignment", 4, struct.pack("<I", 0)), entries=1), "power of two"),
        (header(entry("general.alignment", 4, struct.pack("<I", 48)), entries=1), "power of two"),
        (header(entry("general.alignment", 5, struct.pack("<i", 32)), entries=1), "power of two"),
        (header(entry("general.alignment", 8, text("32")), entries=1), "power of two"),
        (header(tensor("t", 1, 1, 1, 1, 1), tensors=1), "5 dimensions"),
        (header(text("t"), struct.pack("<I", 1 << 31), tensors=1), "dimensions"),
        (header(tensor("t", 1), tensor("t", 1), bytes(64), tensors=2), "tensor t twice"),
        (header(tensor("t", 1, offset=HUGE), bytes(64), tensors=1), "behind its end"),
        (header(tensor("t", 1), tensors=1), "behind its end"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(GgufMalformed, match=reason):
        parse(data)


class Endless(io.RawIOBase):
    """A file of a terabyte that begins as given and goes on with zeros; it counts what is read of it."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self._position = 0
        self.read_bytes = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (1 << 40 if whence == 2 else 0)
        return self._position

    def read(self, size: int = -1) -> bytes:
        assert 0 < size < 1 << 30
        data = self._beginning[self._position : self._position + size].ljust(size, b"\0")
        self._position += size
        self.read_bytes += size
        return data


@pytest.mark.parametrize(
    "beginning",
    ids=["strings", "numbers", "string", "tensors", "entries"],
    argvalues=[
        header(entry("a", 9, struct.pack("<IQ", 8, (1 << 64) - 1)), entries=1),
        header(entry("a", 9, struct.pack("<IQ", 12, 1 << 30)), entries=1),
        header(entry("a", 8, struct.pack("<Q", 1 << 30)), entries=1),
        header(tensors=gguf_header.TENSORS_LIMIT),
        header(entries=gguf_header.ENTRIES_LIMIT),
    ],
)
def test_no_header_takes_much_memory(beginning: bytes) -> None:
    file = Endless(beginning)
    with pytest.raises(GgufMalformed):
        read_header(file)  # type: ignore[arg-type]
    assert file.read_bytes <= gguf_header.HEADER_BYTES_LIMIT


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole tiny model."""
    return write_tiny_model(TinyModel.HYBRID, tmp_path_factory.mktemp("model") / "model.gguf").read_bytes()


def test_a_file_that_ends_early_is_refused_wherever_it_ends(model: bytes) -> None:
    whole = parse(model)
    last_tensor = whole.tensor_spans()[-1][0]
    for length in [*range(0, whole.data_offset, 7), whole.data_offset, last_tensor - 1]:
        with pytest.raises(GgufMalformed):
            parse(model[:length])


@settings(deadline=1000)
@given(data=st.data())
def test_a_damaged_header_is_read_or_refused(model: bytes, data: st.DataObject) -> None:
    damaged = bytearray(model)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, 12_000))
        patch = data.draw(st.binary(min_size=1, max_size=8))
        damaged[position : position + len(patch)] = patch
    damaged = damaged[: data.draw(st.none() | st.integers(0, len(model)))]
    try:
        found = parse(bytes(damaged))
    except GgufMalformed:
        return
    for start, end in found.tensor_spans():
        assert found.data_offset <= start <= end <= len(damaged)


@settings(deadline=1000)
@given(st.binary(max_size=400), st.integers(0, 5), st.integers(0, 5))
def test_noise_is_read_or_refused(noise: bytes, tensors: int, entries: int) -> None:
    try:
        parse(header(noise, tensors=tensors, entries=entries))
    except GgufMalformed:
        return
