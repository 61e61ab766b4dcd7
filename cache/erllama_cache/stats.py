"""How full the cache is and what it has done, with or without a process that has it open."""

from __future__ import annotations

from pathlib import Path

import msgspec

from erllama_cache.counters import Counters, today
from erllama_cache.disk.files import BlockFiles, check_directory
from erllama_cache.disk.index import INDEX_NAME, Index, Totals
from erllama_cache.errors import IndexUnusable


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
    """The cache at one moment.

    `foreign_bytes` is what else lies in the directory and counts against the disk's quota; `bytes_written_today` is
    what all processes wrote, of the `write_bytes_per_day` that they may, None for any number.
    """

    path: str
    tiers: Tiers
    counters: Counters
    foreign_bytes: int = 0
    bytes_written_today: int = 0
    write_bytes_per_day: int | None = None


def disk_totals(directory: Path) -> Totals:
    """What the index in `directory` says is there; the files are counted if it cannot be read. Creates nothing."""
    path = directory / INDEX_NAME
    index = Index(path, read_only=True)
    try:
        return index.totals() if path.is_file() else Totals(0, 0)
    except IndexUnusable:
        sizes = [file.size for file in BlockFiles(directory).scan() if file.key is not None]
        return Totals(len(sizes), sum(sizes))
    finally:
        index.close()


def read_stats(
    directory: Path, disk_bytes: int, *, ram_bytes: int = 0, write_bytes_per_day: int | None = None
) -> StoreStats:
    """What is on disk in `directory`, for a process that does not open the store.

    Creates no directory and no index, and needs none. If the index cannot be read the files are counted.
    `disk_bytes`, `ram_bytes` and `write_bytes_per_day` are the quotas to report. Raises CacheUnreadable.
    """
    check_directory(directory)
    totals = disk_totals(directory)
    counts, written = _read_counts(directory / INDEX_NAME)
    return StoreStats(
        path=str(directory),
        tiers=Tiers(
            ram=TierStats(rows=0, bytes=0, quota_bytes=ram_bytes),
            disk=TierStats(rows=totals.rows, bytes=totals.file_bytes, quota_bytes=disk_bytes),
        ),
        counters=Counters.of(counts),
        foreign_bytes=BlockFiles(directory).foreign_bytes(),
        bytes_written_today=written,
        write_bytes_per_day=write_bytes_per_day,
    )


def _read_counts(path: Path) -> tuple[dict[str, int], int]:
    """All counters, and the bytes written today; nothing if the index cannot be read."""
    index = Index(path, read_only=True)
    try:
        return (index.counters(), index.written(today())) if path.is_file() else ({}, 0)
    except IndexUnusable:
        return {}, 0
    finally:
        index.close()
