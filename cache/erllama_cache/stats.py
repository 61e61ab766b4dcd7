"""How full the cache is and what it has done, with or without a process that has it open."""

from __future__ import annotations

from pathlib import Path

import msgspec

from erllama_cache.blockfiles import BlockFiles
from erllama_cache.counters import Counters
from erllama_cache.disk import INDEX_NAME
from erllama_cache.errors import IndexUnusable
from erllama_cache.index import Index, Totals


class TierStats(msgspec.Struct, frozen=True, kw_only=True):
    """One tier: blocks held, and bytes held out of those allowed."""

    rows: int
    bytes: int
    quota_bytes: int


class Tiers(msgspec.Struct, frozen=True, kw_only=True):
    """Both tiers."""

    ram: TierStats
    disk: TierStats


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """The cache at one moment."""

    path: str
    tiers: Tiers
    counters: Counters


def read_stats(directory: Path, disk_bytes: int, *, ram_bytes: int = 0) -> StoreStats:
    """What is on disk in `directory`, for a process that does not open the store.

    Creates no directory and no index, and needs none. If the index cannot be read the files are counted.
    `disk_bytes` and `ram_bytes` are the quotas to report.
    """
    totals, counts = Totals(0, 0), dict[str, int]()
    path = directory / INDEX_NAME
    index = Index(path, read_only=True)
    try:
        if path.is_file():
            totals, counts = index.totals(), index.counters()
    except IndexUnusable:
        sizes = [file.size for file in BlockFiles(directory).scan() if file.key is not None]
        totals = Totals(len(sizes), sum(sizes))
    finally:
        index.close()
    return StoreStats(
        path=str(directory),
        tiers=Tiers(
            ram=TierStats(rows=0, bytes=0, quota_bytes=ram_bytes),
            disk=TierStats(rows=totals.rows, bytes=totals.file_bytes, quota_bytes=disk_bytes),
        ),
        counters=Counters.of(counts),
    )
