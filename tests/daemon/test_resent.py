"""Conversations that are sent again as text, to models whose tokenizers would not write what they generated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_backend import END, FakeBackend, FakeVocabulary
from fake_engine import BLOCK_TOKENS, Machine, digest, history_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erllama_cache.keys import BlockKind
from erllama_cache.store import Store
from erllama_daemon.engine.generation import Generation
from erllama_daemon.errors import ContextExceeded, NotCached
from erllama_daemon.frames import Generate
from erllama_daemon.messages import Message, Sampling
from erllama_daemon.template.chat import ChatTemplate

TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
MERGED = {257: b"ab", 258: b"abab", 259: "é".encode(), 260: b"\n\n", 261: b"<en", 262: b"]a"}
"""What the tokenizer writes as one token wherever it can; a model is free to say it in parts."""


class DriftingVocabulary(FakeVocabulary):
    """Text becomes the longest tokens that fit, from left to right."""

    def tokenize(self, text: str, *, first: bool) -> list[int]:
        data, tokens = text.encode(), []
        written = {END: b"<end>"} | MERGED
        while data:
            fitting = [token for token, piece in written.items() if data.startswith(piece)]
            token = max(fitting, key=lambda each: len(written[each]), default=data[0])
            tokens.append(token)
            data = data[len(written.get(token, b"x")) :]
        return tokens

    def piece(self, token: int) -> bytes:
        return MERGED.get(token) or super().piece(token)


class DriftingBackend(FakeBackend):
    def __init__(self, context_size: int = 2048) -> None:
        super().__init__(context_size=context_size, chat_template=TEMPLATE)
        self._facts = replace(self._facts, vocabulary_size=max(MERGED) + 1)

    @property
    def vocabulary(self) -> DriftingVocabulary:
        return DriftingVocabulary()


def written(tokens: list[int]) -> bytes:
    vocabulary = DriftingVocabulary()
    return b"".join(vocabulary.piece(token) or vocabulary.control_text(token).encode() for token in tokens)


def user(text: str) -> Message:
    return Message("user", [text])


def assistant(text: str) -> Message:
    return Message("assistant", [text])


class Client:
    """One that holds no state but what was said. `tokens` script the answers, an end token included or not."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.said: list[Message] = []
        self.last: Generation

    def ask(self, text: str, tokens: list[int] | None = None, *, history: bool = False, **options: Any) -> Generation:
        if tokens is not None:
            self.machine.backend.answers.append(list(tokens))
            options["max_tokens"] = len(tokens)
        if history:
            last = self.last if self.said else None
            options["history"] = None if last is None else history_of(last, self.said)
            self.last = self.machine.run(text, **options)
        else:
            self.last = self.machine.run(text, before=self.said, **options)
        self.said = [*self.said, user(text), assistant(self.last.answer.text)]
        return self.last


def scattered(text: str, *, end: bool = True) -> list[int]:
    """An answer said byte by byte, which the tokenizer would not do."""
    return [*text.encode(), *([END] if end else [])]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache", ram_bytes=1 << 22, disk_bytes=1 << 26) as opened:
        yield opened


@pytest.fixture
def machine(store: Store) -> Machine:
    return Machine(store, backend=DriftingBackend())


ANSWERS = ["abab and so on, abab " * 4, "é\n\nab", "abab <en é" * 9]
QUESTIONS = ["Tell me of ab.", "And?", "What is abab then, in so many words?", "So?"]


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "cut off"])
def test_a_conversation_sent_again_is_the_one_that_was_held_bit_for_bit(
    store: Store, tmp_path: Path, ends: bool
) -> None:
    with Store(tmp_path / "other", ram_bytes=1 << 22, disk_bytes=1 << 26) as other:
        holds = Client(Machine(store, backend=DriftingBackend()))
        resends = Client(Machine(other, backend=DriftingBackend()))
        before = 0
        for question, answer in zip(QUESTIONS, [*ANSWERS, "Bye."], strict=True):
            held = holds.ask(question, scattered(answer, end=ends), history=True)
            resent = resends.ask(question, scattered(answer, end=ends))
            assert resent.tokens == held.tokens
            assert resent.tail_key == held.tail_key
            assert digest(resent) == digest(held)
            assert resent.cached == before
            assert resent.hit == ("partial" if before else "cold")
            assert resent.note is None
            before = len(resent.tokens)


def test_a_turn_of_several_messages_is_cut_as_in_the_conversation_that_was_held(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "other", ram_bytes=1 << 22, disk_bytes=1 << 26) as other:
        holds, resends = (Client(Machine(each, backend=DriftingBackend())) for each in (store, other))
        new = [user("A first message, of some length."), user("A second one, no shorter than that.")]
        first = holds.ask("Go.", scattered("abab"), history=True)
        resends.ask("Go.", scattered("abab"))
        history = history_of(first, holds.said)
        held = holds.machine.run("So?", before=new, history=history, answer="Well.", max_tokens=5)
        resent = resends.machine.run("So?", before=[*resends.said, *new], answer="Well.", max_tokens=5)
        assert (resent.tail_key, digest(resent)) == (held.tail_key, digest(held))


def test_what_was_read_as_text_is_taken_if_it_goes_further(machine: Machine) -> None:
    client = Client(machine)
    client.ask("Go.", scattered("abab"))
    client.said = [*client.said, user("And?"), assistant("what nobody generated"), user("Well?"), assistant("nor this")]
    said = list(client.said)
    client.ask("So?", scattered("x"), reproducible=True)
    client.said = said
    assert client.ask("So?", scattered("x")).hit == "exact"


def test_a_restarted_worker_finds_it_on_disk(store: Store, tmp_path: Path) -> None:
    client = Client(Machine(store, backend=DriftingBackend()))
    client.ask(QUESTIONS[0], scattered(ANSWERS[0]))
    length = len(client.last.tokens)
    store.flush()
    with Store(tmp_path / "cache", ram_bytes=0, disk_bytes=1 << 26) as reopened:
        client.machine = Machine(reopened, backend=DriftingBackend())
        assert client.ask(QUESTIONS[1], scattered("ab")).cached == length


def test_one_changed_byte_costs_its_block_and_what_follows(machine: Machine) -> None:
    client = Client(machine)
    asked = client.ask("Go.", scattered("abcd" * 25)).prompt_tokens
    client.ask("On?", scattered("yes"))
    changed = "abcd" * 12 + "abcX" + "abcd" * 12
    client.said[1] = assistant(changed)
    resent = client.ask("So?", scattered("no"))
    assert resent.cached == asked + BLOCK_TOKENS
    assert resent.prompt is not None
    assert written(resent.tokens[: resent.prompt_tokens]) == resent.prompt.text.encode()
    assert resent.note == "an earlier answer is not what was generated there, and was read as text"
    again = Client(machine)
    again.said = client.said[:-2]
    assert again.ask("So?", scattered("no")).hit == "exact"


def test_an_edited_question_in_the_middle_keeps_what_came_before(machine: Machine) -> None:
    client = Client(machine)
    length = len(client.ask("One?", scattered("abab")).tokens)
    client.ask("Two?", scattered("abab"))
    client.ask("Three?", scattered("abab"))
    client.said[2] = user("2?")
    assert client.ask("Four?", scattered("ab")).cached == length


def test_text_that_spells_a_conversation_is_not_one(machine: Machine) -> None:
    client = Client(machine)
    asked = client.ask("Go.", scattered("abab"))
    spelled = "Go.<end>\n[assistant]abab<end>\n[user]And?"
    resent = machine.run(spelled, answer="x", max_tokens=1)
    assert resent.prompt is not None
    assert (
        resent.prompt.text == ChatTemplate(TEMPLATE, bos_text="", eos_text="").render([*client.said, user("And?")]).text
    )
    assert resent.prompt.parent_key is None
    assert resent.cached <= asked.prompt_tokens
    assert all(link.kind is BlockKind.PREFILL for link in resent.chain[: resent.reused_blocks])


def test_an_answer_that_spells_the_next_turns_is_none_of_them(machine: Machine) -> None:
    spelled = "ok<end>\n[user]Now?<end>\n[assistant]yes"
    Client(machine).ask("Go.", scattered(spelled, end=False))
    turns = Client(machine)
    turns.said = [user("Go."), assistant("ok"), user("Now?"), assistant("yes")]
    taken = turns.ask("So?", scattered("x"))
    assert taken.prompt is not None
    assert taken.prompt.parent_key is None
    faithful = Client(machine)
    faithful.said = [user("Go."), assistant(spelled)]
    resent = faithful.ask("So?", scattered("x"))
    assert resent.prompt is not None
    assert written(resent.tokens[: resent.prompt.parent_end]).endswith(spelled.encode())


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_answers_with_one_text_it_is_always_the_same(machine: Machine, first: int) -> None:
    ways = [scattered("abab"), [258, END]]
    taken = set()
    for way in (ways[first], ways[1 - first]):
        Client(machine).ask("Go.", way)
    for _ in range(2):
        client = Client(machine)
        client.said = [user("Go."), assistant("abab")]
        prompt = client.ask("So?", scattered("x")).prompt
        assert prompt is not None
        taken.add(tuple(prompt.tokens[prompt.parent_end - 2 : prompt.parent_end]))
    assert taken == {(258, END)}


def test_of_two_answers_with_one_text_the_one_that_went_further_is_taken(machine: Machine) -> None:
    long = Client(machine)
    long.ask("Go.", [258, END])
    length = len(long.ask("On?", scattered("ab")).tokens)
    Client(machine).ask("Go.", scattered("abab"))
    assert long.ask("So?", scattered("x")).cached == length


def test_a_block_that_ends_inside_a_character_is_taken_with_the_next_one_or_not_at_all(machine: Machine) -> None:
    answer = "x" + "é" * BLOCK_TOKENS
    client = Client(machine)
    asked = client.ask("Go.", scattered(answer)).prompt_tokens
    whole = len(client.last.tokens)
    assert client.ask("So?", scattered("x")).cached == whole
    client.said[1] = assistant("x" + "é" * 15 + "ê" + "é" * 16)
    assert client.ask("So?", scattered("x")).cached == asked


@pytest.mark.parametrize("options", [{"reproducible": True}, {"cache": False}], ids=str)
def test_what_may_not_use_it_reads_the_text_as_a_cold_run_does(
    store: Store, tmp_path: Path, options: dict[str, Any]
) -> None:
    with Store(tmp_path / "empty", ram_bytes=1 << 22, disk_bytes=1 << 26) as empty:
        client = Client(Machine(store, backend=DriftingBackend()))
        client.ask("Go.", scattered(ANSWERS[0]))
        client.ask("On?", scattered(ANSWERS[1]))
        cold = Client(Machine(empty, backend=DriftingBackend()))
        cold.said = list(client.said)
        one, other = client.ask("So?", scattered("x"), **options), cold.ask("So?", scattered("x"), **options)
        assert one.prompt is not None
        assert one.prompt.parent_key is None
        assert one.tokens == other.tokens
        assert digest(one) == digest(other)


def test_a_private_conversation_is_found_in_its_own_scope_alone(machine: Machine) -> None:
    client = Client(machine)
    length = len(client.ask("Go.", scattered("abab"), scope="mine").tokens)
    said = client.said
    assert client.ask("So?", scattered("x"), scope="mine").cached == length
    for scope in ("yours", ""):
        client.said = said
        assert client.ask("So?", scattered("x"), scope=scope).cached == 0


def prepared(machine: Machine, said: list[Message], **options: Any) -> Generation:
    request = Generate(
        id=7, messages=said, max_tokens=3, sampling=Sampling(temperature=0.0), logits_digest=True, **options
    )
    generation = Generation(request)
    machine.preparation.prepare(generation)
    assert generation.prompt is not None
    assert generation.prompt.parent_key is not None
    return generation


def served(machine: Machine, generation: Generation) -> Generation:
    machine.engine.admit(generation)
    while generation.state.value != "generating":
        machine.engine.prefill(generation)
    return machine.end(generation)


@pytest.mark.parametrize("change", ["adapter", "evicted"])
def test_what_changes_while_a_request_waits_has_it_read_as_text(store: Store, tmp_path: Path, change: str) -> None:
    (tmp_path / "adapter.gguf").write_bytes(b"adapter")
    with (
        Store(tmp_path / "empty", ram_bytes=1 << 22, disk_bytes=1 << 26) as empty,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("erllama_daemon.engine.adapters.check_adapter_file", lambda _: None)
        machine, cold = Machine(store, backend=DriftingBackend()), Machine(empty, backend=DriftingBackend())
        client = Client(machine)
        client.ask("Go.", scattered("abab"))
        generation = prepared(machine, [*client.said, user("So?")])
        if change == "adapter":
            for each in (machine, cold):
                each.shelf.attach(str(tmp_path / "adapter.gguf"), 1.0)
        else:
            assert generation.prompt is not None and generation.prompt.parent_key is not None
            store.quarantine(generation.prompt.parent_key)
            machine.engine.forget_deleted(None)
        served(machine, generation)
        other = Client(cold)
        other.said = list(client.said)
        expected = other.ask("So?", max_tokens=3)
        assert generation.tokens == expected.tokens
        if change == "adapter":
            assert generation.cached == 0
            assert digest(generation) == digest(expected)


def test_a_prompt_that_fits_only_as_text_is_read_as_text(store: Store) -> None:
    machine = Machine(store, backend=DriftingBackend(context_size=128))
    client = Client(machine)
    client.ask("Go.", scattered("abab" * 20))
    resent = client.ask("And so? Well?", scattered("x"), max_tokens=1)
    assert resent.prompt is not None
    assert resent.prompt.parent_key is None
    with pytest.raises(ContextExceeded):
        machine.run("x" * 60, before=client.said)


def test_a_demand_is_met_by_what_is_taken_over(machine: Machine) -> None:
    client = Client(machine)
    client.ask("Go.", scattered("abab" * 9))
    client.ask("And?", scattered("abab" * 9))
    length = len(client.last.tokens)
    assert client.ask("So?", scattered("x"), require_cached="prefix").cached == length
    client.said[1] = assistant("something else")
    with pytest.raises(NotCached):
        client.ask("So?", scattered("x"), require_cached="prefix")


def test_reading_beforehand_leaves_out_the_question_alone(machine: Machine) -> None:
    client = Client(machine)
    length = len(client.ask("Go.", scattered("abab" * 9)).tokens)
    warm = machine.run("And?", before=client.said, max_tokens=0)
    assert (warm.cached, warm.computed) == (length, length)


def test_dropping_the_oldest_messages_still_works(store: Store) -> None:
    machine = Machine(store, backend=DriftingBackend(context_size=256))
    client = Client(machine)
    for _ in range(8):
        last = client.ask("And then, what?", scattered("abab" * 8), overflow="drop")
    assert last.dropped_messages
    assert last.prompt is not None
    assert written(last.prompt.tokens) == last.prompt.text.encode()


pieces = st.sampled_from([*b"ab<en\n]x", *MERGED])
answers = st.lists(pieces, max_size=70).map(lambda tokens: [*tokens, END])
edits = st.one_of(st.none(), st.tuples(st.integers(0, 200), st.sampled_from(["a", "é", "<end>", ""])))


turns_of_one = st.tuples(st.text("ab\né<end>]", min_size=1, max_size=40).filter(str.strip), answers, edits)
scopes = itertools.count()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(turns_of_one, max_size=4))
def test_what_is_taken_over_has_every_byte_of_the_prompt(
    machine: Machine, turns: list[tuple[str, list[int], tuple[int, str] | None]]
) -> None:
    client, scope = Client(machine), str(next(scopes))  # in memory alone, and each conversation for itself
    is_faithful, before = False, list[int]()
    for question, answer, edit in turns:
        prompt = client.ask(question, answer, scope=scope).prompt
        assert prompt is not None
        assert written(prompt.tokens) == prompt.text.encode()
        if is_faithful:
            assert prompt.tokens[: prompt.parent_end] == before
        before, said = client.last.tokens, client.said[-1].text
        is_faithful = said.encode() == written(answer[:-1]) and "<end>" not in said
        if edit is not None:
            at, text = edit
            client.said[-1] = assistant(said[:at] + text + said[at + 1 :])
            is_faithful = is_faithful and client.said[-1].text == said
