"""When state is saved: the knobs, with defaults that fit blocks."""

from __future__ import annotations

import msgspec


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

    def saves_prompt(self, prompt_tokens: int, end: int) -> bool:
        """Whether a prompt's block that ends at `end` is saved."""
        return prompt_tokens >= self.cold_min_tokens and end <= self.cold_max_tokens

    def saves_finish(self, tokens: int) -> bool:
        """Whether the last block of a chain of `tokens` tokens is saved."""
        return tokens >= self.min_tokens
