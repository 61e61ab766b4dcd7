"""Bringing index and files into agreement when the cache is opened. Files win; the index can be rebuilt."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from erllama_cache.counters import Tally
from erllama_cache.disk.files import BlockFiles, FoundFile
from erllama_cache.disk.index import Index
from erllama_cache.disk.pins import Pins
from erllama_cache.disk.row import Row
from erllama_cache.errors import BlockCorrupt, IndexUnusable

_log = logging.getLogger(__name__)


def recover(path: Path, files: BlockFiles, pins: Pins, tally: Tally) -> Index:
    """The index at `path`, open and in agreement with the files and pins; a damaged one is rebuilt from them.

    The caller holds the lock of the directory. Raises IndexUnusable or OSError.
    """
    index = open_index(path, files, tally)
    try:
        _agree(files, pins, index, tally)
    except IndexUnusable:
        # Some damage shows only when a row is changed.
        if not index.is_lost():
            raise
        index.close()
        index = _empty_index(path, files, tally)
        _agree(files, pins, index, tally)
    return index


def open_index(path: Path, files: BlockFiles, tally: Tally) -> Index:
    """The index at `path`, open; a damaged one is moved to quarantine, counted, and an empty one takes its place.

    The caller holds the lock of the directory. Raises IndexUnusable or OSError.
    """
    index = Index(path)
    if index.open():
        return index
    index.close()
    return _empty_index(path, files, tally)


def _empty_index(path: Path, files: BlockFiles, tally: Tally) -> Index:
    _log.warning("the cache index %s is damaged; it is rebuilt from the block files", path)
    if files.set_aside(path):
        tally.add("quarantined")
    for suffix in ("-wal", "-shm"):
        files.set_aside(path.with_name(path.name + suffix))
    index = Index(path)
    if not index.open():
        raise IndexUnusable(path=path, reason="a new one is damaged as well")
    return index


def _agree(files: BlockFiles, pins: Pins, index: Index, tally: Tally) -> None:
    reconcile(files, index, tally)
    reconcile_pins(pins, index)


def reconcile(files: BlockFiles, index: Index, tally: Tally) -> None:
    """Remove what dead writers left, adopt files without a row, drop rows without a file.

    Other processes may publish and evict meanwhile, so whatever looks wrong is looked at again before it is
    touched. Files that are no blocks, or damaged ones as far as their header and size tell, go to quarantine
    and are counted. Raises IndexUnusable or OSError.
    """
    unseen, doubtful = index.sizes(), []
    for file in files.scan(sweep=True):
        if file.key is not None and unseen.get(file.key) == file.size:
            del unseen[file.key]
        else:
            doubtful.append(file)
    adopted = [row for file in doubtful if (row := _row_of(file, files, index, tally))]
    if adopted:
        # Their parents may be damaged: a chain is whole again when its missing block is computed anew.
        index.insert(adopted, may_be_orphans=True)
    # Somebody may have evicted a file just before its row came back, or removed it without a word.
    gone = [key for key in unseen.keys() | {row.key for row in adopted} if not files.path(key).exists()]
    if gone:
        index.purge(gone)


def reconcile_pins(pins: Pins, index: Index) -> None:
    """Pin the rows of the blocks that are pinned, and no others. Raises IndexUnusable or OSError."""
    index.pin(pins.all(), pinned=True)
    # Whoever pins makes the file first, and whoever unpins removes it first: a pinned row without one is left over.
    index.pin([key for key in index.pinned() if key not in pins], pinned=False)


def _row_of(file: FoundFile, files: BlockFiles, index: Index, tally: Tally) -> Row | None:
    """The row that a file without one, or of another size than its row says, gets; a damaged file is set aside."""
    try:
        if file.key is None:
            raise BlockCorrupt(path=file.path, reason="its name is not that of a block")
        head = files.head(file.key)
    except FileNotFoundError:
        return None
    except (BlockCorrupt, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EIO:
            raise
        _log.warning("%s", error)
        if file.key is not None:
            index.delete([file.key])
        if files.set_aside(file.path):
            tally.add("quarantined")
        return None
    return Row.of(head.header, used=head.header.created, label=head.label)
