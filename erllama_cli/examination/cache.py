"""The cache: a quick look at its index and at what was set aside. `erllama cache verify` reads every block."""

from __future__ import annotations

from collections.abc import Iterator

from erllama_cache.disk.files import BlockFiles, check_directory
from erllama_cache.disk.index import INDEX_NAME
from erllama_cache.disk.schema import SCHEMA_VERSION
from erllama_cli.examination.database import quick_look
from erllama_cli.examination.held import held_totals
from erllama_cli.output import counted, readable_bytes
from erllama_cli.results.doctor import Check
from erllama_daemon.directories import Directories

_REPAIR = "Nothing is lost but time. Mend it with: erllama cache verify --repair"


def examine(directories: Directories) -> Iterator[Check]:
    """Raises CacheUnreadable."""
    check_directory(directories.cache)
    index = directories.cache / INDEX_NAME
    if not index.exists():
        yield Check("cache", "ok", "empty")
        return
    version, wrong = quick_look(index)
    if wrong is not None or version != SCHEMA_VERSION:
        finding = f"its index is damaged: {wrong}" if wrong is not None else "its index is of another version"
        yield Check("cache", "warning", finding, _REPAIR)
        return
    aside = BlockFiles(directories.cache).quarantined()
    if aside:
        finding = f"{counted(len(aside), 'damaged file')} set aside in {aside[0].parent}"
        remedy = "See whether there are more: erllama cache verify. If it happens again, check the disk and the memory."
        yield Check("cache", "warning", finding, remedy)
        return
    totals = held_totals(directories.cache)
    yield Check("cache", "ok", f"{counted(totals.rows, 'block')}, {readable_bytes(totals.file_bytes)}")
