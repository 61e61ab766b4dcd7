from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erllama_daemon.engine.answer_text import AnswerText, Said
from erllama_daemon.messages import ToolCall
from erllama_daemon.thinking import ThinkingMarkers
from erllama_daemon.tooling.call_format import CALL_FORMATS, HERMES, LLAMA, MISTRAL_LISTS, MISTRAL_NAMES, CallFormat
from erllama_daemon.tooling.call_split import CallSplit

NAMES = ("f", "get_weather")
IDS = ("id1", "id2", "id3")

PIECES = {
    HERMES.name: [
        "<tool_call>",
        "</tool_call>",
        '{"name": "f", "arguments": {"a": "}<tool_call>"}}',
        "<tool_",
        '{"x"}',
    ],
    LLAMA.name: ["<|python_tag|>", '{"name": "f", "parameters": {}}', '{"name":', '{"', "<|python"],
    MISTRAL_NAMES.name: ["[TOOL_CALLS]", "f[ARGS]{}", 'get_weather[ARGS]{"a": ["]"]}', "[ARGS]", "[TOOL", "g"],
    "mistral": ["[TOOL_CALLS]", " [", '{"name": "f", "arguments": {}, "id": "abcdefghi"}', ", ", "]", "[TOOL_"],
}
COMMON = ["\n", " ", "text", "{", "}", '"', "\\", "é"]
cuts = st.lists(st.integers(0, 300), max_size=30)


def texts(format_: CallFormat) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(PIECES[format_.name] * 3 + COMMON), max_size=12).map("".join)


def said(parts: list[str], format_: CallFormat) -> tuple[list[str | ToolCall], list[ToolCall]]:
    """What is told apart, text that comes in several pieces as one."""
    split = CallSplit(format_, NAMES, IDS)
    pieces = [piece for part in parts for piece in split.add(part)] + split.flush()
    joined: list[str | ToolCall] = []
    for is_text, group in itertools.groupby(pieces, lambda piece: isinstance(piece, str)):
        found = list(group)
        joined += ["".join(map(str, found))] if is_text else found
    return joined, split.calls


@pytest.mark.parametrize("format_", CALL_FORMATS, ids=lambda each: f"{each.name} {each.opening}")
@given(data=st.data(), positions=cuts)
def test_calls_do_not_depend_on_how_the_text_is_cut(
    format_: CallFormat, data: st.DataObject, positions: list[int]
) -> None:
    text = data.draw(texts(format_))
    edges = [0, *sorted(min(position, len(text)) for position in positions), len(text)]
    parts = [text[start:end] for start, end in itertools.pairwise(edges)]
    whole, calls = said([text], format_)
    assert said(parts, format_) == (whole, calls) == said(list(text), format_)
    assert calls == [piece for piece in whole if isinstance(piece, ToolCall)]


def both(text: str, format_: CallFormat) -> list[str | tuple[str, str, str]]:
    pieces, _calls = said(list(text), format_)
    return [piece if isinstance(piece, str) else (piece.id, piece.name, piece.arguments) for piece in pieces]


@pytest.mark.parametrize(
    ("format_", "text", "expected"),
    [
        (HERMES, '<tool_call>\n{"name": "f", "arguments": {"a": 1.50}}\n</tool_call>', [("id1", "f", '{"a": 1.50}')]),
        (
            HERMES,
            'Let me see.\n\n<tool_call>{"arguments":{"b":[ ]},"name":"f"}</tool_call>\n<tool_call>\n'
            '{"name": "get_weather", "arguments": {}}\n</tool_call>\n',
            ["Let me see.\n", ("id1", "f", '{"b":[ ]}'), ("id2", "get_weather", "{}")],
        ),
        (HERMES, '<tool_call>\n{"name": "f", "arguments": {}}', [("id1", "f", "{}")]),
        (HERMES, '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_', [("id1", "f", "{}")]),
        (HERMES, '<tool_call>\n{"name": "f", "argum', ['<tool_call>\n{"name": "f", "argum']),
        (HERMES, '<tool_call>\n{"name": "g", "arguments": {}} x', ['<tool_call>\n{"name": "g", "arguments": {}} x']),
        (HERMES, '<tool_call>\n{"name": "f", "arguments": []}', ['<tool_call>\n{"name": "f", "arguments": []}']),
        (HERMES, "<tool_call>\n{no: json} x", ["<tool_call>\n{no: json} x"]),
        (HERMES, "a <tool_call> b", ["a <tool_call> b"]),
        (
            HERMES,
            '<tool_call><tool_call>\n{"name": "f", "arguments": {}}\n</tool_call> so',
            ["<tool_call>", ("id1", "f", "{}"), "so"],
        ),
        (LLAMA, '\n{"name": "f", "parameters": {"a": "}"}}', [("id1", "f", '{"a": "}"}')]),
        (LLAMA, 'Well.<|python_tag|>{"name": "f", "parameters": {}}', ["Well.", ("id1", "f", "{}")]),
        (LLAMA, 'Say {"name": "f", "parameters": {}}', ['Say {"name": "f", "parameters": {}}']),
        (LLAMA, '{"name": "Ada"}', ['{"name": "Ada"}']),
        (
            MISTRAL_LISTS[0],
            '[TOOL_CALLS] [{"name": "f", "arguments": {}, "id": "abcdefghi"}, {"name": "f", "arguments": {"a": 1}}]',
            [("abcdefghi", "f", "{}"), ("id2", "f", '{"a": 1}')],
        ),
        (
            MISTRAL_LISTS[1],
            '[TOOL_CALLS][{"name": "f", "arguments": {}, "id": "abcdefghi"}, {"name"',
            [("abcdefghi", "f", "{}"), ', {"name"'],
        ),
        (
            MISTRAL_NAMES,
            'Now:[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]get_weather[ARGS]{}',
            ["Now:", ("id1", "f", '{"a": 1}'), ("id2", "get_weather", "{}")],
        ),
        (MISTRAL_NAMES, "[TOOL_CALLS]" + "g" * 200, ["[TOOL_CALLS]" + "g" * 200]),
    ],
)
def test_calls_are_told_from_text_and_nothing_is_lost(
    format_: CallFormat, text: str, expected: list[str | tuple[str, str, str]]
) -> None:
    assert both(text, format_) == expected


def test_a_call_is_there_as_soon_as_its_arguments_are_whole() -> None:
    split = CallSplit(HERMES, NAMES, IDS)
    assert split.add('Hm\n<tool_call>\n{"name": "f", "arguments": {"a": "}"}') == ["Hm"]
    assert split.begun == '<tool_call>\n{"name": "f", "arguments": {"a": "}"}'
    assert split.add("}") == [ToolCall("id1", "f", '{"a": "}"}')]
    assert split.begun is None


def test_no_more_is_held_back_than_could_become_a_call() -> None:
    split = CallSplit(HERMES, NAMES, IDS)
    assert split.add("one\n<tool") == ["one"]
    assert split.add("box\n") == ["\n<toolbox"]
    assert split.add("two") == ["\ntwo"]


def test_what_begins_like_calls_without_end_costs_no_more_than_its_length() -> None:
    # With a cost of their length squared, these would take longer than the suite lets a test take.
    for text in ("<tool_call>{" * 8_000, "<tool_call>" * 8_000, "<tool_call>{" * 5_000 + "}" * 5_000 + "x"):
        split = CallSplit(HERMES, NAMES, IDS)
        shown = [piece for place in range(0, len(text), 7) for piece in split.add(text[place : place + 7])]
        assert "".join(map(str, [*shown, *split.flush()])) == text


def spoken(
    pieces: list[str], stops: list[str], markers: ThinkingMarkers | None = None
) -> tuple[list[Said], AnswerText]:
    answer = AnswerText(stops, markers, CallSplit(HERMES, NAMES, IDS))
    shown = [each for piece in pieces for each in answer.add(piece.encode())]
    return [*shown, *answer.add(b"", last=True)], answer


def test_stop_sequences_end_the_text_and_no_call() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    shown, answer = spoken([*f"a:\n{call}"], ["\n", "arguments"])
    assert (answer.text, answer.calls, answer.stop_sequence) == ("a:", [ToolCall("id1", "f", "{}")], None)
    assert shown[-1] == ToolCall("id1", "f", "{}")
    shown, answer = spoken([f"a STOP {call}"], ["STOP"])
    assert (shown, answer.calls, answer.stop_sequence) == ([("a ", False)], [], "STOP")


def test_what_a_model_only_thinks_of_calling_is_thinking() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    _shown, answer = spoken([*f"<think>{call}</think>\n\n{call}"], [], ThinkingMarkers("<think>", "</think>"))
    assert (answer.text, answer.thinking, answer.calls) == ("", call, [ToolCall("id1", "f", "{}")])
