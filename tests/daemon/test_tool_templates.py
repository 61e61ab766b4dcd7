from __future__ import annotations

from typing import Any

import msgspec
import pytest
from daemon.tool_templates import CHATML, ELSEWHERE, GEMMA, LLAMA, MISTRAL, MISTRAL_SMALL, QWEN, QWEN3

from erllama_daemon.messages import Message, ToolCall
from erllama_daemon.template.chat import ChatTemplate
from erllama_daemon.tooling.call_format import HERMES, MISTRAL_LISTS, MISTRAL_NAMES
from erllama_daemon.tooling.call_format import LLAMA as LLAMA_CALLS
from erllama_daemon.tooling.call_ids import call_ids

NEMO = MISTRAL.replace("[TOOL_CALLS] [", "[TOOL_CALLS][")
ENDS = {QWEN: "<|im_end|>", QWEN3: "<|im_end|>", LLAMA: "<|eot_id|>", CHATML: "<|im_end|>", GEMMA: "<end_of_turn>"}
KNOWN = {
    QWEN: HERMES,
    QWEN3: HERMES,
    LLAMA: LLAMA_CALLS,
    MISTRAL: MISTRAL_LISTS[0],
    NEMO: MISTRAL_LISTS[1],
    MISTRAL_SMALL: MISTRAL_NAMES,
}
UNKNOWN = (CHATML, GEMMA, ELSEWHERE)
EVERY = [*KNOWN, *UNKNOWN]
NAMES = ["qwen", "qwen3", "llama", "mistral", "nemo", "mistral-small", "chatml", "gemma", "elsewhere"]

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ASKED = Message("user", ["How is Köln?"])
ARGUMENTS = '{"city": "Köln <3", "days": 1.50}'


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos_text="<s>", eos_text="</s>")


def called(source: str, calls: int = 1) -> tuple[Message, list[Message]]:
    """What an assistant calls, and what comes of it."""
    ids = call_ids(template(source).habits.calls, [1, 2, 3])[:calls]
    made = [ToolCall(id_, "weather", ARGUMENTS) for id_ in ids]
    return Message("assistant", [""], made), [Message("tool", ["21"], tool_call_id=id_) for id_ in ids]


@pytest.mark.parametrize("source", EVERY, ids=NAMES)
def test_the_form_of_the_calls_is_that_which_the_template_writes(source: str) -> None:
    habits = template(source).habits
    assert (habits.calls, habits.is_told) == (KNOWN.get(source, HERMES), source in UNKNOWN)
    assert habits.most_calls == (1 if source == LLAMA else 16)
    assert habits.has_system == (source != GEMMA)


@pytest.mark.parametrize("source", EVERY, ids=NAMES)
@pytest.mark.parametrize("count", [1, 2])
def test_a_conversation_that_is_sent_back_has_the_text_that_was_read_and_written(source: str, count: int) -> None:
    parsed = template(source)
    count = min(count, parsed.habits.most_calls)
    answer, results = called(source, count)
    first = parsed.render([ASKED], tools=[TOOL]).text
    assert '"weather"' in first
    written = parsed.habits.calls.write(answer.tool_calls)
    again = parsed.render([ASKED, answer, *results], tools=[TOOL])
    assert again.text.startswith(first + written)
    assert all("21" in again.text.removeprefix(first + written) for _result in results)
    assert "".join(again.segments()) == again.text


@pytest.mark.parametrize("source", EVERY, ids=NAMES)
def test_a_result_extends_the_call_as_it_does_when_everything_is_sent_back(source: str) -> None:
    parsed = template(source)
    answer, results = called(source)
    extension = parsed.extend([ASKED, answer], results, tools=[TOOL])
    assert extension is not None
    written = parsed.render([ASKED], tools=[TOOL]).text + parsed.habits.calls.write(answer.tool_calls)
    assert written + extension.text == parsed.render([ASKED, answer, *results], tools=[TOOL]).text
    assert parsed.follow(results, tools=[TOOL]) == extension


@pytest.mark.parametrize("source", EVERY, ids=NAMES)
def test_the_next_question_extends_an_answer_that_tools_were_called_for(source: str) -> None:
    parsed = template(source)
    answer, results = called(source)
    said = [ASKED, answer, *results, Message("assistant", ["Fine."])]
    extension = parsed.extend(said, [Message("user", ["And now?"])], tools=[TOOL])
    if source in (MISTRAL, NEMO):  # the tools move to the last question
        assert extension is None
        return
    assert extension is not None
    assert extension.text.startswith(ENDS.get(source, ""))
    whole = parsed.render([*said, Message("user", ["And now?"])], tools=[TOOL]).text
    assert whole.endswith("Fine." + extension.text)


def test_a_template_that_has_to_see_what_a_result_is_of_sees_a_call() -> None:
    strict = QWEN.replace(
        '{%- elif message.role == "tool" %}',
        '{%- elif message.role == "tool" %}{%- if not messages[loop.index0 - 1].tool_calls %}'
        "{{- raise_exception('no call') }}{%- endif %}",
    )
    answer, results = called(QWEN)
    extension = template(strict).extend([ASKED, answer], results, tools=[TOOL])
    assert extension == template(QWEN).extend([ASKED, answer], results, tools=[TOOL])


def test_an_empty_thinking_that_a_template_adds_does_not_part_a_result_from_its_call() -> None:
    answer, results = called(QWEN)
    thinks = template(QWEN3.replace("ALWAYS", "true"))
    assert thinks.habits.calls is HERMES
    assert thinks.extend([ASKED, answer], results, tools=[TOOL]) == template(QWEN3).follow(results, tools=[TOOL])


def test_arguments_are_written_as_they_were_whatever_their_white_space() -> None:
    parsed = template(QWEN)
    answer, results = called(QWEN)
    spaced = '\n{"city":"K\\u00f6ln <3",\t"days" : 1.50}'
    respaced = msgspec.structs.replace(answer, tool_calls=[ToolCall(answer.tool_calls[0].id, "weather", spaced)])
    assert parsed.render([ASKED, respaced, *results]) == parsed.render([ASKED, answer, *results])
    nothing = msgspec.structs.replace(answer, tool_calls=[ToolCall(answer.tool_calls[0].id, "weather", "")])
    assert '"arguments": {}}' in parsed.render([ASKED, nothing, *results]).text


@pytest.mark.parametrize("source", [MISTRAL, NEMO], ids=["mistral", "nemo"])
def test_ids_from_elsewhere_are_replaced_by_such_as_the_template_takes(source: str) -> None:
    call = ToolCall("call_abcdefghijklmnop", "weather", "{}")
    said = [ASKED, Message("assistant", [""], [call]), Message("tool", ["21"], tool_call_id=call.id)]
    text = template(source).render(said, tools=[TOOL]).text
    assert call.id not in text
    assert text.count(text.partition('"id": "')[2][:9]) == 2


def test_what_a_template_without_tools_is_told_stands_in_its_system_prompt() -> None:
    system = Message("system", ["Be brief."])
    text = template(CHATML).render([system, ASKED], tools=[TOOL]).text
    assert text.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n\n")
    assert text.endswith("</tool_call><|im_end|>\n<|im_start|>user\nHow is Köln?<|im_end|>\n<|im_start|>assistant\n")
    without = template(GEMMA).render([ASKED], tools=[TOOL]).text
    assert without.startswith("<start_of_turn>user\n# Tools\n\n")
    assert without.endswith("</tool_call>\n\nHow is Köln?<end_of_turn>\n<start_of_turn>model\n")


def test_results_and_tools_are_prefixes_that_others_can_reuse() -> None:
    answer, results = called(CHATML, 2)
    segments = (
        template(CHATML).render([Message("system", ["Be brief."]), ASKED, answer, *results], tools=[TOOL]).segments()
    )
    assert segments[0] == "<|im_start|>system\nBe brief."
    assert any(segment.endswith("21\n</tool_response>") for segment in segments)


def test_without_tools_a_template_is_not_tried() -> None:
    counts = "{% for message in messages %}{{ message.content }}{% endfor %}"
    parsed = template(counts)
    parsed.render([ASKED])
    assert parsed._habits is None
