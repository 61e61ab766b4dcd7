"""The end of a text, whole or as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from erllama_daemon.http.cache_header import Reuse
from erllama_daemon.http.llama_server.completion_request import ServerCompletionRequest
from erllama_daemon.messages import Sampling, Stats, TokenLogprob, TokenLogprobs

StopType = Literal["none", "eos", "limit", "word"]
_NO_CHARACTER = "\ufffd"


class GenerationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the tokens were chosen. `n_predict` -1 is as many as the context holds, a seed of -1 any."""

    n_predict: int = -1
    seed: int = -1
    temperature: float = Sampling().temperature
    top_k: int = Sampling().top_k
    top_p: float = Sampling().top_p
    min_p: float = Sampling().min_p
    repeat_penalty: float = Sampling().repeat_penalty
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_last_n: int = 64
    stop: list[str] = []
    n_probs: int = 0
    grammar: str = ""
    stream: bool = False


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took, in milliseconds. `cache_n` tokens came from the cache, `prompt_n` were read."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float

    @classmethod
    def of(cls, stats: Stats) -> Timings:
        """Those of an answer that is done."""
        read = stats.prompt_tokens - stats.cached_tokens
        prompt_ms = stats.restore_ms + stats.prefill_ms
        return cls(
            cache_n=stats.cached_tokens,
            prompt_n=read,
            prompt_ms=prompt_ms,
            prompt_per_token_ms=_quotient(prompt_ms, read),
            prompt_per_second=_quotient(1000 * read, prompt_ms),
            predicted_n=stats.completion_tokens,
            predicted_ms=stats.generation_ms,
            predicted_per_token_ms=_quotient(stats.generation_ms, stats.completion_tokens),
            predicted_per_second=_quotient(1000 * stats.completion_tokens, stats.generation_ms),
        )


class LikelyToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that could have come; `bytes` are empty where the token is no whole character."""

    id: int
    token: str
    bytes: list[int]
    logprob: float

    @classmethod
    def of(cls, token: TokenLogprob) -> LikelyToken:
        """A token as these clients are told of it."""
        return cls(id=token.token, token=token.text, bytes=_bytes(token.text), logprob=token.logprob)


class GeneratedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token of the answer, and the likeliest ones in its place, best first; before any sampler."""

    id: int
    token: str
    bytes: list[int]
    logprob: float
    top_logprobs: list[LikelyToken]

    @classmethod
    def of(cls, token: TokenLogprobs) -> GeneratedToken:
        """A token as these clients are told of it."""
        return cls(
            id=token.token,
            token=token.text,
            bytes=_bytes(token.text),
            logprob=token.logprob,
            top_logprobs=[LikelyToken.of(top) for top in token.top],
        )


class CompletionPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an answer in a stream. The last event is a `ServerCompletion`, or a `ServerFailure`."""

    index: int = 0
    content: str
    tokens: list[int] = []
    stop: Literal[False] = False
    id_slot: int = -1
    tokens_predicted: int
    tokens_evaluated: int


class ServerCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /completion`, and in a stream the last event, whose content was in those before.

    `tokens_evaluated` is the length of the prompt, and `tokens_cached` how much of it came from the cache. `tokens` are
    those of the answer if they were asked for.
    """

    index: int = 0
    content: str
    tokens: list[int]
    id_slot: int = -1
    stop: Literal[True] = True
    model: str
    tokens_predicted: int
    tokens_evaluated: int
    generation_settings: GenerationSettings
    prompt: str
    has_new_line: bool
    truncated: bool
    stop_type: StopType
    stopping_word: str
    tokens_cached: int
    timings: Timings
    completion_probabilities: list[GeneratedToken] | msgspec.UnsetType = msgspec.UNSET


def completion_of(request: ServerCompletionRequest, sampling: Sampling, stats: Stats, model: str) -> ServerCompletion:
    """An answer that is done."""
    content = (stats.thinking or "") + stats.text
    said = _said(stats)
    return ServerCompletion(
        content="" if request.stream else content,
        tokens=[token.token for token in said] if request.return_tokens else [],
        model=model,
        tokens_predicted=stats.completion_tokens,
        tokens_evaluated=stats.prompt_tokens,
        generation_settings=_settings(request, sampling, stats),
        prompt=request.text,
        has_new_line="\n" in content,
        truncated=stats.finish_reason == "length" and stats.completion_tokens < request.max_tokens,
        stop_type=_stop_type(stats),
        stopping_word=stats.stop_sequence or "",
        tokens_cached=stats.cached_tokens,
        timings=Timings.of(stats),
        completion_probabilities=[GeneratedToken.of(token) for token in said] if request.n_probs else msgspec.UNSET,
    )


def piece_of(text: str, number: int, reuse: Reuse) -> CompletionPiece:
    """The `number`-th piece of an answer."""
    return CompletionPiece(content=text, tokens_predicted=number, tokens_evaluated=reuse.total)


def _settings(request: ServerCompletionRequest, sampling: Sampling, stats: Stats) -> GenerationSettings:
    return GenerationSettings(
        n_predict=-1 if request.n_predict is None else request.n_predict,
        seed=stats.seed,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        repeat_penalty=sampling.repeat_penalty,
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        stop=[request.stop] if isinstance(request.stop, str) else request.stop or [],
        n_probs=request.n_probs or 0,
        grammar=sampling.grammar or "",
        stream=bool(request.stream),
    )


def _said(stats: Stats) -> Sequence[TokenLogprobs]:
    """The tokens of an answer, without the one that ended it."""
    tokens = stats.logprobs or []
    return tokens[:-1] if stats.finish_reason == "stop" and stats.stop_sequence is None else tokens


def _stop_type(stats: Stats) -> StopType:
    if stats.stop_sequence is not None:
        return "word"
    return "limit" if stats.finish_reason == "length" else "eos"


def _quotient(dividend: float, divisor: float) -> float:
    return round(dividend / divisor, 3) if divisor else 0.0


def _bytes(text: str) -> list[int]:
    return [] if _NO_CHARACTER in text else [*text.encode()]
