"""The disk tier: block files and their index, under a quota."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import filelock

from erllama_cache.block import Block
from erllama_cache.blockfiles import BlockFiles
from erllama_cache.counters import Tally
from erllama_cache.errors import BlockCorrupt, CacheFull, CacheUnwritable, IndexUnusable
from erllama_cache.index import Index, Row, Totals
from erllama_cache.recovery import open_index, reconcile
from erllama_cache.ref import BlockRef, Shape

INDEX_NAME = "index.sqlite3"
EVICTION_BATCH = 32

_log = logging.getLogger(__name__)


class DiskTier:
    """Blocks on disk, shared by every process that opens the same directory.

    Lookups and loads may come from any thread; they never raise for a damaged file or index but find less.
    `publish` is meant for one thread a process. Sizes in bytes.
    """

    def __init__(self, directory: Path, quota_bytes: int, tally: Tally | None = None) -> None:
        self.quota_bytes = quota_bytes
        self._tally = tally or Tally()
        self._has_complained = False
        self._files = BlockFiles(directory)
        self.index = Index(directory / INDEX_NAME)

    def open(self) -> None:
        """Create the directory, bring index and files into agreement, and enforce the quota.

        Other processes may be using the directory meanwhile. On a full disk the tier opens all the same, and
        finds and keeps nothing until there is room again. Raises CacheUnwritable or IndexUnusable.
        """
        try:
            self._open()
        except (CacheUnwritable, IndexUnusable) as error:
            if not self._files.is_disk_full():
                raise
            _log.warning("the disk is full, so nothing is kept on it: %s", error)

    def _open(self) -> None:
        self._files.prepare()
        directory = self._files.directory
        try:
            # Two processes that replace a damaged index at once would each use their own.
            with filelock.FileLock(directory / "open.lock", mode=0o600):
                self.index = open_index(directory / INDEX_NAME, self._files)
                reconcile(self._files, self.index, self._tally)
        except OSError as error:
            raise CacheUnwritable(path=directory, reason=error.strerror or error) from error
        with suppress(CacheFull):
            self._make_room(0, ())

    def close(self) -> None:
        """Close the index. What comes later finds nothing."""
        self.index.close()

    def totals(self) -> Totals:
        """How much is held, by all processes. Nothing, if the index cannot say."""
        try:
            return self.index.totals()
        except IndexUnusable as error:
            self._complain(error)
            return Totals(0, 0)

    def find(self, key: bytes) -> BlockRef | None:
        """A reference to the block, or None."""
        try:
            row = self.index.get(key)
        except IndexUnusable as error:
            self._complain(error)
            return None
        return _reference(row) if row else None

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block that extends `parent`."""
        try:
            return self.index.shapes(parent)
        except IndexUnusable as error:
            self._complain(error)
            return set()

    def publish(self, block: Block, in_use: Collection[bytes] = ()) -> int:
        """Make the block durable and return the bytes written; 0 if the cache holds as much already.

        Least recently used leaves make room for it, but neither its parent nor a key of `in_use`; nobody does
        if its parent is not here, for then it cannot be found. A block stored without logits is replaced by
        one that has them. Raises CacheFull, OSError or IndexUnusable; the index then names no file that is
        not there.
        """
        row = self.index.get(block.key)
        if row and (row.has_logits or not block.has_logits) and self._files.path(block.key).is_file():
            return 0
        needed = block.file_bytes - (row.file_bytes if row else 0)
        if block.parent == block.root or self.index.get(block.parent):
            self._make_room(needed, {block.key, block.parent, *in_use})
        elif self._excess(needed) > 0:
            raise CacheFull(needed=needed, quota=self.quota_bytes)
        try:
            written = self._files.write(block)
        except OSError:
            # A file without a row would escape the quota until the next start.
            if row is None:
                self._files.remove(block.key)
            raise
        self.index.insert(Row.of(block, used=time.time()))
        return written

    def load(self, key: bytes) -> Block | None:
        """The block, read whole and checked. A damaged file is quarantined, a missing one forgotten: None."""
        try:
            return self._files.read(key)
        except BlockCorrupt as error:
            _log.warning("%s", error)
            self.quarantine(key)
        except FileNotFoundError:
            self._forget(key)
        except OSError as error:
            _log.warning("cannot read %s: %s", self._files.path(key), error)
        return None

    def quarantine(self, key: bytes) -> bool:
        """Set the block's file aside and count it, so that nobody loads it again; False if there was none."""
        self._forget(key)
        try:
            moved = self._files.set_aside(self._files.path(key))
        except OSError as error:
            _log.warning("cannot quarantine %s: %s", self._files.path(key), error)
            return False
        if moved:
            self._tally.add("quarantined")
        return moved

    def _forget(self, key: bytes) -> None:
        try:
            self.index.delete(key)
        except IndexUnusable as error:
            self._complain(error)

    def _complain(self, error: IndexUnusable) -> None:
        # Every lookup would repeat it.
        _log.log(logging.DEBUG if self._has_complained else logging.WARNING, "%s", error)
        self._has_complained = True

    def _excess(self, needed: int) -> int:
        return self.index.totals().file_bytes + needed - self.quota_bytes

    def _make_room(self, needed: int, spared: Collection[bytes]) -> None:
        if needed > self.quota_bytes:
            raise CacheFull(needed=needed, quota=self.quota_bytes)
        while (excess := self._excess(needed)) > 0:
            leaves = self.index.oldest_leaves(len(spared) + EVICTION_BATCH)
            evictable = [row for row in leaves if row.key not in spared]
            if not evictable:
                raise CacheFull(needed=needed, quota=self.quota_bytes)
            for row in evictable:
                # Row first: a crash in between leaves a file to adopt, never a row without its file.
                if excess > 0 and self.index.delete_leaf(row.key):
                    self._files.remove(row.key)
                    excess -= row.file_bytes


def _reference(row: Row) -> BlockRef:
    return BlockRef(
        key=row.key,
        parent=row.parent,
        kind=row.kind,
        start=row.start,
        n_tokens=row.n_tokens,
        has_logits=row.has_logits,
        tier="disk",
    )
