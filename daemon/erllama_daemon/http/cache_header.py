"""What an answer took from the cache, as a header of its response."""

from __future__ import annotations

from typing import NamedTuple

from erllama_daemon.messages import HitKind, Stats

CACHE_HEADER = "x-erllama-cache"


class Reuse(NamedTuple):
    """How many of a prompt's tokens the cache held, and how many it has."""

    cached: int
    total: int

    @classmethod
    def of(cls, stats: Stats) -> Reuse:
        """That of an answer that is done."""
        return cls(stats.cached_tokens, stats.prompt_tokens)

    @property
    def kind(self) -> HitKind:
        """All of it, a beginning, or nothing."""
        if self.cached == 0:
            return "cold"
        return "exact" if self.cached >= self.total else "partial"

    @property
    def headers(self) -> dict[str, str]:
        """`x-erllama-cache: partial; reused=512`, the tokens that were not read again."""
        return {CACHE_HEADER: f"{self.kind}; reused={self.cached}"}
