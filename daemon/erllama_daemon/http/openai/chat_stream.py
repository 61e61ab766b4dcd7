"""The answers of a chat on their way to the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec

from erllama_daemon.http.answering.several import Several
from erllama_daemon.http.event_stream import sent_event
from erllama_daemon.http.openai.asked import END_OF_STREAM, FINGERPRINT
from erllama_daemon.http.openai.chat_answer import (
    CalledToolDelta,
    ChatChunk,
    ChatChunkChoice,
    ChatDelta,
    end_reason,
)
from erllama_daemon.http.openai.chat_message import CalledFunction
from erllama_daemon.http.openai.extension import ExtendedAnswer
from erllama_daemon.http.openai.failure import OpenAiFailure, told
from erllama_daemon.http.openai.logprobs import ChatLogprobs, LogprobsInStream, content_tokens
from erllama_daemon.http.openai.usage import Usage
from erllama_daemon.messages import Calling, Done, Event, Failure, Stats, Thinking, Token, TokenLogprobs, ToolCall


@dataclass(slots=True)
class _Pieces:
    """What one answer has said so far, as pieces."""

    index: int
    has_logprobs: bool
    logprobs: LogprobsInStream = field(default_factory=LogprobsInStream)
    calls: int = 0
    is_begun: bool = False

    def of(self, event: Event) -> Iterator[ChatChunkChoice]:
        """The pieces that an event makes."""
        if not self.is_begun and isinstance(event, Token | Thinking | Calling | Done):
            self.is_begun = True
            yield self._piece(ChatDelta(role="assistant", content=""))
        match event:
            case Token():
                tokens = self.logprobs.add(event.text, event.logprobs)
                yield self._piece(ChatDelta(content=event.text), tokens)
            case Thinking():
                yield self._piece(ChatDelta(reasoning_content=event.text))
            case Calling():
                yield self._call(event.call)
            case Done():
                yield from self._end(event.stats)

    def _end(self, stats: Stats) -> Iterator[ChatChunkChoice]:
        for call in stats.tool_calls[self.calls :]:
            yield self._call(call)
        if tokens := self.logprobs.end(stats):
            yield self._piece(ChatDelta(content=""), tokens)
        yield ChatChunkChoice(
            index=self.index,
            delta=ChatDelta(),
            finish_reason=end_reason(stats),
            erllama=ExtendedAnswer.of(stats),
        )

    def _call(self, call: ToolCall) -> ChatChunkChoice:
        delta = CalledToolDelta(self.calls, call.id, CalledFunction(call.name, call.arguments))
        self.calls += 1
        return self._piece(ChatDelta(tool_calls=[delta]))

    def _piece(self, delta: ChatDelta, tokens: list[TokenLogprobs] | None = None) -> ChatChunkChoice:
        logprobs = ChatLogprobs(content_tokens(tokens)) if self.has_logprobs and tokens is not None else None
        return ChatChunkChoice(index=self.index, delta=delta, logprobs=logprobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatStream:
    """A stream of chunks: pieces of every answer, in the order in which they come, then the usage if it is wanted."""

    id: str
    created: int
    model: str
    has_logprobs: bool
    wants_usage: bool

    async def sent(self, answers: Several) -> AsyncGenerator[bytes, None]:
        """The chunks as they are sent. A failure is the last of them."""
        pieces: dict[int, _Pieces] = {}
        found: dict[int, Stats] = {}
        async with aclosing(answers.events()) as events:
            async for index, event in events:
                if isinstance(event, Failure):
                    yield sent_event(OpenAiFailure(told(event)))
                    return
                if isinstance(event, Done):
                    found[index] = event.stats
                for choice in pieces.setdefault(index, _Pieces(index, self.has_logprobs)).of(event):
                    yield sent_event(self._chunk(choice))
        if self.wants_usage:
            yield sent_event(msgspec.structs.replace(self._chunk(), usage=Usage.of(answers.grouped(found))))
        yield END_OF_STREAM

    def _chunk(self, *choices: ChatChunkChoice) -> ChatChunk:
        return ChatChunk(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[*choices],
            system_fingerprint=FINGERPRINT,
            usage=None if self.wants_usage else msgspec.UNSET,
        )
