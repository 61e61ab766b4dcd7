"""Many requests at once on the real model, through one worker."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from models import REAL, ModelUnderTest
from worker_process import WorkerProcess

from erllama_daemon import frames
from erllama_daemon.frames import Failed, Finished
from erllama_daemon.messages import Sampling

ENDLESS = Sampling(temperature=0.0, logit_bias={0: -1000.0, 2: -1000.0})
"""Rules out the end tokens of the real model, so that an answer ends by a cancel or its limit alone."""

real_model = pytest.mark.parametrize("model", [REAL], indirect=True)

QUESTIONS = [
    "Name a colour.",
    "Why do llamas hum?",
    "Count to five.",
    "What is a river?",
    "Write one line about snow.",
    "Who wrote Hamlet?",
    "Say hello in French.",
    "What is two plus two?",
]


@real_model
def test_eight_reproducible_requests_together_and_alone_match_bit_for_bit(
    model: ModelUnderTest, tmp_path: Path
) -> None:
    asked = [(question, model.document(30 * number)) for number, question in enumerate(QUESTIONS)]
    seeded = Sampling(temperature=0.8, seed=7)
    with WorkerProcess(model.path, tmp_path / "alone") as worker:
        alone = [
            worker.generate(document, question, max_tokens=16, sampling=seeded, reproducible=True)
            for question, document in asked
        ]
    with WorkerProcess(model.path, tmp_path / "together", parallel=8) as worker:
        company = worker.ask("Tell a long story.", max_tokens=400)
        numbers = [
            worker.ask(document, question, max_tokens=16, sampling=seeded, reproducible=True)
            for question, document in asked
        ]
        together = worker.finished(numbers)
        worker.send(frames.Cancel(company))
    for number, before in zip(numbers, alone, strict=True):
        assert together[number].stats.logits_digest == before.stats.logits_digest
        assert together[number].tokens == before.tokens


@real_model
def test_a_hundred_cancels_at_random_moments_leak_nothing(model: ModelUnderTest, tmp_path: Path) -> None:
    random = Random(11)
    with WorkerProcess(model.path, tmp_path / "cache", parallel=4) as worker:
        worker.generate("Warm up.", max_tokens=4)
        worker.finished([worker.ask("Tell me.", max_tokens=9), worker.ask("Tell me more.", max_tokens=9)])
        before = _open_files(worker)
        numbers = []
        for _ in range(100):
            prompt = model.document(random.randrange(10, 120))
            numbers.append(worker.ask(prompt, max_tokens=1500, sampling=ENDLESS))
            time.sleep(random.random() * 0.04)
            worker.send(frames.Cancel(random.choice(numbers[-6:])))
        for number in numbers:
            worker.send(frames.Cancel(number))
            worker.send(frames.Cancel(number))
        finished = worker.finished(numbers)
        assert sum(frame.stats.cancelled for frame in finished.values()) > 50
        worker.call(frames.EvictLive)
        status = worker.call(frames.AskStatus)
        assert isinstance(status, frames.Status)
        assert (status.status, status.queue_depth, status.running, status.live_sequences) == ("idle", 0, 0, 0)
        assert _open_files(worker) <= before + 2  # SQLite's connections of the writer
        again = worker.generate("Warm up.", max_tokens=4)
        assert again.stats.cache_hit_kind == "exact"


@pytest.mark.parametrize("model", [REAL, "sliding-window", "hybrid", "recurrent"], indirect=True)
def test_what_was_generated_in_company_goes_on_exactly_from_its_finish_key(
    model: ModelUnderTest, tmp_path: Path
) -> None:
    """Bits depend on the company, but a chain goes on from the bits that it holds: live, from RAM and from disk."""
    with WorkerProcess(model.path, tmp_path / "cache", parallel=4) as worker:
        numbers = [worker.ask(question, max_tokens=270) for question in QUESTIONS[:4]]
        first = worker.finished(numbers)
        chain = first[numbers[0]]
        onward: dict[str, Any] = {"tokens": chain.tokens + b"\x20\x00\x00\x00" * 20, "parent_key": chain.finish_key}
        # Without what is read next, which would not be read again. The index is made anew from the files.
        shutil.copytree(tmp_path / "cache", tmp_path / "copy", ignore=shutil.ignore_patterns("*.sqlite3*"))
        from_ram = worker.generate(**onward)
    with WorkerProcess(model.path, tmp_path / "copy", ram_bytes=0) as worker:
        from_disk = worker.generate(**onward)
    for resumed in (from_ram, from_disk):
        assert resumed.stats.cached_tokens == len(chain.tokens) // 4, resumed.stats.cache_note
    assert from_disk.stats.logits_digest == from_ram.stats.logits_digest


@real_model
def test_a_prompt_read_beside_running_answers_has_the_bits_of_a_cold_run(model: ModelUnderTest, tmp_path: Path) -> None:
    document = model.document(300)
    with WorkerProcess(model.path, tmp_path / "cold") as worker:
        cold = worker.generate(document)
    with WorkerProcess(model.path, tmp_path / "cache", parallel=4) as worker:
        others = [worker.ask(question, max_tokens=60) for question in QUESTIONS[:2]]
        beside = worker.ask(document, max_tokens=12)
        worker.finished([*others, beside])
        warm = worker.generate(document)
    assert warm.stats.cache_hit_kind == "exact"
    assert warm.stats.logits_digest == cold.stats.logits_digest


@real_model
def test_calls_are_answered_while_the_model_generates(model: ModelUnderTest, tmp_path: Path) -> None:
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        running = worker.ask("Tell a long story.", max_tokens=7000, sampling=ENDLESS)
        tokens = worker.call(frames.Tokenize, "Why do llamas hum?", False)
        assert isinstance(tokens, frames.Tokens)
        text = worker.call(frames.Detokenize, tokens.tokens)
        assert isinstance(text, frames.Detokenized)
        assert text.text == "Why do llamas hum?"
        embedded = worker.call(frames.Embed, ["a llama", "an alpaca", "tax law"])
        assert isinstance(embedded, frames.Embedded)
        assert len(embedded.vectors) == 3
        evicted = worker.call(frames.EvictLive)
        assert isinstance(evicted, frames.LiveEvicted)
        worker.send(frames.Cancel(running))
        assert worker.finished([running])[running].stats.cancelled


@real_model
def test_bad_input_is_named_and_the_worker_lives_on(model: ModelUnderTest, tmp_path: Path) -> None:
    with WorkerProcess(model.path, tmp_path / "cache") as worker:
        cases: dict[str, dict[str, Any]] = {
            "token_unknown": {"tokens": b"\xff\xff\xff\x7f"},
            "grammar_invalid": {"sampling": Sampling(grammar="root ::= [")},
            "json_schema_invalid": {"sampling": Sampling(json_schema='{"type": "llama"}')},
            "adapter_unreadable": {"adapters": [{"path": "/no/such/adapter.gguf"}]},
            "context_exceeded": {"tokens": b"\x20\x00\x00\x00" * 9000},
        }
        for code, options in cases.items():
            answer = _failure(worker, **options)
            assert answer.failure.code == code, answer
        assert isinstance(worker.generate("Say hello."), Finished)


def _failure(worker: WorkerProcess, **options: Any) -> Failed:
    number = worker.ask("Say hello.", **options)
    while True:
        frame = worker.receive()
        if isinstance(frame, Failed | Finished) and frame.id == number:
            assert isinstance(frame, Failed), frame
            return frame


def _open_files(worker: WorkerProcess) -> int:
    return sum(1 for _ in Path(f"/proc/{worker.pid}/fd").iterdir())
