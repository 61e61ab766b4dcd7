from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_backend import END, FakeBackend
from fake_engine import FINGERPRINT, new_engine

from erllama_cache.disk import DiskTier
from erllama_cache.keys import pack_tokens
from erllama_cache.store import Store
from erllama_daemon.errors import ContextExceeded, DecodeFailed, PromptEmpty
from erllama_daemon.frames import Generate, History
from erllama_daemon.generation import Generation, GenerationState
from erllama_daemon.messages import Message, Sampling

LONG_TEXT = "All happy families are alike; every unhappy family is unhappy in its own way. " * 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache", ram_bytes=1 << 20, disk_bytes=1 << 24) as opened:
        yield opened


class Machine:
    """An engine with a fake backend, as one worker process would hold them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.backend = FakeBackend()
        self.engine = new_engine(self.backend, store)

    def run(
        self, text: str | list[str], *, history: History | None = None, max_tokens: int = 40, answer: str | None = None
    ) -> Generation:
        if answer is not None:
            self.backend.answer_with(answer)
        self.backend.decodes.clear()
        parts = [text] if isinstance(text, str) else text
        generation = Generation(
            Generate(
                id=1,
                messages=[Message("user", parts)],
                history=history,
                max_tokens=max_tokens,
                sampling=Sampling(temperature=0.0),
                logits_digest=True,
            )
        )
        self.engine.admit(generation)
        while generation.state is not GenerationState.GENERATING:
            self.engine.prefill(generation)
        while generation.finish_reason is None:
            self.engine.decode([generation])
            self.engine.sample(generation)
        self.engine.finish(generation)
        for save in generation.saves:
            save.result(timeout=10)
        return generation


@pytest.fixture
def machine(store: Store) -> Machine:
    return Machine(store)


def digest(generation: Generation) -> str:
    assert generation.digest is not None
    return generation.digest.hexdigest()


def history_of(generation: Generation, said: list[Message]) -> History:
    return History(
        messages=said,
        tokens=pack_tokens(generation.tokens),
        finish_key=generation.tail_key,
        fingerprint=FINGERPRINT.hex(),
    )


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
    short = Machine(machine.store)
    short.engine = new_engine(
        FakeBackend(chat_template="{% for message in messages %}[user]{{ message.content }}{% endfor %}"), machine.store
    )
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
