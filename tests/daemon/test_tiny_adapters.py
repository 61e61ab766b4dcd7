"""What llama.cpp does with adapters, by raw calls: the facts that the shelf and the cache build on."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from models import MODELS, REAL, model_file
from tiny_adapters import write_adapter, write_tiny_adapter
from tiny_embedder import CONTEXT, EMBEDDING, vocabulary, write_tiny_embedder
from tiny_models import TinyModel, write_tiny_model

from erllama_daemon.engine.backend import Logits

PROMPT = [*range(40, 72)]
SCRATCH = 1
Adapter = Any
"""llama.cpp's pointer to an adapter, None if it refused the file."""


class Model:
    """A loaded model and one context of two sequences."""

    def __init__(self, path: Path) -> None:
        model_params = llama_cpp.llama_model_default_params()
        model_params.use_extra_bufts = b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()
        self.model = llama_cpp.llama_model_load_from_file(os.fsencode(path), model_params)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = 128, 64, 64, 2
        params.n_threads = params.n_threads_batch = 1
        params.kv_unified = params.swa_full = True
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def load(self, path: Path) -> Adapter:
        return llama_cpp.llama_adapter_lora_init(self.model, os.fsencode(path))

    def use(self, *adapters: tuple[Adapter, float]) -> None:
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * len(adapters))(*(adapter for adapter, _ in adapters))
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
        assert llama_cpp.llama_set_adapters_lora(self.context, handles, len(adapters), scales) == 0

    def decode(self, tokens: Sequence[int], start: int = 0) -> Logits:
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for number, token in enumerate(tokens):
            batch.token[number], batch.pos[number] = token, start + number
            batch.n_seq_id[number], batch.seq_id[number][0] = 1, 0
            batch.logits[number] = number == len(tokens) - 1
        assert llama_cpp.llama_decode(self.context, batch) == 0
        llama_cpp.llama_batch_free(batch)
        row = llama_cpp.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(row, shape=(self._vocabulary_size,)).copy()

    def read(self, *adapters: tuple[Adapter, float]) -> Logits:
        """The logits after the prompt, computed anew with these adapters."""
        self.use(*adapters)
        llama_cpp.llama_memory_clear(self.memory, True)
        return self.decode(PROMPT)

    def answer(self, *adapters: tuple[Adapter, float]) -> list[int]:
        """The likeliest tokens after the prompt."""
        logits, answer = self.read(*adapters), []
        for position in range(len(PROMPT), len(PROMPT) + 8):
            answer.append(int(logits.argmax()))
            logits = self.decode(answer[-1:], position)
        return answer

    def close(self) -> None:
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str, tmp_path: Path) -> Iterator[Model]:
    loaded = Model(model_file(name, tmp_path))
    yield loaded
    loaded.close()


@pytest.fixture
def dense(tmp_path: Path) -> Iterator[Model]:
    loaded = Model(write_tiny_model(TinyModel.DENSE, tmp_path / "dense.gguf"))
    yield loaded
    loaded.close()


def write(name: str, path: Path, *, seed: int) -> Path:
    if name == REAL:
        return write_adapter(model_file(REAL, path.parent), path, seed=seed)
    return write_tiny_adapter(TinyModel(name), path, seed=seed)


def test_an_adapter_changes_the_answer_and_scale_zero_does_not(model: Model, name: str, tmp_path: Path) -> None:
    bare, answer = model.read(), model.answer()
    first = model.load(write(name, tmp_path / "first.gguf", seed=1))
    second = model.load(write(name, tmp_path / "second.gguf", seed=2))
    assert np.array_equal(model.read(), bare), "loading alone changes nothing"
    assert np.array_equal(model.read((first, 0.0)), bare)
    assert model.answer((first, 1.0)) != answer
    assert np.array_equal(model.read((first, 1.0), (second, 0.0)), model.read((first, 1.0)))
    assert not np.array_equal(model.read((first, 1.0), (second, 1.0)), model.read((first, 1.0)))
    model.use()
    for adapter in (first, second):
        llama_cpp.llama_adapter_lora_free(adapter)
    assert np.array_equal(model.read(), bare)


def test_a_state_computed_with_an_adapter_can_be_restored(model: Model, name: str, tmp_path: Path) -> None:
    adapter = model.load(write(name, tmp_path / "adapter.gguf", seed=1))
    model.read((adapter, 1.0))
    llama_cpp.llama_memory_seq_cp(model.memory, 0, SCRATCH, 0, len(PROMPT))
    size = llama_cpp.llama_state_seq_get_size(model.context, SCRATCH)
    state = (ctypes.c_uint8 * size)()
    assert llama_cpp.llama_state_seq_get_data(model.context, state, size, SCRATCH) == size
    llama_cpp.llama_memory_seq_rm(model.memory, SCRATCH, -1, -1)
    expected = model.decode([50], len(PROMPT))
    model.read()
    llama_cpp.llama_memory_clear(model.memory, True)
    assert llama_cpp.llama_state_seq_set_data(model.context, state, size, 0) == size
    model.use((adapter, 1.0))
    assert np.array_equal(model.decode([50], len(PROMPT)), expected)


def test_two_adapters_add_up_to_the_same_bits_wherever_they_lie(dense: Model, tmp_path: Path) -> None:
    files = [write_tiny_adapter(TinyModel.DENSE, tmp_path / f"{seed}.gguf", seed=seed) for seed in (1, 2)]
    seen, other_order = set(), set()
    for turn in range(20):
        crowd = [dense.load(files[0]) for _ in range(turn % 3)]
        second, first = dense.load(files[1]), dense.load(files[0])
        seen.add(dense.read((first, 0.5), (second, 0.5)).tobytes())
        dense.use()
        other_order.add(dense.read((second, 0.5), (first, 0.5)).tobytes())
        dense.use()
        for adapter in (first, *crowd[:1], second):
            llama_cpp.llama_adapter_lora_free(adapter)
    assert len(seen) == len(other_order) == 1
    assert seen != other_order, "so the order must be the same everywhere"


def test_an_adapter_of_another_architecture_is_refused(dense: Model, tmp_path: Path) -> None:
    bare = dense.read()
    assert not dense.load(write_tiny_adapter(TinyModel.SLIDING_WINDOW, tmp_path / "other.gguf", seed=1))
    assert not dense.load(write_adapter(model_file(REAL, tmp_path), tmp_path / "larger.gguf", seed=1))
    assert np.array_equal(dense.read(), bare)


def test_a_damaged_adapter_is_refused(dense: Model, tmp_path: Path) -> None:
    whole = write_tiny_adapter(TinyModel.DENSE, tmp_path / "whole.gguf", seed=1).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in (0, 4, 24, 500, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        assert not dense.load(cut), f"{length} bytes"
    cut.write_bytes(np.random.default_rng(0).bytes(10_000))
    assert not dense.load(cut)
    assert not dense.load(tmp_path / "missing.gguf")
    assert not dense.load(tmp_path / "dense.gguf"), "a model is no adapter"


def embed(context: llama_cpp.llama_context_p, tokens: Sequence[int]) -> bytes:
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for number, token in enumerate(tokens):
        batch.token[number], batch.pos[number], batch.logits[number] = token, number, 1
        batch.n_seq_id[number], batch.seq_id[number][0] = 1, 0
    assert llama_cpp.llama_encode(context, batch) == 0
    llama_cpp.llama_batch_free(batch)
    vector = np.ctypeslib.as_array(llama_cpp.llama_get_embeddings_seq(context, 0), shape=(EMBEDDING,))
    assert np.isfinite(vector).all()
    return vector.tobytes()


def test_the_tiny_embedder_gives_each_text_a_vector(tmp_path: Path) -> None:
    model = llama_cpp.llama_model_load_from_file(
        os.fsencode(write_tiny_embedder(tmp_path / "embedder.gguf")), llama_cpp.llama_model_default_params()
    )
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT
    params.n_threads = params.n_threads_batch = 1
    params.embeddings = True
    context = llama_cpp.llama_init_from_model(model, params)
    vocab = llama_cpp.llama_model_get_vocab(model)

    def tokenize(text: bytes) -> list[int]:
        tokens = (llama_cpp.llama_token * 512)()
        return tokens[: llama_cpp.llama_tokenize(vocab, text, len(text), tokens, 512, True, True)]

    assert vocabulary().index("[UNK]") not in tokenize(bytes(range(1, 128)))
    assert llama_cpp.llama_pooling_type(context) == llama_cpp.LLAMA_POOLING_TYPE_MEAN
    assert not llama_cpp.llama_get_memory(context)
    llama, river = tokenize(b"The llama hums."), tokenize(b"A river, far away!")
    assert embed(context, llama) == embed(context, llama) != embed(context, river)
    assert embed(context, [7] * CONTEXT)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
