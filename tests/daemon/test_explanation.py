"""What `explain` says is what a request would find, for every reason why there is not more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from daemon.worker_parts import Start, WorkerParts
from fake_engine import FINGERPRINT
from tiny_adapters import write_tiny_adapter
from tiny_models import TinyModel

from erllama_cache.disk.departure import Departure
from erllama_cache.policy import Policy
from erllama_daemon import frames
from erllama_daemon.frames import Finished, History
from erllama_daemon.messages import AdapterChoice, Message

TEXT = "All happy families are alike; every unhappy family is unhappy in its own way. "


def history_of(question: str, turn: Finished) -> History:
    return History(
        messages=[Message("user", [question]), Message("assistant", [turn.stats.text])],
        tokens=turn.tokens,
        finish_key=turn.finish_key,
        fingerprint=FINGERPRINT.hex(),
    )


def let_go(worker: WorkerParts, key: bytes, why: Departure, *, now: float) -> None:
    """Lets a block go from disk, as an eviction does."""
    disk = worker.store._disk
    assert disk.index.delete_leaves([key], why, now=now) == [key]
    disk.files.remove(key)


def test_nothing_is_known_of_a_prompt_that_was_never_read(start: Start) -> None:
    told = start().explain(TEXT)
    assert (told.prompt_tokens, told.reused_tokens) == (len(f"[user]{TEXT}\n[assistant]"), 0)
    assert [(block.start, block.where, block.key) for block in told.blocks] == [
        (0, "missing", None),
        (32, "missing", None),
        (64, "missing", None),
    ]
    assert told.miss is not None
    assert (told.miss.reason, told.miss.token, told.miss.detail) == ("never_saved", 0, None)


def test_what_was_read_is_in_ram_and_in_a_new_worker_on_disk(start: Start) -> None:
    first = start()
    done = first.run(TEXT)
    warm = first.explain(TEXT)
    assert (warm.ram_tokens, warm.miss) == (done.stats.prompt_tokens, None)
    cold = start().explain(TEXT)
    assert (cold.disk_tokens, cold.reused_tokens) == (done.stats.prompt_tokens, done.stats.prompt_tokens)
    assert {block.where for block in cold.blocks} == {"disk"}


def test_it_foretells_what_a_request_then_finds_and_leaves_no_trace(start: Start) -> None:
    worker = start()
    worker.run(TEXT, "Who?")
    before = worker.store.stats().counters, list(worker.backend.decodes)
    told = worker.explain(TEXT, "What is it that they all are?")
    worker.store.flush()
    assert (worker.store.stats().counters, worker.backend.decodes) == before
    assert worker.run(TEXT, "What is it that they all are?").stats.cached_tokens == told.reused_tokens > 0


def test_a_conversation_sent_again_as_text_finds_what_was_generated(start: Start) -> None:
    worker = start()
    answer = "Are they? All of them, always, and in one way only?"
    turn = worker.run(TEXT, answer=answer, max_tokens=len(answer))
    said = [Message("user", [TEXT]), Message("assistant", [answer]), Message("user", ["Who?"])]
    told = worker.explain(messages=said)
    assert {block.source for block in told.blocks if block.where == "live"} == {"prompt", "generated"}
    assert told.reused_tokens == turn.stats.prompt_tokens + len(answer)
    elsewhere = start().explain(messages=said)
    assert (elsewhere.disk_tokens, elsewhere.note) == (told.reused_tokens, None)
    assert worker.explain(messages=said, reproducible=True).reused_tokens == turn.stats.prompt_tokens
    said[1] = Message("assistant", [answer.replace("?", "!")])
    changed = worker.explain(messages=said)
    assert changed.reused_tokens == turn.stats.prompt_tokens
    assert changed.note == "an earlier answer is not what was generated there, and was read as text"
    said[1] = Message("assistant", [answer])
    assert worker.run(messages=said).stats.cached_tokens == told.reused_tokens


def test_a_chat_that_just_stopped_is_live_as_it_stands_and_for_its_next_turn(start: Start) -> None:
    worker = start()
    turn = worker.run(TEXT, answer="Are they?")
    history = history_of(TEXT, turn)
    standing = worker.explain(history=history)
    assert (standing.live_tokens, standing.miss) == (len(turn.tokens) // 4, None)
    assert [block.source for block in standing.blocks] == ["prompt", "prompt", "prompt", "generated"]
    following = worker.explain("And then?", history=history)
    assert following.live_tokens == len(turn.tokens) // 4 < following.prompt_tokens
    assert following.miss is not None
    assert following.miss.reason == "never_saved"
    worker.run("Something else.")
    assert worker.explain(history=history).ram_tokens == len(turn.tokens) // 4


@pytest.mark.parametrize("since", [None, "Something else."], ids=["at once", "after another prompt"])
def test_a_turn_that_is_asked_again_finds_what_it_read_the_first_time(start: Start, since: str | None) -> None:
    worker = start()
    turn = worker.run(TEXT, answer="Are they?")
    history = history_of(TEXT, turn)
    asked: dict[str, Any] = {
        "history": history,
        "messages": [Message("user", ["And then, what was it that they did?"])],
    }
    first = worker.run(**asked).stats
    if since is not None:
        worker.run(since)
    told = worker.explain(**asked)
    assert told.miss is None
    again = worker.run(**asked).stats
    assert again.cached_tokens == told.reused_tokens == again.prompt_tokens
    assert (again.logits_digest, again.finish_key) == (first.logits_digest, first.finish_key)


def test_a_prompt_that_leaves_what_is_stored_says_where_and_shows_both(start: Start) -> None:
    worker = start()
    worker.run(TEXT + "So they lived for ever after, it is said.")
    told = worker.explain(TEXT + "So they died, every one of them, we know.")
    assert told.miss is not None and told.miss.divergence is not None
    assert (told.miss.reason, told.miss.token) == ("diverged", 64)
    place = told.miss.divergence
    assert place.token == len(f"[user]{TEXT}So they ")
    assert place.before.endswith("So they ")
    assert (place.here, place.there) == ("died, every ", "live")


def test_a_prompt_that_leaves_it_where_a_block_ends_says_so_too(start: Start) -> None:
    worker = start()
    worker.run("x" * (64 - len("[user]")) + "one way, and no other.")
    told = worker.explain("x" * (64 - len("[user]")) + "another way.")
    assert told.miss is not None and told.miss.divergence is not None
    assert (told.miss.token, told.miss.divergence.token) == (64, 64)
    assert (told.miss.divergence.here[:7], told.miss.divergence.there[:7]) == ("another", "one way")


def test_of_several_children_the_one_that_is_most_like_is_compared(start: Start) -> None:
    worker = start()
    for name in ("Anna", "Andrei", "Stiva"):
        worker.run(f"Tell me about {name} Karenin.")
    told = worker.explain("Tell me about Andronicus.")
    assert told.miss is not None and told.miss.divergence is not None
    assert (told.miss.divergence.here[:3], told.miss.divergence.there[:3]) == ("oni", "ei ")


def test_the_same_tokens_in_other_blocks_are_cut_elsewhere(start: Start) -> None:
    worker = start()
    worker.run(TEXT)
    told = worker.explain(TEXT[:20], TEXT[20:])
    assert told.miss is not None
    assert (told.miss.reason, told.miss.token, told.miss.end) == ("cut_elsewhere", 0, told.prompt_tokens)


def test_what_an_answer_said_is_no_prompt(start: Start) -> None:
    worker = start()
    worker.run("Tell me all of it.", answer="A long story, told slowly.")
    told = worker.explain("Tell me all of it.\n[assistant]A long story, told slowly. And so on, and so on.")
    assert told.miss is not None
    assert (told.miss.reason, told.miss.token, told.miss.end) == ("generated", 32, 36 + 20)


def test_an_evicted_block_says_when_and_why_it_went(start: Start) -> None:
    first = start()
    answered = first.run(TEXT)
    key = bytes.fromhex(first.explain(TEXT).blocks[-1].key or "")
    let_go(first, answered.finish_key, "evicted", now=1.0)
    let_go(first, key, "evicted", now=1234.5)
    told = start().explain(TEXT)
    assert told.reused_tokens == 64
    assert told.miss is not None
    assert (told.miss.reason, told.miss.departure, told.miss.departed_at) == ("evicted", "evicted", 1234.5)


def test_a_chat_whose_last_block_went_says_so(start: Start) -> None:
    first = start()
    turn = first.run(TEXT, answer="Are they?")
    let_go(first, turn.finish_key, "removed", now=5.0)
    told = start().explain(history=history_of(TEXT, turn))
    assert told.note == "the saved state of the conversation is gone from the cache"
    assert told.miss is not None
    assert (told.miss.reason, told.miss.departure) == ("evicted", "removed")
    assert told.reused_tokens == turn.stats.prompt_tokens


def test_another_adapter_is_named(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "pirate.gguf"
    write_tiny_adapter(TinyModel.DENSE, path, seed=1, strength=0.5)
    worker = start()
    worker.run(TEXT, adapters=[AdapterChoice(str(path), 0.5)])
    told = worker.explain(TEXT)
    assert told.miss is not None
    assert (told.miss.reason, told.miss.end) == ("other_adapter", told.prompt_tokens)
    assert [(each.name, each.there, each.here) for each in told.miss.differences] == [
        ("adapter", "pirate.gguf=0.5", "none")
    ]
    same = worker.explain(TEXT, adapters=[AdapterChoice(str(path), 0.5)])
    assert (same.miss, same.reused_tokens) == (None, same.prompt_tokens)
    assert [adapter.path for adapter in same.adapters] == [str(path)]


def test_explaining_loads_no_adapter(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "pirate.gguf"
    write_tiny_adapter(TinyModel.DENSE, path, seed=1, strength=0.5)
    worker = start()
    assert worker.explain(TEXT, adapters=[AdapterChoice(str(path))]).adapters
    assert worker.backend.adapters == {}


def test_other_settings_are_named_one_by_one(start: Start) -> None:
    start(type_k="q8_0", type_v="q8_0", build="b1").run(TEXT)
    told = start().explain(TEXT)
    assert told.miss is not None
    assert told.miss.reason == "other_settings"
    assert [(each.name, each.there, each.here) for each in told.miss.differences] == [
        ("kv type", "q8_0", "f16"),
        ("llama.cpp build", "b1", "fake"),
    ]


def test_a_policy_that_keeps_the_prompt_out_is_named(start: Start) -> None:
    worker = start(policy=Policy(cold_min_tokens=1000))
    worker.run(TEXT)
    told = worker.explain(TEXT)
    assert told.miss is not None
    assert told.miss.reason == "never_saved"
    assert told.miss.detail == "the policy saves no prompt of fewer than 1,000 tokens (cold_min_tokens)"
    beyond = start(policy=Policy(cold_max_tokens=64))
    beyond.run(TEXT)
    told = beyond.explain(TEXT)
    assert told.reused_tokens == 64
    assert told.miss is not None and told.miss.detail is not None
    assert "beyond 64 tokens" in told.miss.detail


def test_a_block_from_the_middle_of_a_longer_prompt_cannot_begin_an_answer(start: Start) -> None:
    worker = start(chat_template="{% for message in messages %}{{ message.content }}{% endfor %}")
    worker.run(TEXT[:64] + "and on it goes")
    told = worker.explain(TEXT[:64])
    assert told.miss is not None
    assert (told.reused_tokens, told.miss.reason, told.miss.token, told.miss.end) == (32, "no_logits", 32, 64)


def test_a_reproducible_turn_takes_nothing_that_was_generated_together(start: Start) -> None:
    worker = start(parallel=2)
    worker.hold_after(1)
    numbers = [worker.ask(f"{TEXT} {number}", max_tokens=40) for number in range(2)]
    worker.wait_until_prepared()
    worker.go_on()
    turns = [worker.finished(number) for number in numbers]
    told = [
        worker.explain("And?", history=history_of(f"{TEXT} {number}", turn), reproducible=True)
        for number, turn in enumerate(turns)
    ]
    assert any(each.note and "generated beside others" in each.note for each in told)


def test_it_is_answered_while_the_model_generates(start: Start) -> None:
    worker = start()
    worker.hold_after(5)
    question = worker.ask(TEXT, max_tokens=50)
    worker.wait_until_held()
    number = worker.next_id()
    worker.calls.handle(frames.Explain(number, [Message("user", [TEXT])]))
    worker.hold_again_after_next_calls()
    answer = worker.last_frame(number)
    assert worker.scheduler.status == "generating"
    assert isinstance(answer, frames.Explained)
    assert answer.explanation.reused_tokens == answer.explanation.prompt_tokens
    worker.go_on()
    worker.finished(question)


@pytest.mark.parametrize("parts", [("x" * 600,), (" ",)])
def test_what_could_not_be_asked_is_refused_by_the_same_name(start: Start, parts: tuple[str, ...]) -> None:
    worker = start()
    call = worker.next_id()
    worker.calls.handle(frames.Explain(call, [Message("user", list(parts))]))
    asked = worker.last_frame(worker.ask(*parts))
    told = worker.last_frame(call)
    assert isinstance(told, frames.Failed) and isinstance(asked, frames.Failed)
    assert told.failure == asked.failure
