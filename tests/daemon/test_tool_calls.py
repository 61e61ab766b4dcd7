"""Calls of tools through a worker on the fake backend, whose tokens are bytes."""

from __future__ import annotations

import queue
from typing import Any

import msgspec
import pytest
from daemon.tool_templates import CHATML, LLAMA, MISTRAL, QWEN
from daemon.worker_parts import Start, WorkerParts
from fake_backend import END, FakeVocabulary
from fake_engine import FINGERPRINT

from erllama_cache.keys import pack_tokens, unpack_tokens
from erllama_daemon.frames import Called, Failed, Finished, FromWorker, History, Text
from erllama_daemon.messages import Message, NamedTool, ToolCall

PARIS = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
ROME = '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>'
ASKED = [Message("user", ["How is Paris?"])]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": parameters}}


TOOLS = [tool("weather", city={"type": "string"}), tool("clock")]


@pytest.fixture
def worker(start: Start) -> WorkerParts:
    return start(chat_template=QWEN, context_size=8192)


def ask(worker: WorkerParts, answer: str, *, messages: list[Message] = ASKED, **options: Any) -> Finished:
    given = {"messages": messages, "tools": TOOLS, "max_tokens": 400, **options}
    finished = worker.run(answer=answer, **given)
    worker.store.flush()
    return finished


def said(worker: WorkerParts, number: int) -> list[FromWorker]:
    """The frames of an answer up to its last one, which `finished` has taken."""
    frames: list[FromWorker] = []
    waiting: queue.Queue[FromWorker] = worker.frames[number]
    while not frames or not isinstance(frames[-1], Finished):
        frame = waiting.get(timeout=20)
        if isinstance(frame, Text | Called | Finished):
            frames.append(frame)
    return frames


def history(finished: Finished, said_before: list[Message]) -> History:
    answer = Message("assistant", [finished.stats.text], finished.stats.tool_calls)
    return History(
        messages=[*said_before, answer],
        tokens=finished.tokens,
        finish_key=finished.finish_key,
        fingerprint=FINGERPRINT.hex(),
    )


def text_of(finished: Finished) -> str:
    return bytes(token for token in unpack_tokens(finished.tokens) if token < 256).decode()


def test_a_demanded_call_follows_a_grammar_from_the_first_token(worker: WorkerParts) -> None:
    stats = ask(worker, PARIS, tool_choice="required").stats
    (grammar,) = worker.backend.grammars
    assert grammar.startswith(r'root ::= "<tool_call>\n{\"name\": \"" call-0 ')
    assert (stats.text, stats.finish_reason) == ("", "stop")
    assert [(call.name, call.arguments) for call in stats.tool_calls] == [("weather", '{"city": "Paris"}')]


def test_a_call_that_the_model_begins_follows_a_grammar_from_there(worker: WorkerParts) -> None:
    stats = ask(worker, f"Let me see.\n{PARIS}").stats
    (grammar,) = worker.backend.grammars
    assert grammar.startswith(r'root ::= "\n{\"name\": \"" call-0 ')
    assert stats.text == "Let me see."
    assert [call.name for call in stats.tool_calls] == ["weather"]


def test_an_answer_without_a_call_is_free(worker: WorkerParts) -> None:
    stats = ask(worker, "It is <tool sunny.").stats
    assert (worker.backend.grammars, stats.text, stats.tool_calls) == ([], "It is <tool sunny.", [])


def test_no_tool_is_called_or_shown_where_none_is_to_be(worker: WorkerParts) -> None:
    finished = ask(worker, PARIS, tool_choice="none", tools=[])
    assert (finished.stats.text, finished.stats.tool_calls) == (PARIS, [])
    assert "weather" not in text_of(finished).removesuffix(PARIS)


def test_a_named_tool_is_the_only_one_in_the_grammar_and_called_once(worker: WorkerParts) -> None:
    stats = ask(worker, ROME, tool_choice=NamedTool("clock")).stats
    (grammar,) = worker.backend.grammars
    assert "clock" in grammar
    assert "weather" not in grammar
    assert "call-1" not in grammar
    assert [call.name for call in stats.tool_calls] == ["clock"]


@pytest.mark.parametrize(("is_parallel", "last"), [(True, "call-15"), (False, "call-0")])
def test_several_tools_are_called_at_once_only_if_they_may_be(
    worker: WorkerParts, is_parallel: bool, last: str
) -> None:
    ask(worker, PARIS, tool_choice="required", parallel_tool_calls=is_parallel)
    (grammar,) = worker.backend.grammars
    assert grammar.splitlines()[-1].startswith(f"{last} ::= ")


def test_calls_come_as_frames_in_their_place_each_once_it_is_whole(worker: WorkerParts) -> None:
    number = worker.ask(answer=f"So:\n{PARIS}\n{ROME}", messages=ASKED, tools=TOOLS, max_tokens=400)
    *before, finished = said(worker, number)
    assert isinstance(finished, Finished)
    text = "".join(frame.text for frame in before if isinstance(frame, Text))
    calls = [frame.call for frame in before if isinstance(frame, Called)]
    assert (text, calls) == ("So:", finished.stats.tool_calls)
    assert isinstance(before[-1], Called)
    assert len({call.id for call in calls}) == 2


def test_a_mark_that_is_one_control_token_is_a_part_of_the_call(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, written = 1, FakeVocabulary.control_text
    monkeypatch.setattr(FakeVocabulary, "piece", lambda _self, token: b"" if token in (mark, END) else bytes([token]))
    monkeypatch.setattr(
        FakeVocabulary, "control_text", lambda self, token: "<tool_call>" if token == mark else written(self, token)
    )
    worker = start(chat_template=QWEN, context_size=8192)
    stats = ask(worker, PARIS.replace("<tool_call>", chr(mark))).stats
    (grammar,) = worker.backend.grammars
    assert grammar.startswith(r'root ::= "\n{\"name\": \"" call-0 ')
    assert [call.name for call in stats.tool_calls] == ["weather"]


def test_a_call_that_is_cut_off_is_text(worker: WorkerParts) -> None:
    stats = ask(worker, PARIS, tool_choice="required", max_tokens=30).stats
    assert (stats.text, stats.tool_calls, stats.finish_reason) == (PARIS[:30], [], "length")


def test_a_result_extends_the_exact_tokens_of_its_call(worker: WorkerParts) -> None:
    first = ask(worker, PARIS)
    result = Message("tool", ["Sunny."], tool_call_id=first.stats.tool_calls[0].id)
    second = ask(worker, "It is sunny.", messages=[result], history=history(first, ASKED))
    assert second.tokens.startswith(first.tokens)
    assert second.stats.cached_tokens == len(first.tokens) // 4
    assert second.stats.cache_note is None
    by_key = ask(worker, "It is sunny.", messages=[result], parent_key=first.finish_key)
    assert by_key.tokens == second.tokens
    resent = [*history(first, ASKED).messages, result]
    assert text_of(ask(worker, "It is sunny.", messages=resent)) == text_of(second).replace("<end>", "")


def test_other_tools_have_the_conversation_read_again(worker: WorkerParts) -> None:
    first = ask(worker, PARIS)
    result = Message("tool", ["Sunny."], tool_call_id=first.stats.tool_calls[0].id)
    other = ask(worker, "Fine.", messages=[result], history=history(first, ASKED), tools=[*TOOLS, tool("third")])
    assert other.stats.cache_note == "the tools changed"
    assert '"third"' in text_of(other)
    without = ask(worker, "Fine.", messages=[result], history=history(first, ASKED), tools=[])
    assert without.tokens.startswith(first.tokens)


def test_a_result_of_nothing_is_refused(worker: WorkerParts) -> None:
    first = ask(worker, PARIS)
    result = Message("tool", ["Sunny."], tool_call_id="another")
    number = worker.ask(messages=[result], history=history(first, ASKED), tools=TOOLS)
    frame = worker.last_frame(number)
    assert isinstance(frame, Failed)
    assert frame.failure.code == "request_invalid"


def test_a_result_may_be_empty(worker: WorkerParts) -> None:
    first = ask(worker, PARIS)
    result = Message("tool", [""], tool_call_id=first.stats.tool_calls[0].id)
    assert ask(worker, "Nothing.", messages=[result], history=history(first, ASKED)).stats.text == "Nothing."


def test_ids_are_the_same_for_the_same_prompt_and_for_no_other(worker: WorkerParts) -> None:
    first, again = ask(worker, PARIS), ask(worker, PARIS)
    other = ask(worker, PARIS, messages=[Message("user", ["How is Rome?"])])
    assert first.stats.tool_calls == again.stats.tool_calls
    assert first.stats.tool_calls[0].id != other.stats.tool_calls[0].id


def test_an_id_that_is_a_part_of_the_text_is_settled_before_it_is_written(start: Start) -> None:
    worker = start(chat_template=MISTRAL, context_size=8192)
    ask(worker, "[TOOL_CALLS]", tool_choice="required")
    (grammar,) = worker.backend.grammars
    ids = {line.partition(r"\"id\": \"")[2][:9] for line in grammar.splitlines() if line.startswith("call-")}
    assert len(ids) == 16
    assert all(id_.isalnum() for id_ in ids)


def test_a_model_that_calls_one_tool_at_a_time_is_never_let_call_two(start: Start) -> None:
    worker = start(chat_template=LLAMA, context_size=8192)
    stats = ask(worker, '{"name": "weather", "parameters": {"city": "Paris"}}').stats
    (grammar,) = worker.backend.grammars
    assert "call-1" not in grammar
    assert [call.name for call in stats.tool_calls] == ["weather"]


def test_a_thinking_that_the_prompt_began_is_closed_before_a_demanded_call(start: Start) -> None:
    thinks = QWEN.replace("'<|im_start|>assistant\\n' }}", "'<|im_start|>assistant\\n<think>\\n' }}")
    worker = start(chat_template=thinks, context_size=8192)
    stats = ask(worker, f"\n</think>\n\n{PARIS}", tool_choice="required").stats
    (grammar,) = worker.backend.grammars
    assert grammar.startswith(r'root ::= "\n</think>\n\n<tool_call>\n')
    assert [call.name for call in stats.tool_calls] == ["weather"]


def test_a_schema_that_no_grammar_can_follow_fails_before_anything_is_read(worker: WorkerParts) -> None:
    number = worker.ask(messages=ASKED, tools=[tool("bad", a={"$ref": "#/nowhere"})])
    frame = worker.last_frame(number)
    assert isinstance(frame, Failed)
    assert frame.failure.code == "tool_invalid"
    assert worker.backend.decodes == []


def test_the_question_a_tool_was_called_for_is_not_dropped_before_its_result(start: Start) -> None:
    worker = start(chat_template=CHATML, context_size=600)
    call = ToolCall("one", "clock", "{}")
    messages = [
        Message("user", ["old " * 80]),
        Message("assistant", ["old"]),
        Message("user", ["What time is it?"]),
        Message("assistant", [""], [call]),
        Message("tool", ["Noon. " * 50], tool_call_id="one"),
    ]
    finished = ask(worker, "Noon.", messages=messages, tools=[], overflow="drop", max_tokens=200)
    assert finished.stats.dropped_messages == 2
    assert finished.view == messages[2:]


def test_what_is_told_of_tools_is_a_prefix_that_others_reuse(start: Start) -> None:
    worker = start(chat_template=CHATML, context_size=8192)
    first = ask(worker, "Yes.")
    other = ask(worker, "No.", messages=[Message("user", ["Is it?"])])
    assert other.stats.cached_tokens > 500
    assert pack_tokens(unpack_tokens(first.tokens)) == first.tokens


def test_messages_with_calls_travel_as_they_are() -> None:
    message = Message("assistant", [""], [ToolCall("one", "clock", '{"a": 1.0}')])
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message
    assert msgspec.json.encode(Message("user", ["Hi"])) == b'{"role":"user","parts":["Hi"]}'
