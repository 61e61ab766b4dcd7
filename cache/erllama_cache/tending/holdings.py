"""What a directory holds on disk, open to be tended by a command: with no store, and beside any number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

from erllama_cache.counters import Tally
from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.index import INDEX_NAME, Index
from erllama_cache.disk.locks import LOCK_NAME, check_locking
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.recovery import open_index, reconcile, reconcile_pins
from erllama_cache.disk.room import Room
from erllama_cache.disk.row import Row
from erllama_cache.errors import CacheUnwritable, IndexUnusable, KeyUnknown

OnProgress = Callable[[int, int], None]
"""Called with how much is done so far, and with how much there is to do."""

_BLOCKS_A_STEP = 256
"""How many blocks go in one transaction: others write in between."""


class Holdings:
    """The blocks on disk in one directory; a context manager. From one thread.

    An index that is missing or damaged is made anew from the files when it is opened. Every method raises
    IndexUnusable, or CacheUnwritable if the system refuses.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = BlockFiles(directory)
        self.index = Index(directory / INDEX_NAME)
        self._pins = Pins(directory)

    def __enter__(self) -> Self:
        self.files.prepare()
        try:
            self._open()
        except BaseException:
            self.index.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.index.close()

    def reconcile(self) -> None:
        """Bring index and files into agreement, as at the start of a store."""
        try:
            with filelock.FileLock(self.directory / LOCK_NAME, mode=0o600):
                self._reconcile()
        except OSError as error:
            raise self._unwritable(error) from error

    def let_go(
        self, rows: Sequence[Row], on_progress: OnProgress | None = None, *, even_pinned: bool = False
    ) -> list[Row]:
        """Delete blocks in this order, each after all that extend it, and say which went.

        A block stays that somebody pinned or extended meanwhile.
        """
        room, gone = Room(self.files, self.index, 0), list[Row]()
        try:
            for first in range(0, len(rows), _BLOCKS_A_STEP):
                step = rows[first : first + _BLOCKS_A_STEP]
                went = set(room.let_go((row.key for row in step), "removed", even_pinned=even_pinned))
                gone += [row for row in step if row.key in went]
                if even_pinned:
                    self._pins.remove(went)
                if on_progress is not None:
                    on_progress(first + len(step), len(rows))
        except OSError as error:
            raise self._unwritable(error) from error
        return gone

    def pin(self, keys: Sequence[bytes]) -> None:
        """Spare these blocks, and so all that they extend, from every eviction. Durable when it returns.

        Raises KeyUnknown if one is gone, and then all others are pinned all the same.
        """
        try:
            self._pins.add(keys)
            self.index.pin(keys, pinned=True)
            gone = [key for key in keys if self.index.get(key) is None]
            self._pins.remove(gone)
        except OSError as error:
            raise self._unwritable(error) from error
        if gone:
            raise KeyUnknown(key=gone[0].hex())

    def unpin(self, keys: Iterable[bytes]) -> None:
        """End what `pin` began; a block that is not pinned, or not there, is fine."""
        keys = list(keys)
        try:
            # Files first: a start of a store takes them for the truth.
            self._pins.remove(keys)
            self.index.pin(keys, pinned=False)
        except OSError as error:
            raise self._unwritable(error) from error

    def discard(self, paths: Iterable[Path]) -> None:
        """Delete files that are no blocks; one that is gone is fine."""
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def compact(self) -> None:
        """Give back the index's room of what was deleted, of whose text it still holds some until then.

        Somebody who reads on and on keeps it from that: then it is another time.
        """
        with suppress(IndexUnusable):
            self.index.compact()

    def _open(self) -> None:
        try:
            check_locking(self.directory)
            with filelock.FileLock(self.directory / LOCK_NAME, mode=0o600):
                self.index = open_index(self.directory / INDEX_NAME, self.files, Tally())
                if not self.index.totals().rows:
                    self._reconcile()
        except OSError as error:
            raise self._unwritable(error) from error

    def _reconcile(self) -> None:
        reconcile(self.files, self.index, Tally())
        reconcile_pins(self._pins, self.index)

    def _unwritable(self, error: OSError) -> CacheUnwritable:
        return CacheUnwritable(path=self.directory, reason=error.strerror or error)
