"""What the end of a text is asked with."""

from __future__ import annotations

import msgspec

from erllama_daemon.errors import FieldRefused
from erllama_daemon.http.openai.asked import StreamOptions, repeated, sampling_of, stops_of
from erllama_daemon.http.openai.extension import Extension
from erllama_daemon.http.openai.prompts import GivenPrompts, Prompt, prompts_of
from erllama_daemon.messages import CompleteRequest

MAX_TOKENS = 16
"""How long an answer may be where OpenAI's API says so, unless it is asked for more."""


PROMPTS_LIMIT = 256
"""How many prompts a request may have, and answers to all of them: so many can wait for a model."""


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/completions`. Fields that are not here are ignored; docs/openai.md has them all."""

    model: str
    prompt: GivenPrompts
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    erllama: Extension = Extension()

    def asked(self, tokens: list[int]) -> list[CompleteRequest]:
        """What the engine is asked for the sake of one prompt, once for each answer. Raises FieldRefused."""
        request = CompleteRequest(
            model=self.model,
            tokens=tokens,
            max_tokens=MAX_TOKENS if self.max_tokens is None else self.max_tokens,
            sampling=sampling_of(
                temperature=self.temperature,
                top_p=self.top_p,
                frequency_penalty=self.frequency_penalty,
                presence_penalty=self.presence_penalty,
                logit_bias=self.logit_bias,
                seed=self.seed,
            ),
            stop=stops_of(self.stop),
            logprobs=self.logprobs,
        )
        return repeated(self.erllama.over(request), self.n)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to say how many tokens it took."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def prompts(self) -> list[Prompt]:
        """Each prompt by itself. Raises FieldRefused, for all else that cannot be had too."""
        self._refuse()
        prompts = prompts_of(self.prompt, "prompt", PROMPTS_LIMIT)
        if len(prompts) * (self.n or 1) > PROMPTS_LIMIT:
            raise FieldRefused(field="n", reason=f"all prompts together can have {PROMPTS_LIMIT} answers")
        return prompts

    def _refuse(self) -> None:
        refused = {
            "echo": (self.echo, "the answer does not repeat the prompt"),
            "suffix": (self.suffix, "the end of a text is written, not its middle"),
            "best_of": (self.best_of is not None and self.best_of > (self.n or 1), "all answers are given: see `n`"),
        }
        for field, (is_given, reason) in refused.items():
            if is_given:
                raise FieldRefused(field=field, reason=reason)
