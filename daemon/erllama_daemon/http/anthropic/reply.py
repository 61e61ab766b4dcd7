"""An answer as Anthropic's clients read it."""

from __future__ import annotations

import secrets
from typing import Any, Literal

import msgspec

from erllama_daemon.errors import InternalError
from erllama_daemon.http.anthropic.content_block import OutputBlock, TextBlock, ThinkingBlock, ToolUseBlock
from erllama_daemon.http.cache_header import Reuse
from erllama_daemon.messages import Stats, ToolCall

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"]

SIGNATURE = "erllama"
"""Clients want a signature under thinking, and send it back unread."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens it took. The three of the input add up to the prompt.

    `cache_read_input_tokens` came from the cache, `cache_creation_input_tokens` were read and are in the cache now,
    `input_tokens` were read and are not.
    """

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int

    @classmethod
    def of(cls, reuse: Reuse, output_tokens: int = 0, *, is_saved: bool = True) -> Usage:
        """That of a prompt, as far as it is known; what is read of it is saved unless the cache will not take it."""
        fresh = reuse.total - reuse.cached
        return cls(
            input_tokens=0 if is_saved else fresh,
            cache_creation_input_tokens=fresh if is_saved else 0,
            cache_read_input_tokens=reuse.cached,
            output_tokens=output_tokens,
        )

    @classmethod
    def of_stats(cls, stats: Stats) -> Usage:
        """That of an answer that is done."""
        return cls.of(Reuse.of(stats), stats.completion_tokens, is_saved=stats.saved == "published")


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """The answer to `POST /v1/messages`. It stopped because the model ended its turn or wants tools to be called, or
    at a limit, its own or the context's, or before one of the stop sequences.
    """

    id: str
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[OutputBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: Usage


class TokenCount(msgspec.Struct, frozen=True):
    """The answer to `POST /v1/messages/count_tokens`: how many tokens the model would be shown."""

    input_tokens: int


def message_id() -> str:
    """A name for an answer."""
    return f"msg_{secrets.token_hex(12)}"


def reply_of(stats: Stats, *, model: str, max_tokens: int, shows_thinking: bool) -> Reply:
    """An answer that is done."""
    content: list[OutputBlock] = []
    if shows_thinking and stats.thinking:
        content.append(ThinkingBlock(thinking=stats.thinking, signature=SIGNATURE))
    if stats.text:
        content.append(TextBlock(text=stats.text))
    content += [ToolUseBlock(id=call.id, name=call.name, input=_input(call)) for call in stats.tool_calls]
    return Reply(
        id=message_id(),
        model=model,
        content=content,
        stop_reason=stop_reason(stats, max_tokens),
        stop_sequence=stats.stop_sequence,
        usage=Usage.of_stats(stats),
    )


def stop_reason(stats: Stats, max_tokens: int) -> StopReason:
    """Why an answer that is done has ended."""
    if stats.finish_reason == "length":  # whatever was called before: the rest of the answer is missing
        return "max_tokens" if stats.completion_tokens >= max_tokens else "model_context_window_exceeded"
    if stats.tool_calls:
        return "tool_use"
    if stats.stop_sequence is not None:
        return "stop_sequence"
    return "end_turn"


def _input(call: ToolCall) -> dict[str, Any]:
    try:
        return msgspec.json.decode(call.arguments, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InternalError(reason=f"the arguments of a call of {call.name} are no JSON object") from error
