"""How likely the tokens of an answer were."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from erllama_daemon.messages import Stats, TokenLogprobs

_NO_CHARACTER = "\ufffd"


class LikelyToken(msgspec.Struct, frozen=True):
    """A token that could have come next. Of a token that ends within a character nobody knows the bytes."""

    token: str
    logprob: float
    bytes: list[int] | None


class ContentToken(msgspec.Struct, frozen=True):
    """A token of the answer, and the likeliest ones in its place, best first."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[LikelyToken]


class ChatLogprobs(msgspec.Struct, frozen=True):
    """Those of the answer's tokens, without thinking, calls, stop sequence and end token."""

    content: list[ContentToken]
    refusal: None = None


def content_tokens(tokens: Sequence[TokenLogprobs]) -> list[ContentToken]:
    """Tokens as these clients are told of them."""
    return [
        ContentToken(
            token.text,
            token.logprob,
            _bytes(token.text),
            [LikelyToken(top.text, top.logprob, _bytes(top.text)) for top in token.top],
        )
        for token in tokens
    ]


def said_tokens(stats: Stats) -> list[TokenLogprobs]:
    """The tokens of an answer's text, which its calls are no part of; none if they were not asked for."""
    tokens = (stats.logprobs or [])[stats.thinking_tokens :]
    if stats.stop_sequence is None and not stats.tool_calls:
        return tokens[:-1] if stats.finish_reason == "stop" else tokens
    return until_length(tokens, len(stats.text))


def until_length(tokens: Sequence[TokenLogprobs], length: int) -> list[TokenLogprobs]:
    """The first tokens, as many as it takes to make a text so long; all if that cannot be told from their texts."""
    if any(_NO_CHARACTER in token.text for token in tokens):
        return list(tokens)
    found = []
    for token in tokens:
        if length <= 0:
            break
        found.append(token)
        length -= len(token.text)
    return found


class LogprobsInStream:
    """Gives each token's logprobs once, along with the text that the token is of."""

    def __init__(self) -> None:
        self._tokens: list[TokenLogprobs] = []
        self._given = 0
        self._length = 0

    def add(self, text: str, tokens: Sequence[TokenLogprobs]) -> list[TokenLogprobs]:
        """Takes more of both; gives the tokens of the text so far that were not given yet."""
        self._tokens += tokens
        self._length += len(text)
        return self._new(until_length(self._tokens, self._length))

    def end(self, stats: Stats) -> list[TokenLogprobs]:
        """Those that were not given, of the whole answer."""
        return self._new(said_tokens(stats))

    def _new(self, tokens: list[TokenLogprobs]) -> list[TokenLogprobs]:
        new, self._given = tokens[self._given :], max(self._given, len(tokens))
        return new


def _bytes(text: str) -> list[int] | None:
    return None if _NO_CHARACTER in text else [*text.encode()]
