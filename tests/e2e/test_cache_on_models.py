"""What only a real model can prove: documents that were warmed, and stored blocks that are computed again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from models import REAL, ModelUnderTest
from tiny_models import TinyModel
from worker_process import WorkerProcess

from erllama_cache.block import Block
from erllama_cache.disk.files import BlockFiles
from erllama_cache.keys import BlockKind
from erllama_cache.tending.survey import survey
from erllama_daemon import frames
from erllama_daemon.frames import History
from erllama_daemon.messages import Message, Recomputed

MODELS = (REAL, TinyModel.HYBRID.value, TinyModel.SLIDING_WINDOW.value)
QUESTION = "\n\nWho hums?"

every_model = pytest.mark.parametrize("model", MODELS, indirect=True)


@every_model
def test_after_warming_a_question_is_answered_bit_for_bit_from_the_documents_end(
    model: ModelUnderTest, tmp_path: Path
) -> None:
    document = model.document(280)
    with WorkerProcess(model.path, tmp_path / "cold") as worker:
        cold = worker.generate(document, QUESTION)
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        warmed = worker.generate(document, "\n\n?", max_tokens=0)
    with WorkerProcess(model.path, tmp_path / "cache", ram_bytes=0) as worker:
        warm = worker.generate(document, QUESTION)
    assert warmed.stats.completion_tokens == 0
    assert warm.stats.cached_tokens == warmed.stats.prompt_tokens >= 280 - 16
    assert warm.stats.logits_digest == cold.stats.logits_digest


@every_model
def test_every_block_computed_again_has_its_bits_and_a_wrong_bit_is_found(
    model: ModelUnderTest, tmp_path: Path
) -> None:
    with WorkerProcess(model.path, tmp_path) as worker:
        first = worker.generate("Tell me a story about a llama that hums.", max_tokens=40)
        said = [
            Message("user", ["Tell me a story about a llama that hums."]),
            Message("assistant", [first.stats.text]),
        ]
        history = History(
            messages=said,
            tokens=first.tokens,
            finish_key=first.finish_key,
            fingerprint=worker.ready.fingerprint,
        )
        worker.generate("Why did it do that?", history=history, max_tokens=20)
        rows = sorted(survey(tmp_path).rows.values(), key=lambda row: row.start)
        right = recompute(worker)
        generated = next(row.key for row in rows if row.kind is BlockKind.GENERATED)
        flip_a_bit(tmp_path, generated)
        wrong = recompute(worker)
    assert {row.kind for row in rows} == {BlockKind.PREFILL, BlockKind.GENERATED}
    assert (right.checked, right.wrong, right.gone) == (len(rows), [], 0)
    assert [block.key for block in wrong.wrong] == [generated.hex()]


def recompute(worker: WorkerProcess) -> Recomputed:
    """What is found when every block is computed again."""
    answer: frames.FromWorker = worker.call(frames.Recompute, 1000, 0)
    while isinstance(answer, frames.Rechecked):
        answer = worker.receive()
    assert isinstance(answer, frames.RecomputeEnded), answer
    return answer.result


def flip_a_bit(cache: Path, key: bytes) -> None:
    """Flips the last bit of a block's state, and writes it with the checksum that fits."""
    files = BlockFiles(cache)
    block: Block = files.read(key)
    payload = bytearray(block.payload)
    payload[-1] ^= 1
    files.write(replace(block, payload=bytes(payload)))
