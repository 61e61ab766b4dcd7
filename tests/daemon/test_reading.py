"""Requests that generate nothing: what they read is there for those that come later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.worker_parts import WorkerParts

from erllama_cache.block import SaveReason
from erllama_daemon.messages import Message

DOCUMENT = "All happy families are alike; every unhappy family is unhappy in its own way. " * 2
TAIL = "And so on and on."
"""Long enough for the document's end to be 16 tokens or more after the cut before."""

QUESTION = "\n\nWhat is it that they all are?"
STAND_IN = "\n\n?"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerParts]:
    started = WorkerParts(tmp_path / "cache")
    yield started
    started.stop()


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[WorkerParts]:
    started = WorkerParts(tmp_path / "cold")
    yield started
    started.stop()


def test_what_was_read_is_reused_to_the_documents_end_bit_for_bit(worker: WorkerParts, cold: WorkerParts) -> None:
    document = DOCUMENT + TAIL
    read = worker.run(document, STAND_IN, max_tokens=0)
    assert (read.stats.prompt_tokens, read.stats.completion_tokens, read.stats.text) == (
        len("[user]" + document),
        0,
        "",
    )
    assert worker.backend.decodes[-1][1] == len("[user]" + document)
    warm, own = worker.run(document, QUESTION), cold.run(document, QUESTION)
    assert warm.stats.cached_tokens == len("[user]" + document)
    assert warm.stats.logits_digest == own.stats.logits_digest


def test_an_end_too_near_the_cut_before_is_left_to_the_question(worker: WorkerParts) -> None:
    read = worker.run(DOCUMENT, STAND_IN, max_tokens=0)
    assert read.stats.prompt_tokens == 160  # the document ends at 162
    assert worker.run(DOCUMENT, QUESTION).stats.cached_tokens == 160


def test_a_system_prompt_goes_before_it(worker: WorkerParts) -> None:
    head = Message("system", ["Be brief, and be kind."])
    worker.run(messages=[head, Message("user", [DOCUMENT + TAIL, STAND_IN])], max_tokens=0)
    warm = worker.run(messages=[head, Message("user", [DOCUMENT + TAIL, QUESTION])])
    assert warm.stats.cached_tokens == len(f"[system]{head.text}\n[user]{DOCUMENT}{TAIL}")


def test_reading_again_reads_nothing_and_ends_in_the_same_key(worker: WorkerParts) -> None:
    first = worker.run(DOCUMENT, STAND_IN, max_tokens=0)
    worker.backend.decodes.clear()
    again = worker.run(DOCUMENT, STAND_IN, max_tokens=0)
    assert (again.stats.cached_tokens, worker.backend.decodes) == (160, [])
    assert again.finish_key == first.finish_key


def test_what_a_request_has_read_needs_no_reading_either(worker: WorkerParts) -> None:
    worker.run(DOCUMENT, QUESTION)
    assert worker.run(DOCUMENT, STAND_IN, max_tokens=0).stats.cached_tokens == 160


def test_a_prompt_of_one_part_is_read_whole(worker: WorkerParts) -> None:
    assert worker.run(DOCUMENT, max_tokens=0).stats.prompt_tokens == len(f"[user]{DOCUMENT}\n[assistant]")


def test_a_text_too_short_for_a_block_is_not_read(worker: WorkerParts) -> None:
    read = worker.run("Hm.", STAND_IN, max_tokens=0)
    assert (read.stats.prompt_tokens, read.tokens, worker.backend.decodes) == (0, b"", [])


def test_its_blocks_are_prompts_and_hold_no_logits(worker: WorkerParts) -> None:
    read = worker.run(DOCUMENT, STAND_IN, max_tokens=0)
    block = worker.store.load(read.finish_key)
    assert block is not None
    assert (block.reason, block.end, block.has_logits) == (SaveReason.COLD, 160, False)
