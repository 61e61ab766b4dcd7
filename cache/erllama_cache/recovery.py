"""Bringing index and files into agreement when the cache is opened. Files win; the index can be rebuilt."""

from __future__ import annotations

import logging
from pathlib import Path

from erllama_cache.blockfiles import BlockFiles, FoundFile
from erllama_cache.counters import Tally
from erllama_cache.errors import BlockCorrupt, IndexUnusable
from erllama_cache.index import Index, Row

_log = logging.getLogger(__name__)


def open_index(path: Path, files: BlockFiles) -> Index:
    """The index at `path`, open; a damaged one is moved to quarantine and an empty one takes its place.

    The caller holds the lock of the directory. Raises IndexUnusable or OSError.
    """
    index = Index(path)
    if index.open():
        return index
    index.close()
    _log.warning("the cache index %s is damaged; it is rebuilt from the block files", path)
    for suffix in ("", "-wal", "-shm"):
        files.set_aside(path.with_name(path.name + suffix))
    index = Index(path)
    if not index.open():
        raise IndexUnusable(path=path, reason="a new one is damaged as well")
    return index


def reconcile(files: BlockFiles, index: Index, tally: Tally) -> None:
    """Remove what dead writers left, adopt files without a row, drop rows without a file.

    Other processes may publish and evict meanwhile, so whatever looks wrong is looked at again before it is
    touched. Files that are no blocks, or damaged ones as far as their header and size tell, go to quarantine
    and are counted. Raises IndexUnusable or OSError.
    """
    files.sweep()
    found = {file.path: file for file in files.scan()}
    sizes = index.sizes()
    for file in found.values():
        if file.key is None or sizes.get(file.key) != file.size:
            _adopt(file, files, index, tally)
    for key in sizes:
        path = files.path(key)
        if path not in found and not path.exists():
            index.delete(key)


def _adopt(file: FoundFile, files: BlockFiles, index: Index, tally: Tally) -> None:
    try:
        header = files.header(file)
    except FileNotFoundError:
        return
    except BlockCorrupt as error:
        _log.warning("%s", error)
        if file.key is not None:
            index.delete(file.key)
        if files.set_aside(file.path):
            tally.add("quarantined")
        return
    index.insert(Row.of(header, used=header.created))
    # Somebody may have evicted the file just before its row came back.
    if not file.path.exists():
        index.delete(header.key)
