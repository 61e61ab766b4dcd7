"""The two promises, bit for bit, on the real model and on one tiny model of each kind.

A digest covers every row of logits that a token was sampled from, so it also proves the state that was restored:
a wrong bit in it would show in the rows after the first.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from models import MODELS, REAL, ModelUnderTest
from tiny_models import TinyModel
from worker_process import WorkerProcess

from erllama_cache.keys import unpack_tokens
from erllama_daemon.frames import Finished, History
from erllama_daemon.messages import Message, Sampling

GREEDY = Sampling(temperature=0.0)
SEEDED = Sampling(temperature=0.9, seed=42)
QUESTIONS = ("Tell me a story about a llama that hums.", "Why did it do that?", "And how does the story end?")
ANSWER_TOKENS = (270, 30, 30)
"""The first answer is longer than a block, so the chain holds a full generated block too."""


every_model = pytest.mark.parametrize("model", MODELS, indirect=True)


# The real model reads 2,000 tokens in test_promise_variants.
LENGTHS = [(REAL, 300), (REAL, 1000), *itertools.product(TinyModel, (300, 1000, 2000))]


@pytest.mark.parametrize(("model", "tokens"), LENGTHS, indirect=["model"])
def test_a_cache_hit_never_changes_a_bit(model: ModelUnderTest, tokens: int, tmp_path: Path) -> None:
    document = model.document(tokens)
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        cold = worker.generate(document)
        from_ram = worker.generate(document)
    with WorkerProcess(model.path, tmp_path / "cache", ram_bytes=0) as worker:
        from_disk = worker.generate(document)
    assert cold.stats.prompt_tokens >= tokens
    assert cold.stats.cache_hit_kind == "cold"
    for warm in (from_ram, from_disk):
        assert warm.stats.cache_hit_kind == "exact"
        assert warm.stats.cached_tokens == warm.stats.prompt_tokens
        assert warm.stats.logits_digest == cold.stats.logits_digest
        assert warm.tokens == cold.tokens


@every_model
def test_a_shared_document_is_reused_without_changing_a_bit(model: ModelUnderTest, tmp_path: Path) -> None:
    document = model.document(300)
    with WorkerProcess(model.path, tmp_path / "cold") as worker:
        cold = worker.generate(document, "\n\nWho hums?")
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        worker.generate(document, "\n\nWhere does it go, and what for?")
        # Without what is read next. The index is made anew from the files.
        shutil.copytree(tmp_path / "cache", tmp_path / "copy", ignore=shutil.ignore_patterns("*.sqlite3*"))
        from_ram = worker.generate(document, "\n\nWho hums?")
    with WorkerProcess(model.path, tmp_path / "copy", ram_bytes=0) as worker:
        from_disk = worker.generate(document, "\n\nWho hums?")
    for warm in (from_ram, from_disk):
        assert warm.stats.cache_hit_kind == "partial"
        assert warm.stats.cached_tokens >= 300 - 16
        assert warm.stats.logits_digest == cold.stats.logits_digest


@every_model
def test_what_ran_before_in_the_same_worker_does_not_change_a_bit(model: ModelUnderTest, tmp_path: Path) -> None:
    document = model.document(300)
    with WorkerProcess(model.path, tmp_path / "cold") as worker:
        cold = worker.generate(document)
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        worker.generate("Something else entirely. " * 40, max_tokens=30)
        later = worker.generate(document)
    assert later.stats.cache_hit_kind == "cold"
    assert later.stats.logits_digest == cold.stats.logits_digest


@every_model
@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_a_resumed_chat_equals_one_that_never_stopped(
    model: ModelUnderTest, sampling: Sampling, tmp_path: Path
) -> None:
    with WorkerProcess(model.path, tmp_path / "whole") as worker:
        never_stopped = _chat(lambda: worker, sampling)
    resumed = _interrupted_chat(model, tmp_path / "cut", sampling)
    for one, other in zip(never_stopped, resumed, strict=True):
        assert one.stats.logits_digest == other.stats.logits_digest
        assert one.tokens == other.tokens
        assert one.finish_key == other.finish_key
    assert all(turn.stats.cache_hit_kind == "partial" for turn in (*never_stopped[1:], *resumed[1:]))


def _interrupted_chat(model: ModelUnderTest, cache: Path, sampling: Sampling) -> list[Finished]:
    workers: list[WorkerProcess] = []

    def next_worker() -> WorkerProcess:
        if workers:
            workers[-1].kill()
        workers.append(WorkerProcess(model.path, cache))
        return workers[-1]

    try:
        return _chat(next_worker, sampling)
    finally:
        for worker in workers:
            worker.kill()


def _chat(worker: Callable[[], WorkerProcess], sampling: Sampling) -> list[Finished]:
    said: list[Message] = []
    turns: list[Finished] = []
    for question, max_tokens in zip(QUESTIONS, ANSWER_TOKENS, strict=True):
        asked = worker()
        history = (
            History(
                messages=said,
                tokens=turns[-1].tokens,
                finish_key=turns[-1].finish_key,
                fingerprint=asked.ready.fingerprint,
            )
            if turns
            else None
        )
        turn = asked.generate(question, history=history, max_tokens=max_tokens, sampling=sampling)
        if turns:
            before = unpack_tokens(turns[-1].tokens)
            assert turn.stats.cached_tokens == len(before), turn.stats.cache_note
            assert unpack_tokens(turn.tokens)[: len(before)] == before
        said = [*said, Message("user", [question]), Message("assistant", [turn.stats.text])]
        turns.append(turn)
    return turns
