"""The turns of a conversation, from its database to the fake model and back."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from daemon.worker_parts import Start, WorkerParts
from fake_backend import CHAT_TEMPLATE
from fake_engine import FINGERPRINT

from erllama_cache.keys import pack_tokens
from erllama_daemon.frames import Failed, Finished, History
from erllama_daemon.messages import Failure, Message
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.turn import Turn

TAKES_NO_SYSTEM_PROMPT = (
    "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "[{{ message.role }}]{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
STRIPS_OLD_THINKING = """
{%- set ns = namespace(last_question=messages|length - 1, found=false) %}
{%- for message in messages[::-1] %}
{%- if not ns.found and message.role == "user" %}
{%- set ns.found = true %}{%- set ns.last_question = (messages|length - 1) - loop.index0 %}
{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- set content = message.content.split('</think>')[-1].lstrip('\n') %}
{%- if message.role == "assistant" and loop.index0 > ns.last_question %}
{{- '[assistant]\n<think>\n' + message.content.split('</think>')[0].lstrip('<think>') + '\n</think>\n\n' + content }}
{%- else %}{{- '[' + message.role + ']\n' + content }}{%- endif %}
{{- '<end>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '[assistant]\n' }}{%- endif %}
"""
DATES_THE_LAST = (
    "{% for message in messages %}[{{ message.role }}]{{ message.content }}"
    "{% if loop.last and message.role == 'user' %} (Today is Monday.){% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
GREETS_WHO_ASKS_ONCE = (
    "{% if messages|length == 1 %}Welcome! {% endif %}{% for message in messages %}"
    "[{{ message.role }}]{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
NUMBERS_THE_TURNS = (
    "{% for message in messages %}[{{ message.role }} {{ loop.index }}]{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant {{ messages|length + 1 }}]{% endif %}"
)


class Conversation:
    """One conversation in a database of its own, kept turn by turn as the daemon does."""

    def __init__(self, worker: WorkerParts) -> None:
        self.worker = worker
        self._sessions = Sessions(None)
        self._id = self._sessions.create("fake").id

    @property
    def history(self) -> History | None:
        return self._sessions.history(self._id)

    @property
    def said(self) -> list[Message]:
        return self._sessions.get(self._id).messages

    def ask(self, question: str, answer: str = "Yes.", *, system: str | None = None, **options: Any) -> Finished:
        messages = [] if system is None else [Message("system", [system])]
        messages.append(Message("user", [question]))
        finished = self.worker.run(answer=answer, messages=messages, history=self.history, **options)
        turn = Turn(
            after=self._sessions.get(self._id).turn,
            messages=[*messages, Message("assistant", [finished.stats.text])],
            tokens=finished.tokens,
            finish_key=finished.finish_key,
            fingerprint=FINGERPRINT.hex(),
            view=finished.view,
        )
        self._sessions.add_turn(self._id, turn)
        return finished

    def refused(self, question: str, **options: Any) -> Failure:
        """What the next turn fails with."""
        given: dict[str, Any] = {"messages": [Message("user", [question])], "history": self.history, **options}
        return refused(self.worker, **given)


def refused(worker: WorkerParts, **options: Any) -> Failure:
    frame = worker.last_frame(worker.ask(**options))
    assert isinstance(frame, Failed), frame
    return frame.failure


def prompt_of(finished: Finished) -> str:
    """The text of the prompt; the fake model's tokens are bytes, and one beyond them."""
    tokens = memoryview(finished.tokens).cast("I")[: finished.stats.prompt_tokens]
    return bytes(min(token, 255) for token in tokens).decode("latin-1")


def read_again(before: Finished, after: Finished) -> int:
    """How many tokens of what an answer ended with had to be computed once more."""
    return len(before.tokens) // 4 - after.stats.cached_tokens


def text(*messages: tuple[str, str]) -> list[Message]:
    return [Message(role, [said]) for role, said in messages]  # type: ignore[arg-type]


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, TAKES_NO_SYSTEM_PROMPT], ids=["any", "no system prompt"])
def test_after_messages_were_dropped_the_turns_go_on_from_what_was_left(start: Start, template: str) -> None:
    talk = Conversation(start(context_size=256, chat_template=template))
    turns = [talk.ask(f"Question {number:02}?", f"Answer {number:02}.", overflow="drop") for number in range(30)]
    drops = [number for number, turn in enumerate(turns) if turn.stats.dropped_messages]
    assert len(drops) > 2
    assert min(later - earlier for earlier, later in itertools.pairwise(drops)) >= 3
    for number, (before, turn) in enumerate(itertools.pairwise(turns), start=1):
        if number in drops:
            assert turn.view is not None
            assert turn.view[-1].text == f"Question {number:02}?"
            assert turn.stats.cache_note == "the oldest messages were left out"
            assert turn.stats.prompt_tokens <= 192, "a quarter is free"
        else:
            assert turn.view is None
            assert turn.tokens.startswith(before.tokens)
            assert read_again(before, turn) == 0
    shown = turns[drops[-1]].view or []
    assert shown[0].text > (turns[drops[0]].view or [])[0].text
    assert [message.text for message in talk.said[:2]] == ["Question 00?", "Answer 00."], "all that was said is kept"
    assert len(talk.said) == 60


def test_a_chat_that_has_just_room_for_a_word_drops_before_the_answer_is_cut_short(start: Start) -> None:
    talk = Conversation(start(context_size=256))
    for number in range(20):
        finished = talk.ask(f"Question {number:02}?", f"Answer {number:02}.", overflow="drop", max_tokens=16)
        assert finished.stats.finish_reason == "stop"


def test_a_chat_that_is_to_be_summarized_is_refused_before_its_answer_would_be_cut_short(start: Start) -> None:
    talk = Conversation(start(context_size=256))
    room_taken = len(talk.ask("One?").tokens) // 4 + len("\n[user]\n[assistant]")
    longest = "x" * (255 - room_taken)
    assert talk.refused(longest[:-15], overflow="summarize").code == "context_exceeded"
    assert talk.refused(longest[:-1], overflow="summarize", max_tokens=3).code == "context_exceeded"
    wishes: list[tuple[str, dict[str, Any]]] = [
        (longest, {"overflow": "stop"}),
        (longest[:-16], {"overflow": "summarize"}),
        (longest[:-3], {"overflow": "summarize", "max_tokens": 3}),
    ]
    for fits, wish in wishes:
        finished = talk.worker.run(messages=text(("user", fits)), history=talk.history, answer="Yes.", **wish)
        assert finished.stats.prompt_tokens == 255 - len(longest) + len(fits)
    alone = talk.worker.run(answer="Yes.", messages=text(("user", "x" * 235)), overflow="summarize")
    assert alone.stats.prompt_tokens > 240, "there is nothing to summarize"


def test_a_system_prompt_outlives_what_is_dropped(start: Start) -> None:
    talk = Conversation(start(context_size=256))
    talk.ask("Question?", system="Be brief.")
    turns = [talk.ask(f"Question {number:02}?", overflow="drop") for number in range(20)]
    assert any(turn.stats.dropped_messages for turn in turns)
    assert prompt_of(turns[-1]).startswith("[system]Be brief.\n[user]Question ")
    assert "Question?" not in prompt_of(turns[-1])


def test_a_question_that_fits_alone_is_all_that_is_left_of_a_chat(start: Start) -> None:
    talk = Conversation(start(context_size=256))
    talk.ask("One?")
    talk.ask("Two?")
    long = talk.ask("x" * 200, overflow="drop")
    assert (long.stats.dropped_messages, long.view) == (4, text(("user", "x" * 200)))
    failure = talk.refused("x" * 300, overflow="drop")
    assert failure.code == "context_exceeded"


def test_a_chat_that_no_longer_fits_is_told_what_can_be_done(start: Start) -> None:
    talk = Conversation(start(context_size=256))
    talk.ask("One?")
    hint = talk.refused("x" * 300).hint or ""
    for choice in ("--ctx", "--overflow drop", "--overflow summarize", "/fork", "/goto"):
        assert choice in hint
    alone = refused(talk.worker, messages=text(("user", "x" * 300))).hint or ""
    assert "--ctx" in alone
    assert "--overflow" not in alone


def test_every_answer_says_how_much_the_model_holds_in_mind(start: Start) -> None:
    worker = start(context_size=256)
    assert worker.run("Why?").stats.context_size == 256
    assert worker.run(tokens=pack_tokens([1, 2]), messages=[]).stats.context_size == 256


def test_another_system_prompt_has_the_chat_read_again_once(start: Start) -> None:
    talk = Conversation(start())
    talk.ask("One?", system="Be brief.")
    changed = talk.ask("Two?", system="Be kind.")
    assert changed.stats.cache_note == "the system prompt changed"
    shown = text(("system", "Be kind."), ("user", "One?"), ("assistant", "Yes."), ("user", "Two?"))
    assert changed.view == shown
    assert prompt_of(changed) == "[system]Be kind.\n[user]One?\n[assistant]Yes.\n[user]Two?\n[assistant]"
    after = talk.ask("Three?")
    assert (after.view, after.stats.cache_note, read_again(changed, after)) == (None, None, 0)
    roles = [message.role for message in talk.said]
    assert roles == ["system", "user", "assistant", "system", "user", "assistant", "user", "assistant"]


def test_a_system_prompt_can_come_late_and_go_again(start: Start) -> None:
    talk = Conversation(start())
    talk.ask("One?")
    late = talk.ask("Two?", system="Be brief.")
    assert prompt_of(late).startswith("[system]Be brief.\n[user]One?")
    gone = talk.ask("Three?", system="")
    assert prompt_of(gone).startswith("[user]One?\n[assistant]Yes.\n[user]Two?")
    assert gone.stats.cache_note == "the system prompt changed"
    still_gone = talk.ask("Four?", system=" ")
    assert (read_again(gone, still_gone), still_gone.stats.cache_note) == (0, None)
    assert read_again(still_gone, talk.ask("Five?")) == 0


def test_the_system_prompt_that_is_there_already_changes_nothing(start: Start) -> None:
    talk = Conversation(start())
    first = talk.ask("One?", system="Be brief.")
    second = talk.ask("Two?", system="Be brief.")
    third = talk.ask("Three?")
    assert (read_again(first, second), read_again(second, third)) == (0, 0)
    assert prompt_of(third).count("[system]") == 1
    history = talk.history
    assert history is not None
    assert [message.role for message in history.messages].count("system") == 1


def test_a_template_without_system_prompts_says_so_and_the_chat_goes_on(start: Start) -> None:
    talk = Conversation(start(chat_template=TAKES_NO_SYSTEM_PROMPT))
    first = talk.ask("One?")
    failure = talk.refused("", messages=text(("system", "Be brief."), ("user", "Two?")))
    assert (failure.code, "roles must alternate" in failure.message) == ("template_failed", True)
    assert read_again(first, talk.ask("Two?", system="")) == 0


def test_a_system_prompt_alone_is_no_question(start: Start) -> None:
    talk = Conversation(start())
    talk.ask("One?")
    assert talk.refused("", messages=text(("system", "Be brief."))).code == "prompt_empty"


@pytest.mark.parametrize("tokens", [b"", b"\1\0\0", b"\1\0\0\0\0\0\0\1"], ids=["none", "half of one", "no such"])
def test_without_its_tokens_a_chat_is_read_again_from_its_text(start: Start, tokens: bytes) -> None:
    talk = Conversation(start())
    talk.ask("One?")
    assert talk.history is not None
    damaged = msgspec.structs.replace(talk.history, tokens=tokens)
    finished = talk.worker.run("Two?", history=damaged)
    assert finished.stats.cache_note == "the saved tokens of the conversation are damaged"
    assert prompt_of(finished) == "[user]One?\n[assistant]Yes.\n[user]Two?\n[assistant]"
    assert finished.view is None


def test_state_of_another_build_is_read_again_once_and_is_said_to_be_there(start: Start) -> None:
    old = start()
    talk = Conversation(old)
    before = talk.ask("One, two, three, four?")
    old.stop()
    talk.worker = start(build="newer")
    upgraded = talk.ask("Two?")
    assert upgraded.stats.cache_note == "the saved state was made with another llama.cpp or other settings"
    assert (upgraded.stats.cached_tokens, upgraded.tokens[: len(before.tokens)]) == (0, before.tokens)
    after = talk.ask("Three?")
    assert (read_again(upgraded, after), after.stats.cache_note) == (0, None)


def test_state_that_is_nowhere_is_said_to_be_gone(start: Start) -> None:
    talk = Conversation(start())
    talk.ask("One?")
    assert talk.history is not None
    lost = msgspec.structs.replace(talk.history, finish_key=b"\0" * 32)
    note = talk.worker.run("Two?", history=lost).stats.cache_note
    assert note == "the saved state of the conversation is gone from the cache"


def thought(answer: str, number: int) -> str:
    return f"<think>\nThis is thought {number}.\n</think>\n\n{answer}"


def test_a_template_that_strips_old_thinking_still_extends_exactly(start: Start) -> None:
    talk = Conversation(start(chat_template=STRIPS_OLD_THINKING))
    turns = [
        talk.ask(f"Question {number}?", thought(f"Answer {number}.", number), max_tokens=60) for number in range(4)
    ]
    for before, after in itertools.pairwise(turns):
        assert (read_again(before, after), after.stats.cache_note) == (0, None)
        assert after.tokens.startswith(before.tokens)
    assert [turn.stats.thinking for turn in turns] == [f"\nThis is thought {number}.\n" for number in range(4)]
    assert {turn.stats.thinking_tokens for turn in turns} == {len(thought("", 0))}
    last = prompt_of(turns[-1])
    assert [f"This is thought {number}." in last for number in range(4)] == [True, True, True, False]
    assert talk.said[1].text.strip() == "Answer 0."


def test_dropping_leaves_out_old_thinking_too(start: Start) -> None:
    talk = Conversation(start(chat_template=STRIPS_OLD_THINKING, context_size=256))
    turns = [
        talk.ask(f"Question {number}?", thought(f"Answer {number}.", number), overflow="drop", max_tokens=60)
        for number in range(8)
    ]
    refitted = [turn for turn in turns if turn.stats.cache_note is not None]
    assert refitted
    for before, after in itertools.pairwise(turns):
        if after in refitted:
            assert "This is thought" not in prompt_of(after)
        else:
            assert read_again(before, after) == 0


def test_a_template_that_rewrites_history_once_is_noted_once(start: Start) -> None:
    talk = Conversation(start(chat_template=GREETS_WHO_ASKS_ONCE))
    turns = [talk.ask(f"Question {number}?") for number in range(4)]
    rewrote = "the chat template rewrote the conversation"
    assert [turn.stats.cache_note for turn in turns] == [None, rewrote, None, None]
    assert [read_again(*pair) for pair in itertools.pairwise(turns[1:])] == [0, 0]
    assert prompt_of(turns[1]) == "[user]Question 0?\n[assistant]Yes.\n[user]Question 1?\n[assistant]"


def test_a_template_that_rewrites_history_at_each_turn_is_noted_each_time(start: Start) -> None:
    talk = Conversation(start(chat_template=DATES_THE_LAST))
    turns = [talk.ask(f"Question {number}?") for number in range(3)]
    for turn in turns[1:]:
        assert turn.stats.cache_note == "the chat template rewrote the conversation"
        assert prompt_of(turn).count("Monday") == 1


def test_a_template_that_numbers_the_turns_extends_exactly(start: Start) -> None:
    talk = Conversation(start(chat_template=NUMBERS_THE_TURNS))
    turns = [talk.ask(f"Question {number}?") for number in range(3)]
    assert [read_again(*pair) for pair in itertools.pairwise(turns)] == [0, 0]
    assert prompt_of(turns[-1]).endswith("[user 5]Question 2?\n[assistant 6]")
