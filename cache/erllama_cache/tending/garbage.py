"""What is of no use to anybody: finding it, and giving its room back."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from erllama_cache.disk.eviction import Candidate, choose
from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.origins import Origins
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.row import Row
from erllama_cache.errors import IndexUnusable
from erllama_cache.tending.holdings import Holdings, OnProgress
from erllama_cache.tending.survey import Survey, survey


class Heap(msgspec.Struct, frozen=True):
    """How many of a kind, and how many bytes they take."""

    count: int = 0
    bytes: int = 0

    @classmethod
    def of_files(cls, paths: Iterable[Path]) -> Heap:
        """Files, as far as they are still there."""
        sizes = []
        for path in paths:
            with suppress(OSError):
                sizes.append(path.lstat().st_size)
        return cls(len(sizes), sum(sizes))

    @classmethod
    def of_rows(cls, rows: Iterable[Row]) -> Heap:
        """Blocks."""
        sizes = [row.file_bytes for row in rows]
        return cls(len(sizes), sum(sizes))


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """What was of no use, by its kind.

    `unfinished` are files whose writers died, `quarantined` damaged ones that were set aside, `unreachable` blocks
    whose chain has lost its beginning, `over_quota` blocks beyond the quota, `roots` and `pins` files that belong to no
    block. `unindexed` are files that the index did not know and does now, `missing` rows of files that were gone;
    `index_bytes` is what the index gave back.
    """

    unfinished: Heap
    quarantined: Heap
    unreachable: Heap
    over_quota: Heap
    roots: Heap
    pins: Heap
    unindexed: Heap
    missing: int
    index_bytes: int

    @property
    def freed_bytes(self) -> int:
        """All the room that is given back."""
        heaps = (self.unfinished, self.quarantined, self.unreachable, self.over_quota, self.roots, self.pins)
        return sum(heap.bytes for heap in heaps) + self.index_bytes


@dataclass(frozen=True)
class _Finds:
    """What is to go."""

    unfinished: list[Path]
    quarantined: list[Path]
    unreachable: list[Row]
    over_quota: list[Row]
    roots: list[Path]
    pins: set[bytes]


def find_garbage(directory: Path, quota_bytes: int) -> Garbage:
    """What `collect` would find now. Changes nothing, creates nothing."""
    unindexed, missing = _disagreement(directory)
    finds = _search(directory, survey(directory), quota_bytes)
    return _garbage(finds, unindexed, missing, _unused_bytes(directory))


def collect(directory: Path, quota_bytes: int, on_progress: OnProgress | None = None) -> Garbage:
    """Remove it all, bring index and files into agreement, and enforce the quota. Safe beside other processes.

    Raises CacheUnwritable, CacheUnlockable or IndexUnusable. A directory that is not there stays away.
    """
    if not directory.is_dir():
        return find_garbage(directory, quota_bytes)
    unindexed, missing = _disagreement(directory)
    # Before the index is opened: that sweeps, too.
    unfinished = [*BlockFiles(directory).unfinished()]
    swept = Heap.of_files(unfinished)
    with Holdings(directory) as holdings:
        holdings.reconcile()
        finds = _search(directory, survey(directory), quota_bytes)
        garbage = _garbage(finds, unindexed, missing, 0)
        gone = {row.key for row in holdings.let_go([*finds.unreachable, *finds.over_quota], on_progress)}
        holdings.discard([*finds.quarantined, *finds.roots])
        holdings.unpin(finds.pins)
        index_bytes = _unused_bytes(directory)
        holdings.compact()
    return msgspec.structs.replace(
        garbage,
        unfinished=swept,
        unreachable=Heap.of_rows(row for row in finds.unreachable if row.key in gone),
        over_quota=Heap.of_rows(row for row in finds.over_quota if row.key in gone),
        index_bytes=index_bytes,
    )


def _search(directory: Path, found: Survey, quota_bytes: int) -> _Finds:
    files = BlockFiles(directory)
    quarantined = files.quarantined()
    unreachable = found.removable({row.key for row in found.orphans})
    lost = {row.key for row in unreachable}
    left = [row for row in found.rows.values() if row.key not in lost]
    foreign = files.foreign_bytes() - Heap.of_files(quarantined).bytes
    excess = sum(row.file_bytes for row in left) + foreign - quota_bytes
    chosen = choose(map(Candidate.of, left), excess, (), time.time()) if excess > 0 else []
    return _Finds(
        unfinished=[*files.unfinished()],
        quarantined=quarantined,
        unreachable=unreachable,
        over_quota=[found.rows[block.key] for block in chosen],
        roots=Origins(directory).unused({row.root for row in left}),
        pins=Pins(directory).all() - found.rows.keys(),
    )


def _garbage(finds: _Finds, unindexed: Heap, missing: int, index_bytes: int) -> Garbage:
    return Garbage(
        unfinished=Heap.of_files(finds.unfinished),
        quarantined=Heap.of_files(finds.quarantined),
        unreachable=Heap.of_rows(finds.unreachable),
        over_quota=Heap.of_rows(finds.over_quota),
        roots=Heap.of_files(finds.roots),
        pins=Heap(len(finds.pins)),
        unindexed=unindexed,
        missing=missing,
        index_bytes=index_bytes,
    )


def _disagreement(directory: Path) -> tuple[Heap, int]:
    """The files that the index does not know, and how many rows it has without a file."""
    path = directory / INDEX_NAME
    index = Index(path, read_only=True)
    try:
        sizes = index.sizes() if path.is_file() else {}
    except IndexUnusable:
        sizes = {}
    finally:
        index.close()
    files = BlockFiles(directory)
    found = {file.key: file.path for file in files.scan() if file.key is not None}
    missing = sum(not files.path(key).exists() for key in sizes.keys() - found.keys())
    return Heap.of_files(found[key] for key in found.keys() - sizes.keys()), missing


def _unused_bytes(directory: Path) -> int:
    path = directory / INDEX_NAME
    index = Index(path, read_only=True)
    try:
        return index.unused_bytes() if path.is_file() else 0
    except IndexUnusable:
        return 0
    finally:
        index.close()
