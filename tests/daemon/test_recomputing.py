"""Stored blocks computed again: right ones are found right, and wrong ones are found, whatever their checksum says."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from daemon.worker_parts import Start, WorkerParts

from erllama_cache.keys import BlockKind
from erllama_cache.tending.survey import survey
from erllama_daemon import frames
from erllama_daemon.messages import WrongBlock

TEXT = "All happy families are alike; every unhappy family is unhappy in its own way. "


def keys_of(worker: WorkerParts) -> list[bytes]:
    """Every block on disk, the beginnings first."""
    rows = survey(worker.store.directory).rows.values()
    return [row.key for row in sorted(rows, key=lambda row: (row.start, row.key))]


def tamper(worker: WorkerParts, key: bytes, *, logits: bool = False) -> WrongBlock:
    """Flips a bit of a block's state, or of its logits, and writes it with the checksum that fits."""
    files = worker.store._disk.files
    block = files.read(key)
    files.write(
        replace(block, logits=_flipped(block.logits)) if logits else replace(block, payload=_flipped(block.payload))
    )
    return WrongBlock(key=key.hex(), start=block.start, tokens=block.n_tokens)


def _flipped(data: bytes | memoryview) -> bytes:
    return bytes(data[:-1]) + bytes([data[-1] ^ 1])


def test_prompts_and_answers_are_found_as_they_were(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=40)
    worker.run("Tell me.")
    found = worker.recompute()
    assert (found.checked, found.wrong) == (len(keys_of(worker)), [])
    assert (found.not_drawn, found.together, found.other_roots, found.unreachable, found.gone) == (0, 0, 0, 0, 0)


def test_a_sample_is_drawn_by_its_seed(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=40)
    found = worker.recompute(2, seed=7)
    assert (found.checked, found.not_drawn, found.seed) == (2, len(keys_of(worker)) - 2, 7)


@pytest.mark.parametrize("position", [0, 2, -1], ids=["first", "of a prompt", "of an answer"])
def test_a_wrong_bit_is_found_though_the_checksum_fits(start: Start, position: int) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=40)
    keys = keys_of(worker)
    wrong = tamper(worker, keys[position])
    found = worker.recompute()
    assert found.wrong == [wrong]
    assert keys[position] not in keys_of(worker)
    assert worker.store.stats().counters.quarantined == 1
    assert worker.store.find(keys[position]) is None, "nor does memory serve it"


def test_wrong_logits_are_found(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=1)
    last = keys_of(worker)[-1]
    wrong = tamper(worker, last, logits=True)
    assert worker.recompute().wrong == [wrong]


def test_a_model_that_cannot_compute_blames_no_block(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=40)
    keys = keys_of(worker)
    worker.backend.fail_next_decode = True
    number = worker.next_id()
    worker.calls.handle(frames.Recompute(number, len(keys), 0))
    ended = worker.last_frame(number)
    assert isinstance(ended, frames.Failed)
    assert ended.failure.code == "decode_failed"
    assert keys_of(worker) == keys


def test_what_extends_a_wrong_block_is_not_blamed_for_it(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=40)
    keys = keys_of(worker)
    wrong = tamper(worker, keys[-2])
    seed = next(seed for seed in range(100) if worker_draws(worker, seed) == keys[-1])
    found = worker.recompute(1, seed=seed)
    assert found.wrong == [wrong]
    assert keys[-1] in keys_of(worker)
    assert (found.checked, found.gone) == (len(keys) - 1, 1)


def worker_draws(worker: WorkerParts, seed: int) -> bytes:
    """Which block is drawn if only one is."""
    (key,) = Random(seed).sample(sorted(keys_of(worker)), 1)
    return key


def test_what_was_generated_together_or_belongs_to_others_is_counted_and_left(start: Start) -> None:
    other = start(type_k="q8_0")
    other.run(TEXT)
    others = len(keys_of(other))
    worker = start(parallel=2)
    worker.hold_after(1)
    numbers = [worker.ask(f"{TEXT} {number}", max_tokens=40) for number in range(2)]
    worker.wait_until_prepared()
    worker.go_on()
    for number in numbers:
        worker.finished(number)
    worker.store.flush()
    rows = list(survey(worker.store.directory).rows.values())
    together = sum(row.kind is BlockKind.TOGETHER for row in rows)
    found = worker.recompute()
    assert together > 0
    assert (found.together, found.other_roots, found.wrong) == (together, others, [])
    assert found.checked == len(rows) - together - others


def test_a_chain_without_its_beginning_is_counted(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=1)
    first = keys_of(worker)[0]
    worker.store._disk.index.delete([first], "removed")
    found = worker.recompute()
    assert (found.checked, found.unreachable) == (0, len(keys_of(worker)))


def test_a_damaged_file_is_gone_not_wrong(start: Start) -> None:
    worker = start()
    worker.run("Tell me.", max_tokens=1)
    (*_, last) = keys_of(worker)
    path = worker.store._disk.files.path(last)
    path.write_bytes(path.read_bytes()[:-1])
    found = worker.recompute()
    assert (found.gone, found.wrong) == (1, [])


def test_it_gives_way_to_a_request_and_goes_on_after_it(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=40)
    number = worker.next_id()
    before = len(worker.backend.decodes)
    worker.hold_after(4)
    worker.calls.handle(frames.Recompute(number, 1000, 0))
    worker.wait_until_held()
    assert worker.backend.decodes[before:] == [(0, 32), (32, 64), (64, 96), (96, 97)], "in the middle of an answer"
    question = worker.ask("Tell me.")
    worker.wait_until_prepared()
    worker.go_on()
    worker.finished(question)
    assert worker.backend.decodes[before + 4] == (0, len("[user]Tell me.\n[assistant]"))
    ended = worker.last_frame(number)
    assert isinstance(ended, frames.RecomputeEnded)
    assert (ended.result.wrong, ended.result.gone) == ([], 0)


def test_a_live_conversation_goes_on_afterwards(start: Start) -> None:
    worker = start()
    turn = worker.run(TEXT)
    worker.recompute()
    again = worker.run(TEXT)
    assert again.stats.logits_digest == turn.stats.logits_digest
    assert again.stats.cache_hit_kind == "exact"


def test_it_can_be_cancelled(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=40)
    number = worker.next_id()
    worker.hold_after(1)
    worker.calls.handle(frames.Recompute(number, 1000, 0))
    worker.wait_until_held()
    worker.calls.cancel(number)
    worker.go_on()
    ended = worker.last_frame(number)
    assert isinstance(ended, frames.Failed)
    assert ended.failure.code == "answer_cut_off"


def test_progress_is_told_block_by_block(start: Start) -> None:
    worker = start()
    worker.run(TEXT, max_tokens=1)
    number = worker.next_id()
    worker.calls.handle(frames.Recompute(number, 1000, 0))
    told = []
    while isinstance(frame := worker.frames[number].get(timeout=20), frames.Rechecked):
        told.append((frame.done, frame.total))
    total = len(keys_of(worker))
    assert told == [(done, total) for done in range(total + 1)]
