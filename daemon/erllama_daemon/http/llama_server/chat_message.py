"""Messages as `POST /apply-template` takes them: those of OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.messages import Message, RenderRequest, ToolCall


class TemplatePart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message. Only text is taken."""

    type: str
    text: str = ""


class TemplateFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function that was called, with its arguments as JSON."""

    name: str
    arguments: str = "{}"


class TemplateCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool."""

    id: str = ""
    function: TemplateFunction


class TemplateMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TemplatePart] | None = None
    tool_calls: list[TemplateCall] | None = None
    tool_call_id: str | None = None


class TemplateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /apply-template`."""

    messages: list[TemplateMessage]
    tools: list[dict[str, Any]] | None = None
    model: str | None = None

    def render(self, model: str) -> RenderRequest:
        """Asks for the prompt. Raises RequestInvalid."""
        return RenderRequest(model=model, messages=messages_of(self.messages), tools=self.tools or [])


class TemplatePrompt(msgspec.Struct, frozen=True):
    """The text that the model would be asked."""

    prompt: str


def messages_of(messages: Sequence[TemplateMessage]) -> list[Message]:
    """Messages as the engine takes them. Raises RequestInvalid for a part that is no text."""
    return [_message(message, f"messages[{number}]") for number, message in enumerate(messages)]


def _message(message: TemplateMessage, place: str) -> Message:
    parts = [message.content] if isinstance(message.content, str) else []
    if isinstance(message.content, list):
        parts = [_text(part, f"{place}.content[{number}]") for number, part in enumerate(message.content)]
    calls = [ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
    role = "system" if message.role == "developer" else message.role
    return Message(role, parts, calls, message.tool_call_id)


def _text(part: TemplatePart, place: str) -> str:
    if part.type != "text":
        raise RequestInvalid(reason=f"{place} is of the type {part.type[:40]}, but models here read text alone")
    return part.text
