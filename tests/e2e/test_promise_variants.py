"""Both promises again: with adapters attached, with a quantized KV cache, and at a context of 8,192 tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models import REAL, ModelUnderTest
from tiny_adapters import write_adapter, write_tiny_adapter
from tiny_models import TinyModel
from worker_process import WorkerProcess

from erllama_daemon.frames import Finished, History
from erllama_daemon.messages import AdapterChoice, Message

Options = Callable[[ModelUnderTest, Path], dict[str, Any]]
MODELS = (REAL, TinyModel.DENSE.value, TinyModel.SLIDING_WINDOW.value, TinyModel.HYBRID.value)


def with_adapters(model: ModelUnderTest, folder: Path) -> dict[str, Any]:
    paths = [folder / "first.gguf", folder / "second.gguf"]
    for seed, path in enumerate(paths):
        if model.name == REAL:
            write_adapter(model.path, path, seed=seed, strength=0.3)
        else:
            write_tiny_adapter(TinyModel(model.name), path, seed=seed, strength=0.5)
    return {"adapters": [AdapterChoice(str(path), 0.5 + seed) for seed, path in enumerate(paths)]}


def with_quantized_kv(_model: ModelUnderTest, _folder: Path) -> dict[str, Any]:
    return {"kv_type": "q8_0"}


every_variant = pytest.mark.parametrize("options", [with_adapters, with_quantized_kv], ids=["adapters", "q8_0"])
every_model = pytest.mark.parametrize("model", MODELS, indirect=True)


@every_model
@every_variant
def test_a_cache_hit_never_changes_a_bit(model: ModelUnderTest, options: Options, tmp_path: Path) -> None:
    chosen, document = options(model, tmp_path), model.document(300)
    with WorkerProcess(model.path, tmp_path / "cache", **chosen) as worker:
        cold = worker.generate(document)
        from_ram = worker.generate(document)
    with WorkerProcess(model.path, tmp_path / "cache", ram_bytes=0, **chosen) as worker:
        from_disk = worker.generate(document)
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        without = worker.generate(document)
    assert without.stats.cache_hit_kind == "cold", "blocks never cross settings"
    assert without.stats.logits_digest != cold.stats.logits_digest
    for warm in (from_ram, from_disk):
        assert warm.stats.cache_hit_kind == "exact"
        assert warm.stats.logits_digest == cold.stats.logits_digest
        assert warm.tokens == cold.tokens


@every_model
@every_variant
def test_a_resumed_chat_equals_one_that_never_stopped(model: ModelUnderTest, options: Options, tmp_path: Path) -> None:
    chosen = options(model, tmp_path)
    with WorkerProcess(model.path, tmp_path / "never", **chosen) as worker:
        never_stopped = second_turn(worker, first_turn(worker), worker.ready.fingerprint)
    with WorkerProcess(model.path, tmp_path / "cache", **chosen) as worker:
        first = first_turn(worker)
    with WorkerProcess(model.path, tmp_path / "cache", **chosen) as worker:
        resumed = second_turn(worker, first, worker.ready.fingerprint)
    assert resumed.stats.cached_tokens == len(first.tokens) // 4, resumed.stats.cache_note
    assert resumed.stats.logits_digest == never_stopped.stats.logits_digest
    assert resumed.tokens == never_stopped.tokens


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("model", "tokens"), [(REAL, 2000), ("dense", 7900), ("sliding-window", 7900), ("hybrid", 7900)], indirect=["model"]
)
def test_both_promises_hold_in_a_context_of_8192(model: ModelUnderTest, tokens: int, tmp_path: Path) -> None:
    document = model.document(tokens)
    with WorkerProcess(model.path, tmp_path / "cache", context_size=8192, ram_bytes=1 << 30) as worker:
        cold = worker.generate(document, max_tokens=40)
        from_ram = worker.generate(document, max_tokens=40)
        history = History(
            messages=[Message("user", [document]), Message("assistant", [cold.stats.text])],
            tokens=cold.tokens,
            finish_key=cold.finish_key,
            fingerprint=worker.ready.fingerprint,
        )
        never_stopped = worker.generate("And?", history=history, max_tokens=40)
    with WorkerProcess(model.path, tmp_path / "cache", context_size=8192, ram_bytes=0) as worker:
        from_disk = worker.generate(document, max_tokens=40)
        resumed = worker.generate("And?", history=history, max_tokens=40)
    assert cold.stats.prompt_tokens >= tokens
    for warm in (from_ram, from_disk):
        assert warm.stats.cached_tokens == cold.stats.prompt_tokens
        assert warm.stats.logits_digest == cold.stats.logits_digest
    assert resumed.stats.logits_digest == never_stopped.stats.logits_digest


def first_turn(worker: WorkerProcess) -> Finished:
    return worker.generate("Tell me a story about a llama that hums.", max_tokens=270)


def second_turn(worker: WorkerProcess, first: Finished, fingerprint: str) -> Finished:
    said = [
        Message("user", ["Tell me a story about a llama that hums."]),
        Message("assistant", [first.stats.text]),
    ]
    history = History(messages=said, tokens=first.tokens, finish_key=first.finish_key, fingerprint=fingerprint)
    return worker.generate("Why did it do that?", history=history, max_tokens=20)
