"""What the cache counts, and a place to count it."""

from __future__ import annotations

import datetime
import threading
from collections import Counter

import msgspec


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the cache directory was made. Bytes in bytes, `_ns` in nanoseconds, the rest in events.

    `tokens_reused` came from the cache, `tokens_prefilled` were read; `saved_total_ns` is how long it once took to
    compute what was reused, `evicted` counts blocks that made room.
    """

    hits_exact: int = 0
    hits_resume: int = 0
    hits_longest_prefix: int = 0
    misses: int = 0
    saves_cold: int = 0
    saves_continued: int = 0
    saves_finish: int = 0
    saves_evict: int = 0
    saves_shutdown: int = 0
    saves_dropped: int = 0
    quarantined: int = 0
    bytes_written: int = 0
    bytes_read: int = 0
    pack_total_ns: int = 0
    load_total_ns: int = 0
    tokens_reused: int = 0
    tokens_prefilled: int = 0
    saved_total_ns: int = 0
    evicted: int = 0

    @classmethod
    def of(cls, *counts: dict[str, int]) -> Counters:
        """The sums of several counts by name. Names that are not counters are left out."""
        return cls(**{name: sum(count.get(name, 0) for count in counts) for name in cls.__struct_fields__})


class Tally:
    """Counts not yet written down. Safe to share between threads; adding never waits for a disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, n: int = 1) -> None:
        """Count `n` more. Raises ValueError for a name that is no field of `Counters`."""
        if name not in Counters.__struct_fields__:
            raise ValueError(f"no counter is called {name}")
        with self._lock:
            self._counts[name] += n

    def peek(self) -> dict[str, int]:
        """What has been counted since the last drain."""
        with self._lock:
            return dict(self._counts)

    def drain(self) -> dict[str, int]:
        """What has been counted since the last drain; counting starts again at zero."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            return dict(counts)


def today() -> str:
    """The day whose written bytes are counted now: YYYY-MM-DD of the local time."""
    return datetime.date.today().isoformat()
