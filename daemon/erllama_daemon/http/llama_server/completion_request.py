"""What the end of a text is asked with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from erllama_daemon.errors import FieldRefused, RequestInvalid
from erllama_daemon.http.answering.asking import TO_THE_END
from erllama_daemon.messages import CompleteRequest, Sampling

TEXTS_LIMIT = 256
"""How many texts there may be in a prompt, and in a list of biases."""

_NEVER = -1e30
"""Added to the logit of a token that must not come."""

_RANDOM_SEED = 2**32 - 1
_LONGEST_TOKEN = 10
"""Digits; what has more is a text."""

_WITHOUT_EFFECT: Mapping[str, Sequence[object]] = {
    "mirostat": [0],
    "typical_p": [1],
    "top_n_sigma": [-1, 0],
    "dynatemp_range": [0],
    "dry_multiplier": [0],
    "xtc_probability": [0],
    "ignore_eos": [False],
    "n_indent": [0],
    "n_cmpl": [1],
    "t_max_predict_ms": [-1, 0],
    "post_sampling_probs": [False],
    "image_data": [[]],
}
"""What is not there, and the values with which it changes nothing: clients send all that they know."""

Tokens = Callable[[str, bool], Awaitable[list[int]]]
"""Gives the tokens of a text; with True, also what the model wants at the very beginning."""

Bias = float | bool


class LoraChoice(msgspec.Struct, frozen=True, kw_only=True):
    """An attached adapter by its number, and how strongly it is applied."""

    id: int
    scale: float = 1.0


class ServerCompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /completion`. Fields that are not here are ignored.

    The prompt is a text, or a list of tokens and texts. A `seed` of -1 is any, a `temperature` below 0 is greedy, a
    `top_k` below 1 is no limit, and `n_predict` -1 goes on to the end of the context. A bias of false has a token never
    come. `lora` is refused: the scales of adapters are those of `POST /lora-adapters`. So is, unless it is off, every
    sampler that is not there.
    """

    prompt: str | list[int | str]
    model: str | None = None
    n_predict: int | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    grammar: str | None = None
    json_schema: Any = None
    n_probs: int | None = None
    cache_prompt: bool | None = None
    logit_bias: list[tuple[int | str, Bias]] | dict[str, Bias] | None = None
    return_tokens: bool | None = None
    lora: list[LoraChoice] | None = None
    mirostat: int | None = None
    typical_p: float | None = None
    top_n_sigma: float | None = None
    dynatemp_range: float | None = None
    dry_multiplier: float | None = None
    xtc_probability: float | None = None
    ignore_eos: bool | None = None
    n_indent: int | None = None
    n_cmpl: int | None = None
    t_max_predict_ms: int | None = None
    post_sampling_probs: bool | None = None
    image_data: list[Any] | None = None

    @property
    def max_tokens(self) -> int:
        """How many tokens the answer may have."""
        return TO_THE_END if self.n_predict is None or self.n_predict < 0 else self.n_predict

    @property
    def text(self) -> str:
        """The prompt as far as it was given as a text."""
        return self.prompt if isinstance(self.prompt, str) else ""

    async def complete(self, model: str, tokens: Tokens) -> CompleteRequest:
        """As erllama is asked. Raises RequestInvalid, FieldRefused, and what `tokens` raises."""
        self._refuse()
        wants_tokens = self.n_probs or self.return_tokens
        return CompleteRequest(
            model=model,
            tokens=await self._prompt(tokens),
            max_tokens=self.max_tokens,
            sampling=await self._sampling(tokens),
            stop=[self.stop] if isinstance(self.stop, str) else [stop for stop in self.stop or [] if stop],
            logprobs=self.n_probs or 0 if wants_tokens else None,
            cache=self.cache_prompt is not False,
        )

    def _refuse(self) -> None:
        if self.lora:
            raise RequestInvalid(reason="lora is not supported in it: set the scales with POST /lora-adapters")
        for field in _WITHOUT_EFFECT:
            given = getattr(self, field)
            if given is not None and given not in _WITHOUT_EFFECT[field]:
                raise FieldRefused(field=field, reason="an answer without it would not be what was asked for")

    async def _prompt(self, tokens: Tokens) -> list[int]:
        pieces = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if len(pieces) > 1 and all(isinstance(piece, str) for piece in pieces):
            raise RequestInvalid(reason="it has several prompts: ask for one after the other")
        _limit("prompt", sum(isinstance(piece, str) for piece in pieces))
        found: list[int] = []
        for number, piece in enumerate(pieces):
            found += await tokens(piece, number == 0) if isinstance(piece, str) else [piece]
        return found

    async def _sampling(self, tokens: Tokens) -> Sampling:
        given = {
            "temperature": None if self.temperature is None else max(0.0, self.temperature),
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "top_p": self.top_p,
            "min_p": self.min_p,
            "repeat_penalty": self.repeat_penalty,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "seed": None if self.seed is None or self.seed < 0 or self.seed == _RANDOM_SEED else self.seed,
            "grammar": self.grammar or None,
            "json_schema": None if self.json_schema is None else _written(self.json_schema),
            "logit_bias": await self._biases(tokens),
        }
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, Sampling)

    async def _biases(self, tokens: Tokens) -> dict[int, float]:
        biases = self.logit_bias or []
        given = biases if isinstance(biases, list) else [(_token(name), bias) for name, bias in biases.items()]
        _limit("logit_bias", sum(isinstance(token, str) for token, _bias in given))
        found: dict[int, float] = {}
        for token, bias in given:
            if bias is True:
                raise RequestInvalid(reason="logit_bias takes numbers, or false for what must not come")
            ids = await tokens(token, False) if isinstance(token, str) else [token]
            found |= dict.fromkeys(ids, _NEVER if bias is False else bias)
        return found


def _token(name: str) -> int | str:
    return int(name) if name.isdecimal() and name.isascii() and len(name) <= _LONGEST_TOKEN else name


def _limit(field: str, count: int) -> None:
    """Each text is a question to the model."""
    if count > TEXTS_LIMIT:
        raise RequestInvalid(reason=f"{field} has more than {TEXTS_LIMIT} texts")


def _written(schema: object) -> str:
    try:
        return msgspec.json.encode(schema).decode()
    except RecursionError as error:
        raise RequestInvalid(reason="json_schema is nested too deeply") from error
