"""What tools, calls and results must be before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from erllama_daemon.errors import RequestInvalid, ToolInvalid, ToolsInvalid
from erllama_daemon.messages.answer import CompleteRequest, NamedTool
from erllama_daemon.messages.conversation import Message, ToolCall
from erllama_daemon.messages.limits import GRAMMAR_BYTES_LIMIT, JSON_SCHEMA_BYTES_LIMIT

TOOLS_LIMIT = 128
"""How many tools a request may have, and how many calls a message."""

ID_LIMIT = 200
"""The longest id of a call, in characters."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_tools(request: CompleteRequest) -> None:
    """Raises ToolInvalid, ToolsInvalid, and RequestInvalid for a choice of tools that makes no sense."""
    names = [_checked_name(tool, number) for number, tool in enumerate(request.tools, start=1)]
    if len(names) > TOOLS_LIMIT:
        raise ToolsInvalid(reason=f"there are more than {TOOLS_LIMIT}")
    if len(msgspec.json.encode(request.tools)) > GRAMMAR_BYTES_LIMIT:
        raise ToolsInvalid(reason=f"together they have more than {GRAMMAR_BYTES_LIMIT} bytes")
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ToolInvalid(name=name, reason="another one has the same name")
    choice, sampling = request.tool_choice, request.sampling
    if isinstance(choice, NamedTool) and choice.name not in names:
        raise RequestInvalid(reason=f"tool_choice names {choice.name[:100]!r}, which is none of the tools")
    if choice == "required" and not names:
        raise RequestInvalid(reason="tool_choice requires a call, and there are no tools")
    if names and request.tokens is not None:
        raise RequestInvalid(reason="tools go with messages, not with tokens")
    has_form = sampling.grammar is not None or sampling.json_schema is not None
    if names and choice == "auto" and has_form:
        raise RequestInvalid(reason="an answer that may be a call of a tool cannot have a grammar or a JSON schema too")


def check_tool_messages(messages: Sequence[Message], *, follows: bool) -> None:
    """Raises RequestInvalid unless each result is that of a call before it, and each call has arguments.

    If the messages follow others that are not known here, results that stand before any answer may be of theirs.
    """
    called: set[str] = set()
    for number, message in enumerate(messages, start=1):
        if message.tool_calls and message.role != "assistant":
            raise RequestInvalid(reason=f"message {number} has tool_calls, which only an assistant has")
        if (message.role == "tool") != (message.tool_call_id is not None):
            raise RequestInvalid(reason=f"message {number}: a tool's message has a tool_call_id, and no other has one")
        if message.tool_calls:
            _check_calls(message.tool_calls, number)
        if message.tool_call_id is not None and message.tool_call_id not in called and not follows:
            called_id = message.tool_call_id[:100]
            raise RequestInvalid(
                reason=f"message {number} is the result of {called_id!r}, a call that is in no message before it"
            )
        called |= {call.id for call in message.tool_calls}
        follows = follows and message.role != "assistant"


def _check_calls(calls: Sequence[ToolCall], number: int) -> None:
    if len(calls) > TOOLS_LIMIT:
        raise RequestInvalid(reason=f"message {number} has more than {TOOLS_LIMIT} calls")
    if len({call.id for call in calls}) < len(calls):
        raise RequestInvalid(reason=f"two calls of message {number} have the same id")
    for call in calls:
        if not 0 < len(call.id) <= ID_LIMIT:
            raise RequestInvalid(reason=f"a call of message {number} has no id of up to {ID_LIMIT} characters")
        if not _NAME.fullmatch(call.name):
            raise RequestInvalid(reason=f"a call of message {number} names no tool: {call.name[:100]!r}")
        if not _is_object(call.arguments):
            raise RequestInvalid(reason=f"the arguments of call {call.id[:100]!r} are no JSON object")


def _is_object(text: str) -> bool:
    """Whether a text is a JSON object, or nothing at all, which stands for an empty one."""
    try:
        return not text.strip() or isinstance(msgspec.json.decode(text), dict)
    except (msgspec.MsgspecError, RecursionError):
        return False


def _checked_name(tool: dict[str, Any], number: int) -> str:
    """The name of a tool, which is valid."""
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        raise ToolInvalid(name=number, reason='it is not {"type": "function", "function": {…}}')
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ToolInvalid(name=number, reason="its name is not 1 to 64 letters, digits, _ and -")
    if not isinstance(function.get("description", ""), str | None):
        raise ToolInvalid(name=name, reason="its description is no text")
    _check_parameters(name, function.get("parameters"))
    return name


def _check_parameters(name: str, parameters: object) -> None:
    if parameters is None:
        return
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise ToolInvalid(name=name, reason="its parameters are not the JSON schema of an object")
    if len(msgspec.json.encode(parameters)) > JSON_SCHEMA_BYTES_LIMIT:
        raise ToolInvalid(name=name, reason=f"its parameters have more than {JSON_SCHEMA_BYTES_LIMIT} bytes")


def tool_parameters(tools: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The JSON schemas of valid tools by name. One without parameters takes none."""
    nothing: dict[str, Any] = {"type": "object", "properties": {}}
    functions = [tool["function"] for tool in tools]
    return {
        function["name"]: nothing if function.get("parameters") is None else function["parameters"]
        for function in functions
    }
