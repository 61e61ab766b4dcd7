"""Room on disk: how much there is, and letting blocks go."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from erllama_cache.disk.departure import Departure
from erllama_cache.disk.eviction import choose
from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.index import Index
from erllama_cache.errors import CacheFull

EXTRA = 64
"""Who makes room makes up to this part of the quota more, or each save would look at all blocks again."""
_ATTEMPTS = 3


class Room:
    """The room that blocks may take in one directory, `quota_bytes`, foreign files included.

    Any number of processes may let blocks go at once: a block that is extended meanwhile stays.
    """

    def __init__(self, files: BlockFiles, index: Index, quota_bytes: int) -> None:
        self._files = files
        self._index = index
        self.quota_bytes = quota_bytes

    def make(self, needed: int, spared: Collection[bytes] = ()) -> int:
        """Let blocks go until `needed` bytes fit, none of `spared`, and say how many went.

        Raises CacheFull, and then none went in vain; IndexUnusable or OSError too.
        """
        gone = 0
        foreign = self._files.foreign_bytes()
        for _attempt in range(_ATTEMPTS):
            excess = self._excess(foreign + needed)
            if excess <= 0:
                break
            chosen = choose(self._index.candidates(), excess, spared, time.time(), extra=self.quota_bytes // EXTRA)
            if needed and sum(block.file_bytes for block in chosen) < excess:
                break
            gone += len(self.let_go((block.key for block in chosen), "evicted"))
        if self._excess(foreign + needed) > 0:
            raise CacheFull(needed=needed, quota=self.quota_bytes)
        return gone

    def let_go(self, keys: Iterable[bytes], why: Departure, *, even_pinned: bool = False) -> list[bytes]:
        """Delete blocks in this order, each after all that extend it, and say which went: none that is extended.

        Raises IndexUnusable or OSError.
        """
        # Rows first: a crash in between leaves files to adopt, never a row without its file.
        gone = self._index.delete_leaves(keys, why, now=time.time(), even_pinned=even_pinned)
        for key in gone:
            self._files.remove(key)
        return gone

    def _excess(self, others: int) -> int:
        return self._index.totals().file_bytes + others - self.quota_bytes
