"""What a response is asked with, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from erllama_daemon.errors import FieldRefused
from erllama_daemon.http.openai.chat_message import ROLES, Content, parts_of
from erllama_daemon.messages import Message, ToolCall


class InputItem(msgspec.Struct, frozen=True, kw_only=True):
    """A `message`, a `function_call` that the model made or the `function_call_output` that came of it.

    `reasoning`, which is never shown again, is passed over; other types are refused.
    """

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Content = None


def input_messages(given: str | list[InputItem]) -> list[Message]:
    """The messages that some items make up. Raises FieldRefused."""
    if isinstance(given, str):
        return [Message("user", [given])]
    messages: list[Message] = []
    for number, item in enumerate(given):
        _add(messages, item, f"input[{number}]")
    return messages


def instructed(instructions: str | None, messages: Sequence[Message]) -> list[Message]:
    """The messages under a system prompt, if there is one; it is one with that which they begin with."""
    if not instructions:
        return [*messages]
    if messages and messages[0].role == "system":
        return [Message("system", [f"{instructions}\n\n", *messages[0].parts]), *messages[1:]]
    return [Message("system", [instructions]), *messages]


def _add(messages: list[Message], item: InputItem, field: str) -> None:
    if item.type == "message" and item.role is not None:
        messages.append(Message(ROLES[item.role], parts_of(item.content, f"{field}.content")))
    elif item.type == "function_call" and item.call_id and item.name:
        _add_call(messages, ToolCall(item.call_id, item.name, item.arguments or ""))
    elif item.type == "function_call_output" and item.call_id:
        messages.append(Message("tool", parts_of(item.output, f"{field}.output"), tool_call_id=item.call_id))
    elif item.type in ("message", "function_call", "function_call_output"):
        raise FieldRefused(field=field, reason=f"a {item.type} without its role, call_id or name says nothing")
    elif item.type != "reasoning":
        raise FieldRefused(field=f"{field}.type", reason=f"nothing here knows what {item.type[:40]} is")


def _add_call(messages: list[Message], call: ToolCall) -> None:
    """Calls belong to the assistant's message before them."""
    if not messages or messages[-1].role != "assistant":
        messages.append(Message("assistant", []))
    last = messages.pop()
    messages.append(msgspec.structs.replace(last, tool_calls=[*last.tool_calls, call]))
