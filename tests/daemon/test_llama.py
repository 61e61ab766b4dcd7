from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_models import TinyModel, write_tiny_model

from erllama_daemon.engine.backend import ComputeFailed, ModelRejected, Run
from erllama_daemon.llama.backend import LlamaBackend, LlamaOptions
from erllama_daemon.llama.buffer import LlamaBuffer
from erllama_daemon.messages import Sampling

OPTIONS = LlamaOptions(batch_tokens=64, context_size=512)


@pytest.fixture(params=[False, True], ids=["bpe", "sentencepiece"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LlamaBackend]:
    path = write_tiny_model(TinyModel.DENSE, tmp_path / "model.gguf", sentencepiece=request.param)
    loaded = LlamaBackend(path, OPTIONS)
    yield loaded
    loaded.close()


def test_text_in_pieces_has_the_tokens_of_the_whole(backend: LlamaBackend) -> None:
    whole = backend.vocabulary.tokenize("one\ntwo three\n four", first=True)
    pieces = ["one\n", "two", " three", "\n four"]
    apart = [
        token for number, piece in enumerate(pieces) for token in backend.vocabulary.tokenize(piece, first=number == 0)
    ]
    assert apart == whole


def test_tokens_give_their_text_back(backend: LlamaBackend) -> None:
    tokens = backend.vocabulary.tokenize("Früh hums the 🦙.", first=False)
    assert b"".join(backend.vocabulary.piece(token) for token in tokens).decode().strip() == "Früh hums the 🦙."


def test_control_tokens_have_no_text_of_their_own(backend: LlamaBackend) -> None:
    (token,) = backend.vocabulary.tokenize("<|im_end|>", first=False)
    assert backend.vocabulary.is_end(token)
    assert backend.vocabulary.piece(token) == b""
    assert backend.vocabulary.control_text(token) == "<|im_end|>"


@pytest.fixture
def buffer(backend: LlamaBackend) -> Iterator[LlamaBuffer]:
    opened = backend.new_buffer(2, prefills=True)
    yield opened
    opened.close()


def test_a_state_that_is_none_is_refused(buffer: LlamaBuffer) -> None:
    buffer.decode([Run(0, [1, 2, 3, 4], 0)])
    payload = buffer.export(0, 0, 4)
    buffer.clear()
    with pytest.raises(ComputeFailed):
        buffer.restore(0, payload[: len(payload) // 2], 0, 4)
    buffer.clear()
    buffer.restore(0, payload, 0, 4)


def test_sequences_in_one_batch_each_get_their_own_logits(buffer: LlamaBuffer) -> None:
    together = buffer.decode([Run(0, [1, 2, 3], 0), Run(1, [3, 2, 1], 0)])
    buffer.clear()
    alone = [buffer.decode([Run(0, tokens, 0)])[0] for tokens in ([1, 2, 3],)]
    assert together[0].argmax() == alone[0].argmax()
    assert not np.array_equal(together[0], together[1])


def test_a_shared_beginning_outlives_its_lender(buffer: LlamaBuffer) -> None:
    buffer.decode([Run(0, [1, 2, 3, 4], 0)])
    buffer.share(0, 1, 2)
    buffer.remove(0)
    (shared,) = buffer.decode([Run(1, [3, 4], 2)])
    buffer.clear()
    buffer.decode([Run(0, [1, 2], 0)])
    (computed,) = buffer.decode([Run(0, [3, 4], 2)])
    assert np.allclose(shared, computed, atol=1e-4)


def test_a_seed_chooses_the_same_way_again(backend: LlamaBackend, buffer: LlamaBuffer) -> None:
    (logits,) = buffer.decode([Run(0, [1, 2, 3, 4], 0)])

    def choose(seed: int) -> list[int]:
        sampler = backend.sampler(Sampling(temperature=1.5), seed, [])
        chosen = [sampler.sample(logits) for _ in range(20)]
        sampler.close()
        return chosen

    assert choose(7) == choose(7)
    assert choose(7) != choose(8)


def test_the_repetition_penalty_sees_what_came_before(backend: LlamaBackend, buffer: LlamaBuffer) -> None:
    (logits,) = buffer.decode([Run(0, [1, 2, 3, 4], 0)])
    likeliest = int(logits.argmax())
    sampler = backend.sampler(Sampling(temperature=0.0, repeat_penalty=1e6), 0, [likeliest])
    assert sampler.sample(abs(logits)) != likeliest
    sampler.close()


def test_a_damaged_model_is_rejected_in_the_librarys_words(tmp_path: Path) -> None:
    whole = write_tiny_model(TinyModel.DENSE, tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelRejected, match="corrupted or incomplete"):
        LlamaBackend(cut, OPTIONS)


def test_a_context_is_what_was_asked_for_and_never_more_than_the_model_knows(tmp_path: Path) -> None:
    path = write_tiny_model(TinyModel.DENSE, tmp_path / "model.gguf")

    def context(asked: int | None, free_memory: int) -> int:
        options = LlamaOptions(batch_tokens=256, context_size=asked, free_memory=free_memory)
        backend = LlamaBackend(path, options)
        size = backend.facts.context_size
        backend.close()
        return size

    assert context(512, 1 << 34) == 512
    assert context(1 << 20, 1 << 34) == 8192
    assert context(None, 1 << 34) == 8192
    assert context(None, 1 << 20) == 2048
    assert context(None, 16 << 20) == 4096
