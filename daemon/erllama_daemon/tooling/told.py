"""Tools, calls and results as plain messages, for models whose chat templates know nothing of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from erllama_daemon.messages import Message
from erllama_daemon.tooling.call_format import HERMES

_TOOLS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
_RESULT_BEGINS, _RESULT_ENDS = "<tool_response>\n", "\n</tool_response>"


def told(messages: Sequence[Message], tools: Sequence[dict[str, Any]], *, has_system: bool) -> list[Message]:
    """The messages with everything about tools written out, as Hermes models are told it.

    The tools stand at the end of the system prompt or, where the template has none, before the first question.
    """
    plain: list[Message] = []
    for message in messages:
        if message.role == "tool":
            result = _framed(message.parts)
            if plain and plain[-1].role == "user" and plain[-1].parts[-1].endswith(_RESULT_ENDS):
                plain[-1] = Message("user", [*plain[-1].parts, "\n" + result[0], *result[1:]])
            else:
                plain.append(Message("user", result))
        elif message.tool_calls:
            text = list(message.parts) if message.text else []
            separator = HERMES.separator if text else ""
            plain.append(Message(message.role, [*text, separator + HERMES.write(message.tool_calls)]))
        else:
            plain.append(message)
    return _with_tools(plain, tools, has_system=has_system) if tools else plain


def _with_tools(messages: list[Message], tools: Sequence[dict[str, Any]], *, has_system: bool) -> list[Message]:
    described = _TOOLS.format(tools="\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools))
    if has_system:
        if messages and messages[0].role == "system":
            return [Message("system", [*messages[0].parts, "\n\n" + described]), *messages[1:]]
        return [Message("system", [described]), *messages]
    place = next((i for i, message in enumerate(messages) if message.role == "user"), None)
    if place is None:
        return messages
    asked = Message("user", [described + "\n\n", *messages[place].parts])
    return [*messages[:place], asked, *messages[place + 1 :]]


def _framed(parts: Sequence[str]) -> list[str]:
    if not parts:
        return [_RESULT_BEGINS + _RESULT_ENDS]
    framed = [_RESULT_BEGINS + parts[0], *parts[1:]]
    return [*framed[:-1], framed[-1] + _RESULT_ENDS]
