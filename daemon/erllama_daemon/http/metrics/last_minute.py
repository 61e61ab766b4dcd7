"""The answers of the last minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from erllama_daemon.messages import LastMinute, Stats

PERIOD_S = 60.0


class LastAnswers:
    """Remembers answers for a minute. `clock` gives seconds and never goes back. All calls from the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended: deque[tuple[float, LastMinute]] = deque()

    def note(self, stats: Stats) -> None:
        """One has ended."""
        kind = hit_kind(stats)
        ended = LastMinute(
            answers=1,
            exact=int(kind == "exact"),
            partial=int(kind == "partial"),
            cold=int(kind == "cold"),
            reused_tokens=stats.cached_tokens,
            read_tokens=computed_tokens(stats),
            generated_tokens=stats.completion_tokens,
        )
        self._forget()
        self._ended.append((self._clock(), ended))

    def sums(self) -> LastMinute:
        """All of them together."""
        self._forget()
        names = LastMinute.__struct_fields__
        return LastMinute(**{name: sum(getattr(each, name) for _, each in self._ended) for name in names})

    def _forget(self) -> None:
        while self._ended and self._ended[0][0] <= self._clock() - PERIOD_S:
            self._ended.popleft()


def hit_kind(stats: Stats) -> str | None:
    """What the cache held of a prompt; None if it was not asked, or nothing came of it."""
    return None if stats.saved == "off" or not stats.prompt_tokens else stats.cache_hit_kind


def computed_tokens(stats: Stats) -> int:
    """How many tokens of a prompt were read; of one that was cancelled meanwhile this is not known, and 0."""
    return 0 if stats.cancelled and not stats.completion_tokens else stats.prompt_tokens - stats.cached_tokens
