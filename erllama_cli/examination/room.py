"""The room on the disk, beside what the cache may take of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from erllama_cache.quotas import default_disk_bytes
from erllama_cli.examination.held import held_totals
from erllama_cli.output import readable_bytes
from erllama_cli.results.doctor import Check
from erllama_daemon.config import read_config
from erllama_daemon.directories import Directories
from erllama_daemon.errors import ConfigInvalid

LEAST_BYTES = 100 << 20
"""With less, conversations may soon not be kept."""


def examine(directories: Directories) -> Iterator[Check]:
    """Whether what may still be written has room."""
    held = held_totals(directories.cache).file_bytes
    try:
        wanted = read_config(directories.config_file).cache.quotas.disk_bytes
    except ConfigInvalid:
        wanted = None  # what is wrong with it, its own check tells
    quota = default_disk_bytes(directories.cache, held) if wanted is None else wanted
    existing = next(folder for folder in (directories.cache, *directories.cache.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    told = f"{readable_bytes(free)} free; the cache takes {readable_bytes(held)} of {readable_bytes(quota)}"
    if free < LEAST_BYTES:
        yield Check("disk", "failed", told, "Make room; erllama cache clear gives back what the cache takes.")
    elif free < quota - held:
        remedy = "Make room, or give it less in config.toml: disk_bytes in [cache]"
        yield Check("disk", "warning", f"{told}, which is more than there is", remedy)
    else:
        yield Check("disk", "ok", told)
