from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import TinyModel, write_tiny_model

from erllama_daemon.backend import ComputeFailed, ModelRejected
from erllama_daemon.llama import LlamaBackend
from erllama_daemon.messages import Sampling


@pytest.fixture(params=[False, True], ids=["bpe", "sentencepiece"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LlamaBackend]:
    path = write_tiny_model(TinyModel.DENSE, tmp_path / "model.gguf", sentencepiece=request.param)
    loaded = LlamaBackend(path, context_size=512, batch_tokens=64)
    yield loaded
    loaded.close()


def test_text_in_pieces_has_the_tokens_of_the_whole(backend: LlamaBackend) -> None:
    whole = backend.tokenize("one\ntwo three\n four", first=True)
    pieces = ["one\n", "two", " three", "\n four"]
    apart = [token for number, piece in enumerate(pieces) for token in backend.tokenize(piece, first=number == 0)]
    assert apart == whole


def test_tokens_give_their_text_back(backend: LlamaBackend) -> None:
    tokens = backend.tokenize("Früh hums the 🦙.", first=False)
    assert b"".join(backend.piece(token) for token in tokens).decode().strip() == "Früh hums the 🦙."


def test_control_tokens_have_no_text_of_their_own(backend: LlamaBackend) -> None:
    (token,) = backend.tokenize("<|im_end|>", first=False)
    assert backend.is_end(token)
    assert backend.piece(token) == b""
    assert backend.control_text(token) == "<|im_end|>"


def test_a_state_that_is_none_is_refused(backend: LlamaBackend) -> None:
    backend.decode(0, [1, 2, 3, 4], 0)
    payload = backend.export(0, 0, 4)
    backend.clear()
    with pytest.raises(ComputeFailed):
        backend.restore(0, payload[: len(payload) // 2], 0, 4)
    backend.clear()
    backend.restore(0, payload, 0, 4)


def test_a_seed_chooses_the_same_way_again(backend: LlamaBackend) -> None:
    logits = backend.decode(0, [1, 2, 3, 4], 0)

    def choose(seed: int) -> list[int]:
        sampler = backend.sampler(Sampling(temperature=1.5), seed, [])
        chosen = [sampler.sample(logits) for _ in range(20)]
        sampler.close()
        return chosen

    assert choose(7) == choose(7)
    assert choose(7) != choose(8)


def test_the_repetition_penalty_sees_what_came_before(backend: LlamaBackend) -> None:
    logits = backend.decode(0, [1, 2, 3, 4], 0)
    likeliest = int(logits.argmax())
    sampler = backend.sampler(Sampling(temperature=0.0, repeat_penalty=1e6), 0, [likeliest])
    assert sampler.sample(abs(logits)) != likeliest
    sampler.close()


def test_a_damaged_model_is_rejected_in_the_librarys_words(tmp_path: Path) -> None:
    whole = write_tiny_model(TinyModel.DENSE, tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelRejected, match="corrupted or incomplete"):
        LlamaBackend(cut, context_size=512, batch_tokens=64)
