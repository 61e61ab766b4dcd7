"""What a chat is answered, at once or piece by piece."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_daemon.http.openai.chat_message import CalledFunction, CalledTool
from erllama_daemon.http.openai.extension import ExtendedAnswer
from erllama_daemon.http.openai.logprobs import ChatLogprobs, content_tokens, said_tokens
from erllama_daemon.http.openai.usage import Usage
from erllama_daemon.messages import Stats

EndReason = Literal["stop", "length", "tool_calls"]


class AnsweredMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer. `reasoning_content` is what a thinking model said before it."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: str | None = None
    tool_calls: list[CalledTool] = []


class ChatChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers."""

    index: int
    message: AnsweredMessage
    logprobs: ChatLogprobs | None
    finish_reason: EndReason
    erllama: ExtendedAnswer

    @classmethod
    def of(cls, index: int, stats: Stats) -> ChatChoice:
        """The answer with these stats."""
        calls = [*map(CalledTool.of, stats.tool_calls)]
        return cls(
            index=index,
            message=AnsweredMessage(
                role="assistant",
                content=stats.text if stats.text or not calls else None,
                refusal=None,
                reasoning_content=stats.thinking,
                tool_calls=calls,
            ),
            logprobs=None if stats.logprobs is None else ChatLogprobs(content_tokens(said_tokens(stats))),
            finish_reason=end_reason(stats),
            erllama=ExtendedAnswer.of(stats),
        )


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str
    service_tier: Literal["default"] = "default"


class CalledToolDelta(msgspec.Struct, frozen=True):
    """A whole call of a tool, and which of the answer's calls it is."""

    index: int
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class ChatDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a piece adds to the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CalledToolDelta] = []


class ChatChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of one of the answers; the last one says why it ended."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: EndReason | None = None
    erllama: ExtendedAnswer | msgspec.UnsetType = msgspec.UNSET


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the answers. If the usage is asked for, the last one has it, and no choice."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    system_fingerprint: str
    service_tier: Literal["default"] = "default"
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET


def end_reason(stats: Stats) -> EndReason:
    """Why an answer ended that nobody cancelled; one that was cut off says so, whatever it has called."""
    if stats.finish_reason == "length":
        return "length"
    return "tool_calls" if stats.tool_calls else "stop"
