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
    def header(self) -> dict[str, str]:
        """`x-erllama-cache: partial; reused=512; prompt=600`: tokens that were not read again, and all of them."""
        return {CACHE_HEADER: f"{self.kind}; reused={self.cached}; prompt={self.total}"}


def header_of_whole(stats: Stats) -> dict[str, str]:
    """That of an answer that is done, whose state is in the cache unless it was `dropped`, `private` or `off`."""
    told = f"{stats.cache_hit_kind}; reused={stats.cached_tokens}; prompt={stats.prompt_tokens}"
    return {CACHE_HEADER: f"{told}; saved={stats.saved}"}
