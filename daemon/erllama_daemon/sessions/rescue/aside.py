"""A damaged database goes aside, and what was rescued of it comes in its place, whenever the process is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erllama_cache.disk.atomic import sync_folder

BESIDE = ("", "-wal", "-shm")
"""What the names of a database's files end with."""


def rescued_name(path: Path, when: str) -> Path:
    """The name under which a database that was rescued whole waits to take the place of the one at `path`."""
    return path.with_name(f"{path.name}.rescued-{when}")


def damaged_name(path: Path, when: str) -> Path:
    """The name under which the damaged database is kept."""
    return path.with_name(f"{path.name}.damaged-{when}")


def finish_swap(path: Path) -> None:
    """Ends what a process began that was stopped between the two; usually there is nothing to do. Raises OSError."""
    if any(_waiting(path)):
        with rescue_lock(path):
            for rescued in list(_waiting(path)):
                swap(path, rescued.name.rpartition("-")[2])


def swap(path: Path, when: str) -> None:
    """Moves the database at `path` aside, byte for byte, and the rescued one in its place. Raises OSError.

    The caller holds the `rescue_lock`. The log goes with its database: it would be played on any that takes its place.
    """
    damaged = damaged_name(path, when)
    for end in BESIDE:
        old, kept = path.with_name(path.name + end), damaged.with_name(damaged.name + end)
        if old.exists() and not kept.exists():
            old.rename(kept)
    _, log, index = (damaged.with_name(damaged.name + end) for end in BESIDE)
    if log.exists() and not log.stat().st_size:  # whoever looked at the database left them
        log.unlink()
        index.unlink(missing_ok=True)
    sync_folder(path.parent)
    rescued_name(path, when).replace(path)
    sync_folder(path.parent)


@contextmanager
def rescue_lock(path: Path) -> Iterator[None]:
    """Held by the only process that may put another database in the place of the one at `path`."""
    from filelock import FileLock  # imported here: it is hardly ever needed

    with FileLock(path.with_name(f"{path.name}.lock"), mode=0o600):
        yield


def _waiting(path: Path) -> Iterator[Path]:
    return path.parent.glob(f"{path.name}.rescued-*")
