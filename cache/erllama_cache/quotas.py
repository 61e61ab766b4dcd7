"""Default budgets: small enough that nobody has to think of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from erllama_cache.stats import disk_totals

GIB = 1 << 30


def default_ram_bytes() -> int:
    """A sixteenth of the machine's memory, at most 1 GiB."""
    return min(GIB, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16)


def default_disk_bytes(directory: Path, held_bytes: int | None = None) -> int:
    """A tenth of what would be free if the cache in `directory` were empty, at most 20 GiB.

    What the cache holds, `held_bytes` if that is known, counts as free, or its quota would shrink as it fills.
    """
    held = disk_totals(directory).file_bytes if held_bytes is None else held_bytes
    absolute = directory.absolute()
    existing = next(folder for folder in (absolute, *absolute.parents) if folder.is_dir())
    return min(20 * GIB, (shutil.disk_usage(existing).free + held) // 10)
