"""Messages after a key: what only the cache knows goes on as a conversation does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from daemon.test_conversation import NUMBERS_THE_TURNS, STRIPS_OLD_THINKING, refused, text, thought
from daemon.worker_parts import Start, WorkerParts
from fake_backend import CHAT_TEMPLATE
from fake_engine import FINGERPRINT, Machine
from tiny_adapters import write_tiny_adapter
from tiny_models import TinyModel

from erllama_cache.block import decode
from erllama_cache.store import Store
from erllama_daemon.errors import ParentUnknown
from erllama_daemon.frames import Finished, History
from erllama_daemon.messages import AdapterChoice, Message

QUESTION = "All happy families are alike, are they not?"
WRITES_END = CHAT_TEMPLATE.replace("{{ message.content }}\n", "{{ message.content }}<end>\n")


def in_session(worker: WorkerParts, first: Finished, **options: Any) -> Finished:
    history = History(
        messages=text(("user", QUESTION), ("assistant", first.stats.text)),
        tokens=first.tokens,
        finish_key=first.finish_key,
        fingerprint=FINGERPRINT.hex(),
    )
    return worker.run("Why?", history=history, **options)


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        (CHAT_TEMPLATE, "They are."),
        (WRITES_END, "They are."),
        (WRITES_END, None),
        (STRIPS_OLD_THINKING, thought("Hm.", 1)),
    ],
    ids=["plain", "ends with its end token", "ends with its length", "thinks"],
)
def test_messages_after_a_key_are_the_next_turn_bit_for_bit(start: Start, template: str, answer: str | None) -> None:
    worker = start(chat_template=template)
    first = worker.run(QUESTION, answer=answer, max_tokens=50)
    session = in_session(worker, first)
    by_key = worker.run("Why?", parent_key=first.finish_key)
    for one, other in ((session.tokens, by_key.tokens), (session.finish_key, by_key.finish_key)):
        assert one == other
    assert by_key.stats.logits_digest == session.stats.logits_digest
    assert session.stats.cached_tokens == len(first.tokens) // 4
    assert by_key.stats.cached_tokens == session.stats.prompt_tokens  # the question was asked there already
    assert (by_key.stats.cache_note, by_key.view) == (None, None)


def test_a_key_is_found_on_disk_by_another_worker(start: Start) -> None:
    worker = start()
    first = worker.run(QUESTION)
    there = worker.run("Why?", parent_key=first.finish_key)
    worker.stop()
    here = start().run("Why?", parent_key=first.finish_key)
    assert (here.finish_key, here.stats.logits_digest) == (there.finish_key, there.stats.logits_digest)
    assert there.stats.cached_tokens == len(first.tokens) // 4
    assert here.stats.cached_tokens == there.stats.prompt_tokens


def test_keys_make_a_conversation_of_many_turns(start: Start) -> None:
    worker = start()
    last = worker.run(QUESTION)
    for _ in range(5):
        following = worker.run("And?", parent_key=last.finish_key)
        assert following.stats.cached_tokens == len(last.tokens) // 4
        last = following


def test_a_key_that_is_nowhere_or_has_lost_its_beginning_is_unknown(start: Start, tmp_path: Path) -> None:
    worker = start()
    assert refused(worker, messages=text(("user", "Why?")), parent_key=b"\0" * 32).code == "parent_unknown"
    first = worker.run(QUESTION)
    worker.stop()
    (beginning,) = [path for path in (tmp_path / "cache").rglob("*.kv") if decode(path.read_bytes(), path).start == 0]
    beginning.unlink()
    failure = refused(start(), messages=text(("user", "Why?")), parent_key=first.finish_key)
    assert (failure.code, first.finish_key.hex() in failure.message) == ("parent_unknown", True)


def test_a_key_of_another_model_is_unknown(tmp_path: Path) -> None:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as store:
        theirs = Machine(store, fingerprint=b"g" * 32).run(QUESTION)
        with pytest.raises(ParentUnknown, match=theirs.tail_key.hex()):
            Machine(store).run("Why?", parent_key=theirs.tail_key)


def test_a_key_of_somebodys_private_chat_is_unknown(start: Start) -> None:
    worker = start()
    private = worker.run(QUESTION, scope="secret")
    assert worker.store.find(private.finish_key) is not None
    failure = refused(worker, messages=text(("user", "Why?")), parent_key=private.finish_key)
    assert failure.code == "parent_unknown"


@pytest.mark.parametrize("options", [{"scope": "secret"}, {"cache": False}], ids=["private", "no cache"])
def test_what_may_not_use_the_state_of_a_key_reads_its_tokens_again(start: Start, options: dict[str, Any]) -> None:
    worker = start()
    first = worker.run(QUESTION)
    again = worker.run("Why?", parent_key=first.finish_key, **options)
    assert again.tokens.startswith(first.tokens)
    assert again.stats.cached_tokens == 0


def test_a_key_from_before_an_upgrade_is_read_again_once(start: Start) -> None:
    worker = start()
    first = worker.run(QUESTION)
    worker.stop()
    upgraded = start(build="newer")
    again = upgraded.run("Why?", parent_key=first.finish_key)
    assert again.tokens.startswith(first.tokens)
    assert again.stats.cache_note == "the saved state was made with another llama.cpp or other settings"
    following = upgraded.run("And?", parent_key=again.finish_key)
    assert (following.stats.cached_tokens, following.stats.cache_note) == (len(again.tokens) // 4, None)


def test_a_key_made_with_an_adapter_goes_on_with_it(start: Start, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.gguf"
    write_tiny_adapter(TinyModel.DENSE, adapter, seed=1)
    worker, adapters = start(), [AdapterChoice(str(adapter))]
    first = worker.run(QUESTION, adapters=adapters)
    following = worker.run("Why?", parent_key=first.finish_key, adapters=adapters)
    assert following.stats.cached_tokens == len(first.tokens) // 4


def test_a_system_prompt_does_not_follow_a_key(start: Start) -> None:
    worker = start()
    first = worker.run(QUESTION)
    messages = text(("system", "Be brief."), ("user", "Why?"))
    assert refused(worker, messages=messages, parent_key=first.finish_key).code == "request_invalid"


def test_nothing_is_dropped_of_what_nobody_knows(start: Start) -> None:
    worker = start(context_size=128)
    first = worker.run(QUESTION)
    messages = [Message("user", ["x" * 100])]
    failure = refused(worker, messages=messages, parent_key=first.finish_key, overflow="drop")
    assert failure.code == "context_exceeded"


def test_a_template_that_must_know_all_that_was_said_is_named(start: Start) -> None:
    worker = start(chat_template=NUMBERS_THE_TURNS)
    first = worker.run(QUESTION)
    failure = refused(worker, messages=text(("user", "Why?")), parent_key=first.finish_key)
    assert (failure.code, "all that was said before" in failure.message) == ("template_failed", True)
