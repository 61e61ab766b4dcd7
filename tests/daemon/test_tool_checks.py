from __future__ import annotations

from typing import Any

import pytest

from erllama_daemon.errors import PromptEmpty, RequestInvalid, ToolInvalid, ToolsInvalid
from erllama_daemon.messages import CompleteRequest, Message, NamedTool, RenderRequest, Sampling, ToolCall
from erllama_daemon.messages.checks import check_complete, check_render

CALL = ToolCall("one", "weather", '{"city": "Paris"}')
ASKED = Message("user", ["Hi"])
CALLED = Message("assistant", [""], [CALL])
RESULT = Message("tool", [""], tool_call_id="one")


def tool(name: Any = "weather", parameters: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def check(*messages: Message, **options: Any) -> None:
    check_complete(CompleteRequest(model="a", messages=list(messages or [ASKED]), **options))


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [tool()]},
        {"tools": [tool(parameters={"type": "object"}, description="d", strict=True)], "tool_choice": "required"},
        {"tools": [tool("a-b_C9" * 10), tool("b", {})], "tool_choice": NamedTool("b")},
        {"tools": [tool(f"t{number}") for number in range(128)]},
        {"tools": [tool()], "tool_choice": "none", "sampling": Sampling(json_schema="{}")},
        {"tools": [tool()], "tool_choice": "required", "sampling": Sampling(json_schema="{}")},
        {"tool_choice": "none"},
    ],
)
def test_tools_that_make_sense_are_taken(options: dict[str, Any]) -> None:
    check(**options)


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ([{"name": "weather"}], "tool 1 is not valid: it is not"),
        ([tool(), {"type": "code"}], "tool 2 "),
        ([{"type": "function", "function": "weather"}], "tool 1 "),
        ([tool("")], "1 to 64 letters"),
        ([tool("two words")], "1 to 64 letters"),
        ([tool("é")], "1 to 64 letters"),
        ([tool("a" * 65)], "1 to 64 letters"),
        ([tool(7)], "1 to 64 letters"),
        ([tool(), tool()], "another one has the same name"),
        ([tool(description=7)], "no text"),
        ([tool(parameters=[])], "schema of an object"),
        ([tool(parameters={"type": "string"})], "schema of an object"),
        ([tool(parameters={"type": ["object", "null"]})], "schema of an object"),
        ([tool(parameters={"description": "a" * 65_536})], "more than 65536 bytes"),
    ],
)
def test_a_tool_that_makes_no_sense_is_named(tools: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ToolInvalid, match=reason):
        check(tools=tools)


@pytest.mark.parametrize(
    "tools",
    [
        [tool(f"t{number}") for number in range(129)],
        [tool(f"t{number}", {"description": "a" * 60_000}) for number in range(5)],
        [tool(description="a" * 300_000)],
    ],
    ids=["many", "large", "told"],
)
def test_more_tools_than_can_be_followed_are_refused(tools: list[dict[str, Any]]) -> None:
    with pytest.raises(ToolsInvalid):
        check(tools=tools)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tools": [tool()], "tool_choice": NamedTool("clock")}, "names 'clock'"),
        ({"tool_choice": "required"}, "there are no tools"),
        ({"tools": [tool()], "sampling": Sampling(grammar='root ::= "a"')}, "may be a call of a tool"),
        ({"tools": [tool()], "sampling": Sampling(json_schema="{}")}, "may be a call of a tool"),
    ],
)
def test_a_choice_of_tools_that_makes_no_sense_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestInvalid, match=reason):
        check(**options)


def test_tokens_are_no_place_for_tools() -> None:
    with pytest.raises(RequestInvalid, match="not with tokens"):
        check_complete(CompleteRequest(model="a", tokens=[1], tools=[tool()]))


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([ASKED, CALLED, RESULT], {}),
        ([ASKED, CALLED, RESULT, Message("assistant", ["Fine."]), ASKED], {}),
        ([ASKED, Message("assistant", [""], [ToolCall("one", "f", "")]), RESULT], {}),
        ([RESULT], {"parent_key": "0" * 64}),
        ([Message("system", ["Be brief."]), RESULT, ASKED], {"session": "s", "model": None}),
    ],
)
def test_results_of_calls_are_taken(messages: list[Message], options: dict[str, Any]) -> None:
    check_complete(CompleteRequest(**{"model": "a", "messages": messages, **options}))


@pytest.mark.parametrize(
    ("messages", "options", "reason"),
    [
        ([RESULT], {}, "message 1 is the result of 'one'"),
        ([ASKED, RESULT, CALLED, ASKED], {}, "message 2 is the result of 'one'"),
        ([ASKED, CALLED, Message("tool", ["x"], tool_call_id="two")], {}, "message 3 is the result of 'two'"),
        ([CALLED, Message("tool", ["x"], tool_call_id="two")], {"parent_key": "0" * 64}, "message 2 is the result"),
        ([ASKED, CALLED, Message("tool", ["x"])], {}, "a tool's message has a tool_call_id"),
        ([Message("user", ["x"], tool_call_id="one")], {}, "a tool's message has a tool_call_id"),
        ([Message("user", ["x"], [CALL])], {}, "message 1 has tool_calls"),
        ([Message("assistant", [""], [CALL, CALL]), RESULT], {}, "the same id"),
        ([Message("assistant", [""], [ToolCall("", "f", "{}")]), ASKED], {}, "has no id"),
        ([Message("assistant", [""], [ToolCall("a" * 201, "f", "{}")]), ASKED], {}, "has no id"),
        ([Message("assistant", [""], [ToolCall("one", "a b", "{}")]), ASKED], {}, "names no tool: 'a b'"),
        ([Message("assistant", [""], [ToolCall("one", "f", "[]")]), ASKED], {}, "no JSON object"),
        ([Message("assistant", [""], [ToolCall("one", "f", "{")]), ASKED], {}, "no JSON object"),
        ([Message("assistant", [""], [ToolCall("one", "f", '{"a":' * 90_000)]), ASKED], {}, "no JSON object"),
        ([Message("assistant", [""], [ToolCall(f"c{n}", "f", "{}") for n in range(129)]), ASKED], {}, "more than 128"),
    ],
)
def test_a_result_of_nothing_and_a_call_of_nothing_are_named(
    messages: list[Message], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RequestInvalid, match=reason):
        check(*messages, **options)


def test_only_a_result_may_be_empty() -> None:
    check(ASKED, CALLED, RESULT)
    with pytest.raises(PromptEmpty):
        check(Message("user", [" "]))


def test_what_is_only_rendered_has_to_be_what_a_template_can_write() -> None:
    check_render(RenderRequest(model="a", messages=[ASKED, CALLED]))
    with pytest.raises(RequestInvalid):
        check_render(RenderRequest(model="a", messages=[RESULT]))
