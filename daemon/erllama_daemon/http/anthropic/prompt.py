"""What a model is shown of a request: its system prompt and its messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.http.anthropic.content_block import (
    InputBlock,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolResultPart,
    ToolUseBlock,
)
from erllama_daemon.messages import Message, ToolCall

SEPARATOR = "\n"
"""What stands between the texts of two blocks, at the beginning of the second: what ends with the first stays the same
whatever follows."""

_ERROR = "Error: "


class InputMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message. Several of one role in a row are one."""

    role: Literal["user", "assistant", "system"]
    content: str | list[InputBlock]


def messages_of(system: str | Sequence[TextBlock] | None, messages: Sequence[InputMessage]) -> list[Message]:
    """Messages as the engine takes them, each block of text a part, and each result of a tool a message.

    Thinking is left out: no model is shown what it thought in earlier turns. Raises RequestInvalid for what nobody
    here can read, and for an answer that was begun for the model.
    """
    if messages and messages[-1].role == "assistant":
        raise RequestInvalid(reason="the last message is the assistant's, but an answer cannot be begun for the model")
    found: list[Message] = []
    if system and (parts := _parts([system] if isinstance(system, str) else [block.text for block in system])):
        found.append(Message("system", parts))
    for number, message in enumerate(messages):
        for translated in _translated(message, f"messages[{number}]"):
            _append(found, translated)
    return found


def _translated(message: InputMessage, place: str) -> Iterator[Message]:
    content = [TextBlock(text=message.content)] if isinstance(message.content, str) else message.content
    texts: list[str] = []
    calls: list[ToolCall] = []
    for number, block in enumerate(content):
        match block:
            case TextBlock():
                texts.append(block.text)
            case ToolUseBlock() if message.role == "assistant":
                calls.append(ToolCall(block.id, block.name, _written(block.input)))
            case ToolResultBlock() if message.role == "user":
                if any(texts):
                    yield Message("user", _parts(texts))
                texts = []
                yield _result(block, f"{place}.content[{number}]")
            case ThinkingBlock() | RedactedThinkingBlock():
                continue
            case _:
                raise _refused(block, message.role, f"{place}.content[{number}]")
    if any(texts) or calls:
        yield Message(message.role, _parts(texts), calls)


def _result(block: ToolResultBlock, place: str) -> Message:
    texts = [block.content] if isinstance(block.content, str) else []
    if isinstance(block.content, list):
        texts = [_text(part, f"{place}.content[{number}]") for number, part in enumerate(block.content)]
    first, *following = _parts(texts) or [""]
    parts = [_ERROR + first if block.is_error else first, *following]
    return Message("tool", parts, tool_call_id=block.tool_use_id)


def _written(arguments: dict[str, Any]) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError as error:
        raise RequestInvalid(reason="the input of a call is nested too deeply") from error


def _text(part: ToolResultPart, place: str) -> str:
    if isinstance(part, TextBlock):
        return part.text
    raise _refused(part, "tool", place)


def _refused(block: InputBlock, role: str, place: str) -> RequestInvalid:
    kind = block.__struct_config__.tag
    if isinstance(block, ToolUseBlock | ToolResultBlock):
        return RequestInvalid(reason=f"{place} is of the type {kind}, which is not for the role {role}")
    return RequestInvalid(reason=f"{place} is of the type {kind}, but models here read text alone")


def _parts(texts: Sequence[str]) -> list[str]:
    said = [text for text in texts if text]
    return [text if number == 0 else SEPARATOR + text for number, text in enumerate(said)]


def _append(found: list[Message], message: Message) -> None:
    """Adds a message; to the one before if that has the same role, for many chat templates take turns alone."""
    last = found[-1] if found else None
    if last is None or last.role != message.role or message.role in ("system", "tool") or last.tool_calls:
        found.append(message)
        return
    following = [SEPARATOR + part if number == 0 else part for number, part in enumerate(message.parts)]
    found[-1] = Message(last.role, [*last.parts, *following], message.tool_calls)
