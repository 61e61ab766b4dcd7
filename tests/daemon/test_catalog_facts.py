"""What is derived from a model's header, and how much memory it is said to take, beside what llama.cpp takes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import struct
from contextlib import closing
from pathlib import Path

import gguf
import llama_cpp
import msgspec
import pytest
from made_up_stores import Stores
from models import MODELS, model_file
from tiny_embedder import write_tiny_embedder
from tiny_models import CONTEXT, TinyModel, write_tiny_model

from erllama_cache.model.parts import model_bytes, parts_of
from erllama_daemon.catalog import facts, find, listing
from erllama_daemon.catalog.facts import MEMO, read_model
from erllama_daemon.catalog.listing import Listing
from erllama_daemon.catalog.quantization import FILE_TYPES, TENSOR_TYPES
from erllama_daemon.catalog.stored_model import StoredModel
from erllama_daemon.catalog.stores import stored_models
from erllama_daemon.config import Config
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import ModelUnreadable
from erllama_daemon.llama.backend import LlamaBackend, LlamaOptions
from erllama_daemon.llama.log import native_log
from erllama_daemon.messages import Catalog, KvType, ModelFacts, ModelInfo, ModelInfoRequest, ModelOptions

TOLERANCE = 0.25
"""Of what llama.cpp computes in, which is estimated roughly. Weights and state are told to the byte."""


def facts_of(path: Path, cache: Path) -> ModelFacts:
    return read_model(path, cache).facts


def info(cache: Path, path: Path, **options: object) -> ModelInfo:
    listing = Listing(cache, Config, available_bytes=lambda: 1 << 30)
    return listing.info(ModelInfoRequest(model=str(path), options=ModelOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "capability"),
    [
        (TinyModel.DENSE, "dense"),
        (TinyModel.SLIDING_WINDOW, "sliding window"),
        (TinyModel.HYBRID, "hybrid"),
        (TinyModel.RECURRENT, "recurrent"),
    ],
)
def test_a_header_says_what_a_model_is(kind: TinyModel, capability: str, tmp_path: Path) -> None:
    path = write_tiny_model(kind, tmp_path / "tiny.gguf", chat_template="{{ '<think>' }} {{ messages }}")
    found = facts_of(path, tmp_path)
    assert (found.cache, found.context_size, found.quantization) == (capability, CONTEXT, "F32")
    assert (found.template, found.thinking, found.embeddings, found.generates) == ("own", True, None, True)
    reader = gguf.GGUFReader(path)
    assert found.parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert found.quant_bits == pytest.approx(32, abs=0.1)


def test_an_encoder_caches_nothing_and_says_how_it_pools(tmp_path: Path) -> None:
    found = facts_of(write_tiny_embedder(tmp_path / "embedder.gguf"), tmp_path)
    assert (found.generates, found.cache, found.template) == (False, "none", None)
    assert found.embeddings in ("mean", "cls", "last")


def test_the_demo_is_what_it_is(tmp_path: Path) -> None:
    found = facts_of(model_file("real", tmp_path), tmp_path)
    assert (found.architecture, found.quantization, found.template) == ("llama", "Q4_1", "chatml")
    assert found.parameters == 134_515_008


def test_the_names_of_quantizations_are_those_of_llama_cpp() -> None:
    names = {kind.value: kind.name.split("_", 1)[1] for kind in gguf.LlamaFileType if kind.name != "GUESSED"}
    assert names == FILE_TYPES
    assert {kind.value: kind.name for kind in gguf.GGMLQuantizationType} == TENSOR_TYPES


def test_a_header_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny_model(TinyModel.DENSE, tmp_path / "tiny.gguf")
    first = read_model(path, tmp_path)
    with monkeypatch.context() as unread:
        unread.setattr(facts, "read_header", lambda _file: pytest.fail("the header was read again"))
        assert read_model(path, tmp_path) == first
    (tmp_path / MEMO).write_bytes(b"noise" * 1000)
    assert read_model(path, tmp_path) == first
    write_tiny_model(TinyModel.HYBRID, path)
    assert facts_of(path, tmp_path).cache == "hybrid"


def test_a_model_of_several_parts_is_all_of_them(tmp_path: Path) -> None:
    whole = write_tiny_model(TinyModel.DENSE, tmp_path / "tiny.gguf")
    first = tmp_path / "tiny-00001-of-00002.gguf"
    split_in_two(whole, first)
    assert [part.name for part in parts_of(first)] == ["tiny-00001-of-00002.gguf", "tiny-00002-of-00002.gguf"]
    assert info(tmp_path, first).memory.state_bytes == info(tmp_path, whole).memory.state_bytes
    assert facts_of(first, tmp_path).parameters == facts_of(whole, tmp_path).parameters
    assert (
        info(tmp_path, first).model.bytes == model_bytes(first) == sum(part.stat().st_size for part in parts_of(first))
    )


@pytest.mark.parametrize(
    ("dimensions", "entries"),
    [
        ([1 << 40, 1 << 40], {}),
        ([1, 1], dict.fromkeys(["expert_used_count", "expert_feed_forward_length"], (1 << 61) - 1)),
        ([1, 1], {"block_count": (1 << 32) - 1, "context_length": (1 << 32) - 1}),
    ],
)
def test_one_file_with_impossible_numbers_is_listed_beside_the_others(
    user_home: Path, tmp_path: Path, dimensions: list[int], entries: dict[str, int]
) -> None:
    link = Stores(user_home).hugging_face("org/m", "m-F32.gguf", made_up(dimensions, entries))
    listing = Listing(tmp_path, Config, available_bytes=lambda: None)
    names = [model.name for model in msgspec.json.decode(msgspec.json.encode(listing.catalog()), type=Catalog).models]
    assert names == ["demo", "org/m:F32"]
    with contextlib.suppress(ModelUnreadable):
        msgspec.json.encode(listing.info(ModelInfoRequest(model=str(link))))


def test_numbers_that_make_more_memory_than_can_be_told_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(made_up([1, (1 << 32) - 1], {"feed_forward_length": (1 << 32) - 1, "block_count": 1}))
    assert info(tmp_path, path).memory.total_bytes > 1 << 40
    widths = {"attention.head_count": (1 << 32) - 1, "context_length": (1 << 32) - 1, "block_count": 1}
    path.write_bytes(made_up([1, (1 << 32) - 1], widths, name="blk.0.attn_k.weight"))
    with pytest.raises(ModelUnreadable, match="no model has"):
        info(tmp_path, path, context_size=(1 << 32) - 1)


def test_a_model_that_is_part_one_of_none_is_that_file(tmp_path: Path) -> None:
    path = write_tiny_model(TinyModel.DENSE, tmp_path / "m-00001-of-00000.gguf")
    assert info(tmp_path, path).model.bytes == path.stat().st_size


def test_a_path_that_is_no_text_is_read_all_the_same(tmp_path: Path) -> None:
    path = write_tiny_model(TinyModel.DENSE, tmp_path / os.fsdecode(b"\xff.gguf"))
    assert facts_of(path, tmp_path).cache == "dense"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("context", "kv_type"), [(2048, "f16"), (8192, "q8_0")])
def test_the_memory_is_what_llama_cpp_takes(name: str, context: int, kv_type: KvType, tmp_path: Path) -> None:
    path = model_file(name, tmp_path)
    need = info(tmp_path, path, context_size=context, kv_type=kv_type).memory
    printed = llama_cpp_says(path, context, kv_type)
    state = mebibytes(printed, r"(?:KV|RS) buffer size = +([\d.]+) MiB")
    computing = mebibytes(printed, r"sched_reserve: +\w+ compute buffer size = +([\d.]+) MiB")
    assert need.state_bytes == pytest.approx(state, abs=(1 << 20) // 100)
    assert need.compute_bytes == pytest.approx(computing, rel=TOLERANCE)
    assert need.weights_bytes == path.stat().st_size


def test_a_context_that_nobody_names_is_what_the_memory_allows(tmp_path: Path) -> None:
    path = model_file("real", tmp_path)
    backend = LlamaBackend(path, LlamaOptions(batch_tokens=256, free_memory=1 << 30))
    with closing(backend):
        assert info(tmp_path, path).memory.context_size == backend.facts.context_size < CONTEXT


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    path = model_file("real", tmp_path)
    assert info(tmp_path, path, context_size=8192).fits
    listing = Listing(tmp_path, Config, available_bytes=lambda: 300 << 20)
    assert not listing.info(ModelInfoRequest(model="demo", options=ModelOptions(context_size=8192))).fits
    unknown = Listing(tmp_path, Config, available_bytes=lambda: None)
    assert unknown.info(ModelInfoRequest(model="demo")).fits is None


def test_the_stores_are_looked_into_once_however_many_aliases_there_are(
    user_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = write_tiny_model(TinyModel.DENSE, tmp_path / "m").read_bytes()
    link = Stores(user_home).hugging_face("org/m", "m-F32.gguf", tiny)
    config = user_directories().config_file
    config.parent.mkdir(parents=True)
    config.write_text('[aliases]\na = "org/m"\nb = "org/m:F32"\nc = "demo"\nd = "org/gone"\n')
    looks = list[list[StoredModel]]()

    def counted() -> list[StoredModel]:
        looks.append(stored_models())
        return looks[-1]

    monkeypatch.setattr(listing, "stored_models", counted)
    monkeypatch.setattr(find, "stored_models", lambda: pytest.fail("looked again"))
    found = Listing(tmp_path, Config).catalog().models
    assert [(model.name, model.aliases) for model in found] == [("demo", ["c"]), ("org/m:F32", ["a", "b"])]
    assert len(looks) == 1
    assert Listing(tmp_path, Config).info(ModelInfoRequest(model=str(link))).model.aliases == ["a", "b"]
    assert len(looks) == 2


def test_a_loaded_model_is_listed_as_loaded(user_home: Path, tmp_path: Path) -> None:
    stores = Stores(user_home)
    link = stores.hugging_face("org/m", "m-F32.gguf", write_tiny_model(TinyModel.DENSE, tmp_path / "m").read_bytes())
    listing = Listing(tmp_path, Config, lambda: {str(link.resolve())})
    assert [(model.name, model.loaded) for model in listing.catalog().models] == [("demo", False), ("org/m:F32", True)]


def made_up(dimensions: list[int], entries: dict[str, int], *, name: str = "token_embd.weight") -> bytes:
    """A header that says so, and as good as no tensors behind it."""

    def text(written: str) -> bytes:
        return struct.pack("<Q", len(written)) + written.encode()

    metadata = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    for key, value in entries.items():
        metadata += text(f"llama.{key}") + struct.pack("<IQ", 10, value)
    tensor = text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, 0, 0)
    return b"GGUF" + struct.pack("<IQQ", 3, 1, 1 + len(entries)) + metadata + tensor + bytes(256)


def split_in_two(whole: Path, first: Path) -> None:
    """As llama.cpp's gguf-split does: the first part has the metadata, and here nothing else."""
    reader = gguf.GGUFReader(whole)
    data = whole.read_bytes()
    header = bytearray(data[: reader.data_offset])
    kept = bytearray(header)
    kept[8:16] = (0).to_bytes(8, "little")
    metadata_end = min(int(tensor.field.offset) for tensor in reader.tensors)
    first.write_bytes(bytes(kept[:metadata_end]))
    writer = gguf.GGUFWriter(first.with_name(first.name.replace("00001-of", "00002-of")), "llama")
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp_says(path: Path, context: int, kv_type: KvType) -> str:
    """What llama.cpp prints while the buffer is made in which prompts are read."""
    printed: list[str] = []
    callback = llama_cpp.llama_log_callback(lambda _level, text, _data: printed.append(text.decode()))
    with closing(LlamaBackend(path, LlamaOptions(batch_tokens=256, context_size=context, kv_type=kv_type))) as backend:
        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
        try:
            backend.new_buffer(1, prefills=True).close()
        finally:
            llama_cpp.llama_log_set(native_log()._callback, ctypes.c_void_p(0))
    return "".join(printed)


def mebibytes(printed: str, pattern: str) -> float:
    return sum(float(size) for size in re.findall(pattern, printed)) * (1 << 20)
