from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_backend import END, FakeBackend
from fake_engine import FINGERPRINT, Machine, digest, history_of
from tiny_adapters import write_tiny_adapter
from tiny_models import TinyModel

from erllama_cache.block import SaveReason
from erllama_cache.disk.tier import DiskTier
from erllama_cache.keys import pack_tokens
from erllama_cache.policy import Policy
from erllama_cache.store import Store
from erllama_daemon.engine.generation import Generation
from erllama_daemon.errors import ContextExceeded, DecodeFailed, PromptEmpty, TokenUnknown
from erllama_daemon.frames import Generate, History
from erllama_daemon.messages import AdapterChoice, Message, Sampling

LONG_TEXT = "All happy families are alike; every unhappy family is unhappy in its own way. " * 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as opened:
        yield opened


@pytest.fixture
def machine(store: Store) -> Machine:
    return Machine(store)


def test_a_cold_prompt_is_decoded_once_block_by_block(machine: Machine) -> None:
    generation = machine.run(LONG_TEXT, max_tokens=1)
    prompt = generation.prompt_tokens
    assert generation.hit == "cold"
    assert [end - start for start, end in machine.backend.decodes[:-1]] == [32] * (prompt // 32) + [prompt % 32]


def test_the_same_prompt_again_is_an_exact_hit_that_decodes_nothing_before_its_first_token(machine: Machine) -> None:
    cold = machine.run(LONG_TEXT)
    warm = machine.run(LONG_TEXT)
    assert (warm.hit, warm.cached) == ("exact", warm.prompt_tokens)
    assert machine.backend.decodes[0] == (warm.prompt_tokens, warm.prompt_tokens + 1)
    assert digest(warm) == digest(cold)


def test_a_hit_from_disk_in_a_new_worker_gives_the_bits_of_a_cold_run(store: Store) -> None:
    cold = Machine(store).run(LONG_TEXT)
    store.flush()
    with Store(store.directory, ram_bytes=0, disk_bytes=1 << 24) as reopened:
        warm = Machine(reopened).run(LONG_TEXT)
    assert warm.hit == "exact"
    assert digest(warm) == digest(cold)


def test_a_shared_document_is_reused_and_the_answer_is_that_of_a_cold_run(store: Store, tmp_path: Path) -> None:
    machine = Machine(store)
    machine.run([LONG_TEXT, "\n\nWho?"])
    warm = machine.run([LONG_TEXT, "\n\nWhat is it that they all are?"])
    with Store(tmp_path / "other", ram_bytes=1 << 20, disk_bytes=1 << 24) as empty:
        cold = Machine(empty).run([LONG_TEXT, "\n\nWhat is it that they all are?"])
    assert warm.hit == "partial"
    assert warm.cached == 160  # the document ends at 162: a rest below 16 tokens joins the question
    assert digest(warm) == digest(cold)


def test_generated_blocks_never_answer_a_prompt_that_holds_the_same_text(machine: Machine) -> None:
    machine.run("Tell me.", answer="A long story about nothing at all, told slowly.")
    again = machine.run("Tell me.\n[assistant]A long story about nothing at all, told slowly.")
    assert again.cached == 0


def test_a_chat_goes_on_from_its_finish_key_without_reading_anything_again(machine: Machine) -> None:
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    second = machine.run("And then?", history=history_of(first, said))
    assert second.hit == "partial"
    assert second.cached == len(first.tokens)
    assert second.tokens[: len(first.tokens)] == first.tokens
    assert machine.backend.decodes[0][0] == len(first.tokens)


def test_a_question_asked_again_after_the_same_turn_is_not_read_again(machine: Machine) -> None:
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    history = history_of(first, said)
    second = machine.run([LONG_TEXT, "\n\nAnd then?"], history=history)
    again = machine.run([LONG_TEXT, "\n\nAnd then?"], history=history)
    assert (again.hit, again.cached) == ("exact", second.prompt_tokens)
    assert (again.tail_key, digest(again)) == (second.tail_key, digest(second))
    assert machine.backend.decodes[0] == (second.prompt_tokens, second.prompt_tokens + 1)


def test_another_question_about_the_document_of_a_turn_reads_the_question_alone(
    machine: Machine, tmp_path: Path
) -> None:
    def turns(first: Machine, second: Machine) -> Generation:
        one = first.run("Tell me.", answer="Once upon a time.")
        said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
        history = history_of(one, said)
        if first is second:
            first.run([LONG_TEXT, "\n\nAnd then?"], history=history)
        return second.run([LONG_TEXT, "\n\nAnd before, long ago?"], history=history)

    warm = turns(machine, machine)
    with Store(tmp_path / "other", ram_bytes=1 << 20, disk_bytes=1 << 24) as other:
        cold = turns(Machine(other), Machine(other))
    assert warm.cached > cold.cached + len(LONG_TEXT) - 16
    assert digest(warm) == digest(cold)
    assert warm.tail_key == cold.tail_key


def test_what_was_read_beyond_a_live_turn_is_put_back_after_it(machine: Machine) -> None:
    asked: dict[str, Any] = {"text": ["And then?", LONG_TEXT]}
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    second = machine.run(**asked, history=history_of(first, said))
    again = machine.run("Tell me.", answer="Once upon a time.")
    assert again.tail_key == first.tail_key
    third = machine.run(**asked, history=history_of(again, said))
    assert (third.hit, third.cached) == ("exact", second.prompt_tokens)
    assert digest(third) == digest(second)


def test_a_chat_resumed_in_a_new_worker_equals_one_that_never_stopped(store: Store, tmp_path: Path) -> None:
    said = [Message("user", [LONG_TEXT]), Message("assistant", ["It goes on and on."])]

    def turns(first: Machine, second: Machine) -> tuple[str, list[int]]:
        one = first.run(LONG_TEXT, answer="It goes on and on.")
        two = second.run("And then?", history=history_of(one, said))
        return digest(two), two.tokens

    never_stopped = Machine(store)
    with Store(tmp_path / "other", ram_bytes=1 << 20, disk_bytes=1 << 24) as other:
        resumed = turns(Machine(other), Machine(other))
    assert resumed == turns(never_stopped, never_stopped)


def test_a_chat_whose_state_is_gone_is_read_again_and_says_so(machine: Machine, tmp_path: Path) -> None:
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    with Store(tmp_path / "other", ram_bytes=1 << 20, disk_bytes=1 << 24) as empty:
        second = Machine(empty).run("And then?", history=history_of(first, said))
    assert second.hit == "cold"
    assert second.note is not None
    assert second.tokens[: len(first.tokens)] == first.tokens


def test_an_answer_longer_than_a_block_is_saved_once_in_blocks(machine: Machine) -> None:
    generation = machine.run("Tell me.", max_tokens=100)
    sizes = [machine.store.load(link.key) for link in generation.chain]
    assert sum(block.n_tokens for block in sizes if block) == len(generation.tokens)
    counters = machine.store.stats().counters
    assert counters.saves_continued == 3
    assert counters.saves_finish == 1


def test_a_prompt_that_ends_where_a_longer_one_was_cut_reads_only_its_last_block(machine: Machine) -> None:
    machine.run(["x" * (64 - len("[user]")), "tail " * 10])
    machine.backend.decodes.clear()
    template = "{% for message in messages %}[user]{{ message.content }}{% endfor %}"
    short = Machine(machine.store, backend=FakeBackend(chat_template=template))
    generation = short.run("x" * (64 - len("[user]")), max_tokens=1)
    assert (generation.hit, generation.cached) == ("partial", 32)


def test_a_state_that_is_refused_is_quarantined_and_the_request_goes_on(store: Store) -> None:
    cold = Machine(store).run(LONG_TEXT)
    machine = Machine(store)
    machine.backend.fail_next_restore = True
    again = machine.run(LONG_TEXT)
    assert again.hit == "cold"
    assert digest(again) == digest(cold)
    assert store.stats().counters.quarantined == 1


def test_a_prefill_that_fails_after_a_restore_quarantines_the_last_block(store: Store) -> None:
    Machine(store).run([LONG_TEXT, "\n\nWho?"])
    machine = Machine(store)
    machine.backend.fail_next_decode = True
    with pytest.raises(DecodeFailed):
        machine.run([LONG_TEXT, "\n\nWhat?"])
    assert store.stats().counters.quarantined == 1
    assert machine.run([LONG_TEXT, "\n\nWhat?"]).finish_reason is not None


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_prompt_is_named(machine: Machine, text: str) -> None:
    with pytest.raises(PromptEmpty):
        machine.run(text)


def test_a_prompt_longer_than_the_context_is_named_with_both_numbers(machine: Machine) -> None:
    with pytest.raises(ContextExceeded, match=r"618 tokens.*512"):
        machine.run("x" * 600)
    assert machine.backend.decodes == []


def test_generation_ends_when_the_context_is_full(machine: Machine) -> None:
    generation = machine.run("x" * 480, max_tokens=1000)
    assert generation.finish_reason == "length"
    assert len(generation.tokens) == 512


def test_characters_split_over_tokens_arrive_whole(machine: Machine) -> None:
    assert machine.run("Tell me.", answer="Früh 🦙 hum").answer.text == "Früh 🦙 hum"


def test_a_block_that_was_dropped_is_saved_when_it_is_reused(
    machine: Machine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(DiskTier, "publish", disk_full)
        first = machine.run("Tell me.", answer="Once upon a time.")
    assert first.stats("fake").saved == "dropped"
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    second = machine.run("And then?", history=history_of(first, said), answer="It rained.")
    assert second.stats("fake").saved == "published"
    with Store(store.directory, ram_bytes=0, disk_bytes=1 << 24) as reopened:
        said += [Message("user", ["And then?"]), Message("assistant", ["It rained."])]
        third = Machine(reopened).run("And now?", history=history_of(second, said))
    assert third.cached == len(second.tokens)


def test_a_chat_goes_on_with_another_model_from_its_text(machine: Machine) -> None:
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    history = History(messages=said, tokens=pack_tokens([255, 254]), finish_key=first.tail_key, fingerprint="other")
    second = machine.run("And then?", history=history)
    assert second.note == "the model is another one than before"
    assert bytes(second.tokens[: second.prompt_tokens]).startswith(b"[user]Tell me.\n[assistant]Once upon a time.\n")


def test_an_answer_whose_last_token_cannot_be_kept_is_still_an_answer(machine: Machine) -> None:
    machine.backend.answer_with("Hm.")
    machine.backend.fail_decode_of = END
    first = machine.run("Tell me.")
    assert first.answer.text == "Hm."
    assert first.stats("fake").saved == "dropped"
    said = [Message("user", ["Tell me."]), Message("assistant", ["Hm."])]
    second = machine.run("And then?", history=history_of(first, said))
    assert second.tokens[: len(first.tokens)] == first.tokens
    assert second.cached == first.prompt_tokens


def test_a_state_that_cannot_be_exported_fails_by_name_and_the_next_request_is_served(machine: Machine) -> None:
    machine.backend.fail_next_export = True
    with pytest.raises(DecodeFailed):
        machine.run(LONG_TEXT)
    assert machine.run(LONG_TEXT).finish_reason == "length"


def test_a_policy_bounds_what_is_saved_of_a_prompt(store: Store) -> None:
    generation = Machine(store, policy=Policy(cold_max_tokens=64)).run(LONG_TEXT, max_tokens=1)
    assert store.stats().counters.saves_cold == 2
    assert generation.stats("fake").saved == "dropped"
    assert Machine(store).run(LONG_TEXT, max_tokens=1).cached == 64


def test_a_policy_keeps_short_prompts_and_chains_out_of_the_cache(store: Store) -> None:
    Machine(store, policy=Policy(cold_min_tokens=1000, min_tokens=1000)).run(LONG_TEXT)
    counters = store.stats().counters
    assert (counters.saves_cold, counters.saves_continued, counters.saves_finish) == (0, 0, 0)


def test_a_policy_sets_how_often_an_answer_is_saved(store: Store) -> None:
    Machine(store, policy=Policy(continued_interval=8)).run("Tell me.", max_tokens=41)
    assert store.stats().counters.saves_continued == 5


def test_an_eviction_saves_the_end_of_a_running_answer_and_lets_finished_ones_go(machine: Machine) -> None:
    machine.run("Something else.")
    running = Generation(
        Generate(id=2, messages=[Message("user", ["Tell me."])], max_tokens=40, sampling=Sampling(temperature=0.0))
    )
    machine.preparation.prepare(running)
    machine.engine.admit(running)
    machine.engine.prefill(running)
    for _ in range(10):
        machine.engine.decode([running])
        machine.engine.sample(running)
    before = list(running.chain)
    machine.engine.save_copy(running)
    assert machine.engine.evict_finished() == 0
    machine.store.flush()
    assert machine.store.stats().counters.saves_evict == 1
    assert running.chain == before
    machine.engine.finish(running)
    assert machine.engine.evict_finished() == 1
    assert machine.engine.live_sequences == 0


@pytest.mark.parametrize(("ram_bytes", "hit"), [(0, "partial"), (1 << 20, "exact")])
def test_what_the_cache_did_not_take_is_saved_before_its_state_is_let_go(
    tmp_path: Path, ram_bytes: int, hit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path / "cache", ram_bytes=ram_bytes, disk_bytes=1 << 24)
    store.open()
    machine = Machine(store)
    with monkeypatch.context() as patch:
        patch.setattr(DiskTier, "publish", disk_full)
        first = machine.run(LONG_TEXT)
        assert first.stats("fake").saved == "dropped"
    machine.run("Something else entirely.")
    store.flush()
    if ram_bytes == 0:  # nowhere but in the buffer
        assert store.stats().counters.saves_evict == len(first.chain)
    store.close()
    with Store(store.directory, ram_bytes=0, disk_bytes=1 << 24) as reopened:
        again = Machine(reopened).run(LONG_TEXT)
    assert (again.hit, digest(again)) == (hit, digest(first))


def test_a_stop_saves_as_shutdown(machine: Machine) -> None:
    generation = Generation(
        Generate(id=2, messages=[Message("user", ["Why?"])], max_tokens=40, sampling=Sampling(temperature=0.0))
    )
    machine.preparation.prepare(generation)
    machine.engine.admit(generation)
    machine.engine.prefill(generation)
    machine.engine.sample(generation)
    machine.engine.finish(generation, SaveReason.SHUTDOWN)
    machine.store.flush()
    assert machine.store.stats().counters.saves_shutdown == 1


def test_blocks_never_cross_adapter_sets(machine: Machine, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.gguf"
    write_tiny_adapter(TinyModel.DENSE, adapter, seed=1)
    plain = machine.run(LONG_TEXT)
    adapted = machine.run(LONG_TEXT, adapters=[AdapterChoice(str(adapter), 0.5)])
    assert adapted.hit == "cold"
    assert digest(adapted) != digest(plain)
    weaker = machine.run(LONG_TEXT, adapters=[AdapterChoice(str(adapter), 0.25)])
    assert weaker.hit == "cold"
    assert machine.run(LONG_TEXT, adapters=[AdapterChoice(str(adapter), 0.5)]).hit == "exact"
    assert machine.run(LONG_TEXT, adapters=[AdapterChoice(str(adapter), 0.0)]).hit == "exact"


def test_an_adapter_changed_while_a_request_runs_touches_the_next_one_only(machine: Machine, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.gguf"
    write_tiny_adapter(TinyModel.DENSE, adapter, seed=1)
    alone = machine.run(LONG_TEXT)
    running = Generation(
        Generate(
            id=2,
            messages=[Message("user", [LONG_TEXT])],
            max_tokens=40,
            sampling=Sampling(temperature=0.0),
            logits_digest=True,
        )
    )
    machine.preparation.prepare(running)
    machine.engine.admit(running)
    machine.engine.prefill(running)
    machine.shelf.attach(str(adapter), 1.0)
    while running.finish_reason is None:
        machine.engine.decode([running])
        machine.engine.sample(running)
    machine.engine.finish(running)
    assert digest(running) == digest(alone)
    assert machine.run(LONG_TEXT).hit == "cold"


def test_a_raw_prompt_goes_on_from_its_parent(machine: Machine) -> None:
    first = machine.run("Tell me.", answer="Once upon a time.")
    tokens = pack_tokens([*first.tokens, *b" And then it"])
    second = machine.run("unused", tokens=tokens, parent_key=first.tail_key)
    assert second.cached == len(first.tokens)
    assert second.tokens[: len(first.tokens)] == first.tokens


def test_a_token_that_the_model_does_not_have_is_named(machine: Machine) -> None:
    with pytest.raises(TokenUnknown, match="100000"):
        machine.run("unused", tokens=pack_tokens([1, 100_000]))


def test_a_chat_that_no_longer_fits_may_drop_its_oldest_turns(machine: Machine) -> None:
    said: list[Message] = [Message("system", ["Be brief."])]
    for turn in range(12):
        said += [Message("user", [f"Question {turn} " * 4]), Message("assistant", [f"Answer {turn}."])]
    history = History(messages=said, tokens=pack_tokens([1] * 490), finish_key=None, fingerprint=FINGERPRINT.hex())
    with pytest.raises(ContextExceeded):
        machine.run("And the end? " * 4, history=history)
    generation = machine.run("And the end? " * 4, history=history, overflow="drop")
    text = bytes(generation.tokens[: generation.prompt_tokens]).decode()
    assert generation.dropped_messages > 0
    assert text.startswith("[system]Be brief.\n[user]Question")
    assert "Question 0" not in text
    assert "Question 11" in text


def test_a_stop_sequence_ends_the_answer_before_it(machine: Machine) -> None:
    generation = machine.run("Tell me.", answer="One. Two. Three.", stop=["Two", "Three"])
    assert generation.answer.text == "One. "
    assert (generation.finish_reason, generation.answer.stop_sequence) == ("stop", "Two")


def test_logprobs_are_given_for_each_token(machine: Machine) -> None:
    generation = machine.run("Tell me.", max_tokens=3, logprobs=2)
    assert generation.logprobs is not None
    assert [entry.token for entry in generation.logprobs] == generation.tokens[generation.prompt_tokens :]
    for entry in generation.logprobs:
        assert entry.top[0].logprob >= entry.top[1].logprob


def test_a_chats_next_turn_under_another_adapter_goes_on_from_nothing(machine: Machine, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.gguf"
    write_tiny_adapter(TinyModel.DENSE, adapter, seed=1)
    first = machine.run("Tell me.", answer="Once upon a time.")
    said = [Message("user", ["Tell me."]), Message("assistant", ["Once upon a time."])]
    second = machine.run("And then?", history=history_of(first, said), adapters=[AdapterChoice(str(adapter))])
    assert (second.hit, second.cached) == ("cold", 0)
    assert second.note is not None


def test_a_reproducible_turn_whose_parent_is_gone_takes_only_what_it_would_cut_itself(
    machine: Machine,
) -> None:
    first = machine.run("Tell me.", answer="A long story about nothing at all, told slowly. " * 2)
    said = [Message("user", ["Tell me."]), Message("assistant", [first.answer.text])]
    history = msgspec.structs.replace(history_of(first, said), finish_key=b"x" * 32)
    kept = machine.run("And then?", history=history)
    again = machine.run("And then?", history=history, reproducible=True)
    assert kept.cached > 0
    assert again.cached == 0


def test_a_request_can_begin_where_one_was_cut_off_before_it_said_anything(machine: Machine) -> None:
    first = machine.run(LONG_TEXT, max_tokens=1)
    prompt = first.tokens[: first.prompt_tokens]
    parent = machine.run("unused", tokens=pack_tokens(prompt), max_tokens=1)
    key = parent.chain[-2].key
    machine.engine.evict_finished()
    cut_off = Generation(
        Generate(id=2, tokens=pack_tokens(prompt), max_tokens=5, sampling=Sampling(temperature=0.0), parent_key=key)
    )
    machine.preparation.prepare(cut_off)
    machine.engine.admit(cut_off)
    cut_off.finish_reason = "cancelled"
    machine.engine.finish(cut_off)
    again = machine.run("unused", tokens=pack_tokens(prompt), parent_key=cut_off.tail_key)
    assert again.completion_tokens == 40


def test_what_the_policy_keeps_out_stays_out_when_its_state_goes(store: Store) -> None:
    machine = Machine(store, policy=Policy(cold_min_tokens=1000, min_tokens=1000))
    machine.run(LONG_TEXT)
    machine.run("Something else entirely.")
    machine.engine.evict_finished()
    store.flush()
    assert store.stats().tiers.disk.rows == 0


def test_what_the_policy_keeps_out_stays_out_when_a_chat_has_gone_on_from_it(store: Store) -> None:
    machine = Machine(store, policy=Policy(cold_min_tokens=1000, min_tokens=1000))
    first = machine.run(LONG_TEXT, answer="Yes.")
    said = [Message("user", [LONG_TEXT]), Message("assistant", ["Yes."])]
    second = machine.run("And then?", history=history_of(first, said))
    assert second.cached == len(first.tokens)
    machine.engine.evict_finished()
    store.flush()
    assert store.stats().tiers.disk.rows == 0


def test_a_chat_that_was_too_short_for_the_policy_is_saved_whole_once_it_is_long_enough(store: Store) -> None:
    machine = Machine(store, policy=Policy(min_tokens=100))
    first = machine.run("Tell me.", answer="Yes.")
    assert len(first.tokens) < 100
    said = [Message("user", ["Tell me."]), Message("assistant", ["Yes."])]
    second = machine.run(LONG_TEXT, history=history_of(first, said))
    machine.engine.evict_finished()
    store.flush()
    assert store.resume(second.root, second.tail_key, second.tokens) is not None
    assert store.stats().tiers.disk.rows == len(second.chain)
