"""How much the cache holds on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from erllama_cache.disk.files import BlockFiles
from erllama_cache.disk.index import INDEX_NAME, Totals
from erllama_cli.examination.database import looked_at


def held_totals(directory: Path) -> Totals:
    """What the index in `directory` says; the files are counted if it cannot be read. Creates nothing."""
    index = directory / INDEX_NAME
    if not index.exists():
        return Totals(0, 0)
    try:
        with looked_at(index) as database:
            return Totals(*database.execute("SELECT rows, bytes FROM totals").fetchone())
    except (sqlite3.Error, TypeError):
        sizes = [file.size for file in BlockFiles(directory).scan() if file.key is not None]
        return Totals(len(sizes), sum(sizes))
