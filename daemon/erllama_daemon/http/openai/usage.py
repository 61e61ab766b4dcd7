"""How many tokens an answer took."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from erllama_daemon.messages import Stats


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """How many of the prompt's tokens were in the cache."""

    cached_tokens: int
    audio_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    """How many of the generated tokens are thinking."""

    reasoning_tokens: int
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens were read and generated. A prompt with several answers counts once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails

    @classmethod
    def of(cls, groups: Sequence[Sequence[Stats]]) -> Usage:
        """That of the answers to each of some prompts."""
        every = [stats for group in groups for stats in group]
        read, said = sum(group[0].prompt_tokens for group in groups), sum(stats.completion_tokens for stats in every)
        return cls(
            prompt_tokens=read,
            completion_tokens=said,
            total_tokens=read + said,
            prompt_tokens_details=PromptTokensDetails(sum(group[0].cached_tokens for group in groups)),
            completion_tokens_details=CompletionTokensDetails(sum(stats.thinking_tokens for stats in every)),
        )
