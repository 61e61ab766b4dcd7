"""Messages as OpenAI's clients write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from erllama_daemon.errors import FieldRefused
from erllama_daemon.messages import Message, ToolCall

ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_TEXTS = ("text", "input_text", "output_text")


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message: some text (`text`; in the Responses API `input_text` and `output_text`), or a `refusal`.

    The end of each is a beginning that is cached by itself. Other types, as images and sound, are refused.
    """

    type: str
    text: str = ""
    refusal: str = ""


Content = str | list[ContentPart] | None


class CalledFunction(msgspec.Struct, frozen=True):
    """A function by its name, with its arguments: a JSON object as text."""

    name: str
    arguments: str = ""


class CalledTool(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool, in a message and in an answer."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction

    @classmethod
    def of(cls, call: ToolCall) -> CalledTool:
        """A call as these clients are told of it."""
        return cls(id=call.id, function=CalledFunction(call.name, call.arguments))


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `reasoning_content` is the thinking before an assistant's message, which no model is shown again."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    name: str | None = None


def messages_of(messages: Sequence[ChatMessage]) -> list[Message]:
    """Messages as the engine takes them. Raises FieldRefused."""
    return [_message(message, f"messages[{number}]") for number, message in enumerate(messages)]


def parts_of(content: Content, field: str) -> list[str]:
    """The texts of a content. Raises FieldRefused for a part that is none; `field` is where it stands."""
    if content is None:
        return []
    if isinstance(content, str):
        return [content]
    return [_text(part, f"{field}[{number}]") for number, part in enumerate(content)]


def _message(message: ChatMessage, field: str) -> Message:
    role = ROLES.get(message.role)
    if role is None:
        raise FieldRefused(field=f"{field}.role", reason=f"{message.role} is superseded by the role tool")
    calls = [ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
    return Message(role, parts_of(message.content, f"{field}.content"), calls, message.tool_call_id)


def _text(part: ContentPart, field: str) -> str:
    if part.type in _TEXTS:
        return part.text
    if part.type == "refusal":
        return part.refusal
    raise FieldRefused(field=f"{field}.type", reason=f"models here read text, not {part.type[:40]}")
