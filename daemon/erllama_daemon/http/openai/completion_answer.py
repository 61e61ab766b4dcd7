"""The end of a text, at once or piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from erllama_daemon.http.openai.extension import ExtendedAnswer
from erllama_daemon.http.openai.logprobs import said_tokens
from erllama_daemon.http.openai.usage import Usage
from erllama_daemon.messages import Stats, TokenLogprobs

EndReason = Literal["stop", "length"]


class CompletionLogprobs(msgspec.Struct, frozen=True):
    """Each token, its log-probability, the likeliest in its place, and where in the answer's text it begins."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]

    @classmethod
    def of(cls, tokens: Sequence[TokenLogprobs], start: int = 0) -> CompletionLogprobs:
        """Those of tokens whose text begins at `start`."""
        offsets = []
        for token in tokens:
            offsets.append(start)
            start += len(token.text)
        return cls(
            [token.text for token in tokens],
            [token.logprob for token in tokens],
            [{top.text: top.logprob for top in reversed(token.top)} for token in tokens],
            offsets,
        )


class CompletionChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers, or a piece of it; the last piece says why it ended."""

    text: str
    index: int
    logprobs: CompletionLogprobs | None = None
    finish_reason: EndReason | None = None
    erllama: ExtendedAnswer | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, index: int, stats: Stats) -> CompletionChoice:
        """The answer with these stats."""
        return cls(
            text=stats.text,
            index=index,
            logprobs=None if stats.logprobs is None else CompletionLogprobs.of(said_tokens(stats)),
            finish_reason=end_reason(stats),
            erllama=ExtendedAnswer.of(stats),
        )


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1/completions`, and each piece of it; if it is asked for, the last piece has the usage."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    system_fingerprint: str
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET


def end_reason(stats: Stats) -> EndReason:
    """Why an answer ended that nobody cancelled."""
    return "length" if stats.finish_reason == "length" else "stop"
