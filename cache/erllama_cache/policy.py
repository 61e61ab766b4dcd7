"""When state is saved: the knobs, with defaults that fit blocks."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
LONGEST_INTERVAL = 256
"""No block is longer than so many tokens, so that one is saved at least this often."""


class PolicyKnobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knobs of a `Policy` that somebody turned; None leaves one as it is."""

    min_tokens: Annotated[
        Count | None,
        msgspec.Meta(
            description="Tokens. A chain shorter than this is not saved when it finishes.", extra={"value": "1"}
        ),
    ] = None
    cold_min_tokens: Annotated[
        Count | None,
        msgspec.Meta(description="Tokens. Of a prompt shorter than this nothing is saved.", extra={"value": "1"}),
    ] = None
    cold_max_tokens: Annotated[
        Count | None,
        msgspec.Meta(description="Tokens. Beyond this nothing of a prompt is saved.", extra={"value": "1073741824"}),
    ] = None
    continued_interval: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=LONGEST_INTERVAL)] | None,
        msgspec.Meta(
            description="Tokens. How often a block is saved while an answer is generated.", extra={"value": "256"}
        ),
    ] = None
    evict_save_timeout_ms: Annotated[
        Count | None,
        msgspec.Meta(
            description="Milliseconds that a worker that ends waits for its last saves.", extra={"value": "30000"}
        ),
    ] = None

    @property
    def turned(self) -> dict[str, int]:
        """The knobs that are turned, by name."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}

    def over(self, below: Self) -> Self:
        """These knobs and, where one is not turned, that of `below`."""
        return msgspec.structs.replace(below, **self.turned)


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a worker saves blocks. Tokens count from the beginning of the chain; times are in milliseconds.

    A chain shorter than `min_tokens` is not saved when it finishes. Of a prompt, nothing is saved if it is shorter than
    `cold_min_tokens`, and nothing beyond `cold_max_tokens`. While generating, a block is saved every
    `continued_interval` tokens, or sooner if blocks are shorter. `evict_save_timeout_ms` is how long a worker that
    ends waits for its last blocks to reach the disk.

    Raises ValueError for a value below 0, or a `continued_interval` below 1.
    """

    min_tokens: int = 1
    cold_min_tokens: int = 1
    cold_max_tokens: int = 1 << 30
    continued_interval: int = 256
    evict_save_timeout_ms: int = 30_000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < (1 if name == "continued_interval" else 0):
                raise ValueError(f"the policy's {name} is too small: {getattr(self, name)}")

    def with_knobs(self, knobs: PolicyKnobs) -> Self:
        """This policy with those knobs turned."""
        return msgspec.structs.replace(self, **knobs.turned)

    def saves_prompt(self, prompt_tokens: int, end: int) -> bool:
        """Whether a prompt's block that ends at `end` is saved."""
        return prompt_tokens >= self.cold_min_tokens and end <= self.cold_max_tokens

    def saves_finish(self, tokens: int) -> bool:
        """Whether the last block of a chain of `tokens` tokens is saved."""
        return tokens >= self.min_tokens
