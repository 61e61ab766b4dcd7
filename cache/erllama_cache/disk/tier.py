"""The disk tier: block files and their index, under a quota."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Container, Sequence
from contextlib import suppress
from pathlib import Path

import filelock

from erllama_cache.block import Block
from erllama_cache.counters import Tally, today
from erllama_cache.disk.departure import Departure
from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.index import INDEX_NAME, Index, Totals
from erllama_cache.disk.locks import LOCK_NAME, check_locking
from erllama_cache.disk.origins import Origins
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.recovery import recover
from erllama_cache.disk.room import Room
from erllama_cache.disk.row import Row
from erllama_cache.errors import (
    BlockCorrupt,
    CacheFull,
    CacheUnwritable,
    IndexUnusable,
    ParentGone,
    WriteBudgetSpent,
)
from erllama_cache.ref import BlockRef, Child, Passage, Shape

_log = logging.getLogger(__name__)


class DiskTier:
    """Blocks on disk, shared by every process that opens the same directory.

    Lookups and loads may come from any thread; they never raise for a damaged file or index but find less.
    `publish` is meant for one thread a process. Sizes in bytes.
    """

    def __init__(
        self,
        directory: Path,
        quota_bytes: int,
        tally: Tally | None = None,
        *,
        write_bytes_per_day: int | None = None,
    ) -> None:
        self.quota_bytes = quota_bytes
        self.write_bytes_per_day = write_bytes_per_day
        self._tally = tally or Tally()
        self._complaints: set[tuple[type[Exception], int | None]] = set()
        self._is_closed = False
        self.files = BlockFiles(directory)
        self.index = Index(directory / INDEX_NAME)
        self.origins = Origins(directory)
        self._pins = Pins(directory)
        self._room = Room(self.files, self.index, quota_bytes)

    def limit(self, quota_bytes: int, write_bytes_per_day: int | None) -> None:
        """Other quotas. What is above the new one goes when room is made next."""
        self.quota_bytes = self._room.quota_bytes = quota_bytes
        self.write_bytes_per_day = write_bytes_per_day

    def open(self) -> None:
        """Create the directory, bring index and files into agreement, and enforce the quota.

        Other processes may be using the directory meanwhile. On a full or read-only disk, or in a directory of
        somebody else's, the tier opens all the same, and finds and keeps nothing until that has changed: an answer
        matters more than its cache. Raises CacheUnlockable.
        """
        try:
            self._open()
        except (CacheUnwritable, IndexUnusable) as error:
            _log.warning("nothing is kept on disk: %s", error)

    def _open(self) -> None:
        self.files.prepare()
        directory = self.files.directory
        try:
            check_locking(directory)
            # Two processes that replace a damaged index at once would each use their own.
            with filelock.FileLock(directory / LOCK_NAME, mode=0o600):
                self.index = recover(directory / INDEX_NAME, self.files, self._pins, self._tally)
            self.origins = Origins(directory)
            self._room = Room(self.files, self.index, self.quota_bytes)
            with suppress(CacheFull):
                self._make_room(0, ())
        except OSError as error:
            raise CacheUnwritable(path=directory, reason=error.strerror or error) from error

    def close(self) -> None:
        """Close the index. What comes later finds nothing."""
        self._is_closed = True
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
        return self.find_all([key]).get(key)

    def shapes(self, parent: bytes) -> set[Shape]:
        """Kind and length of each block that extends `parent`."""
        try:
            return self.index.shapes(parent)
        except IndexUnusable as error:
            self._complain(error)
            return set()

    def find_all(self, keys: Sequence[bytes]) -> dict[bytes, BlockRef]:
        """References to those of the blocks that are here."""
        try:
            return self.index.refs(keys)
        except IndexUnusable as error:
            self._complain(error)
            return {}

    def departed(self, key: bytes) -> tuple[float, Departure] | None:
        """When (Unix seconds) and why a block went that is not here any more; None if that is not known."""
        try:
            return self.index.departed(key)
        except IndexUnusable as error:
            self._complain(error)
            return None

    def children(self, parent: bytes, limit: int) -> list[Child]:
        """Up to `limit` blocks that extend `parent`, those used last in front; damaged files are passed over."""
        try:
            rows = sorted(self.index.children(parent), key=lambda row: -row.used)
        except IndexUnusable as error:
            self._complain(error)
            return []
        found = []
        for row in rows[:limit]:
            with suppress(OSError, BlockCorrupt):
                found.append(Child(row.kind, self.files.head(row.key).tokens))
        return found

    def generated(self, parent: bytes, limit: int, known: Container[bytes] = ()) -> list[Child]:
        """As `children`, but only those that hold generated tokens, and none whose key is `known`."""
        try:
            keys = self.index.generated(parent, limit)
        except IndexUnusable as error:
            self._complain(error)
            return []
        passages = (self.passage(key) for key in keys if key not in known)
        return [Child(passage.kind, passage.tokens) for passage in passages if passage is not None]

    def passage(self, key: bytes) -> Passage | None:
        """The block without its state; None if it is not there, or damaged."""
        try:
            head = self.files.head(key)
        except (OSError, BlockCorrupt):
            return None
        header = head.header
        return Passage(header.root, header.parent, header.kind, header.start, head.tokens)

    def publish(self, block: Block, in_use: Collection[bytes] = ()) -> int:
        """Make the block durable and return the bytes written; 0 if the cache holds as much already.

        Others make room for it, but neither what it extends nor a key of `in_use`. A block stored without logits is
        replaced by one that has them. A directory that was removed, or whose index broke, is opened again first.
        Raises ParentGone, WriteBudgetSpent, CacheFull, OSError, IndexUnusable, or what `open` raises; the index then
        names no file that is not there.
        """
        self._come_back()
        row = self.index.get(block.key)
        if row and self._holds_as_much(row, block):
            return 0
        if block.parent != block.root and self.index.get(block.parent) is None:
            raise ParentGone(key=block.key.hex())
        self._check_write_budget(block.file_bytes)
        self._make_room(block.file_bytes - (row.file_bytes if row else 0), {block.key, block.parent, *in_use})
        try:
            written = self.files.write(block)
            self._enter(block)
        except (OSError, IndexUnusable, ParentGone):
            # A file without a row would escape the quota until the next start.
            if row is None:
                self.files.remove(block.key)
            raise
        self.index.add_written(today(), written)
        return written

    def _come_back(self) -> None:
        if not self._is_closed and self.index.is_lost():
            self.index.close()
            self._open()
            _log.warning("the cache index %s was gone or damaged; the cache was opened again", self.index.path)

    def _holds_as_much(self, row: Row, block: Block) -> bool:
        is_enough = row.describes(block) and (row.has_logits or not block.has_logits)
        return is_enough and self.files.path(block.key).is_file()

    def _make_room(self, needed: int, spared: Collection[bytes]) -> None:
        if gone := self._room.make(needed, spared):
            self._tally.add("evicted", gone)
            _log.info("blocks evicted: count=%d needed_bytes=%d quota_bytes=%d", gone, needed, self.quota_bytes)

    def _enter(self, block: Block) -> None:
        row = Row.of(block, used=time.time(), label=block.label, is_pinned=block.key in self._pins)
        if not self.index.insert([row]):
            # Another process let the parent go while this one wrote.
            raise ParentGone(key=block.key.hex())

    def _check_write_budget(self, needed: int) -> None:
        quota = self.write_bytes_per_day
        if quota is not None and self.index.written(today()) + needed > quota:
            raise WriteBudgetSpent(quota=quota)

    def load(self, key: bytes) -> Block | None:
        """The block, read whole and checked. A damaged file is quarantined, a missing one forgotten: None."""
        try:
            return self.files.read(key)
        except BlockCorrupt as error:
            _log.warning("%s", error)
            self.quarantine(key)
        except FileNotFoundError:
            self._forget(key, "removed")
        except OSError as error:
            self._complain(error)
        return None

    def quarantine(self, key: bytes) -> bool:
        """Set the block's file aside and count it, so that nobody loads it again; False if there was none."""
        self._forget(key, "damaged")
        try:
            moved = self.files.set_aside(self.files.path(key))
        except OSError as error:
            _log.warning("cannot quarantine %s: %s", self.files.path(key), error)
            return False
        if moved:
            self._tally.add("quarantined")
            _log.warning("block quarantined: key=%s", key.hex())
        return moved

    def _forget(self, key: bytes, why: Departure) -> None:
        try:
            self.index.delete([key], why, now=time.time())
        except IndexUnusable as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        # Every lookup would repeat it.
        cause = (type(error), getattr(error, "errno", None))
        _log.log(logging.DEBUG if cause in self._complaints else logging.WARNING, "less is found on disk: %s", error)
        self._complaints.add(cause)
