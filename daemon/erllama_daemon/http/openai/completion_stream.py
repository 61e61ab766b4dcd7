"""The ends of texts on their way to the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec

from erllama_daemon.http.answering.several import Several
from erllama_daemon.http.event_stream import sent_event
from erllama_daemon.http.openai.asked import END_OF_STREAM
from erllama_daemon.http.openai.completion_answer import Completion, CompletionChoice, CompletionLogprobs, end_reason
from erllama_daemon.http.openai.extension import ExtendedAnswer
from erllama_daemon.http.openai.failure import OpenAiFailure, told
from erllama_daemon.http.openai.logprobs import LogprobsInStream
from erllama_daemon.http.openai.usage import Usage
from erllama_daemon.messages import Done, Event, Failure, Stats, Token, TokenLogprobs


@dataclass(slots=True)
class _Pieces:
    """What one answer has said so far, as pieces."""

    index: int
    has_logprobs: bool
    logprobs: LogprobsInStream = field(default_factory=LogprobsInStream)
    offset: int = 0

    def of(self, event: Event) -> CompletionChoice | None:
        """The piece that an event makes."""
        if isinstance(event, Token):
            tokens = self.logprobs.add(event.text, event.logprobs)
            return CompletionChoice(text=event.text, index=self.index, logprobs=self._logprobs(tokens))
        if isinstance(event, Done):
            return CompletionChoice(
                text="",
                index=self.index,
                logprobs=self._logprobs(self.logprobs.end(event.stats)),
                finish_reason=end_reason(event.stats),
                erllama=ExtendedAnswer.of(event.stats),
            )
        return None

    def _logprobs(self, tokens: list[TokenLogprobs]) -> CompletionLogprobs | None:
        if not self.has_logprobs:
            return None
        start, self.offset = self.offset, self.offset + sum(len(token.text) for token in tokens)
        return CompletionLogprobs.of(tokens, start)


async def completion_events(
    answers: Several, whole: Completion, *, has_logprobs: bool, wants_usage: bool
) -> AsyncGenerator[bytes, None]:
    """Pieces of every answer as they are sent, each as `whole`, and last the usage if it is wanted, or a failure."""
    pieces: dict[int, _Pieces] = {}
    found: dict[int, Stats] = {}
    if wants_usage:
        whole = msgspec.structs.replace(whole, usage=None)
    async with aclosing(answers.events()) as events:
        async for index, event in events:
            if isinstance(event, Failure):
                yield sent_event(OpenAiFailure(told(event)))
                return
            if isinstance(event, Done):
                found[index] = event.stats
            piece = pieces.setdefault(index, _Pieces(index, has_logprobs)).of(event)
            if piece is not None:
                yield sent_event(msgspec.structs.replace(whole, choices=[piece]))
    if wants_usage:
        yield sent_event(msgspec.structs.replace(whole, usage=Usage.of(answers.grouped(found))))
    yield END_OF_STREAM
