"""Whether a directory can be shared: locks in it have to keep others out."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from erllama_cache.errors import CacheUnlockable

LOCK_NAME = "open.lock"


def check_locking(directory: Path) -> None:
    """Take a lock in `directory` twice, as two processes would. Raises CacheUnlockable unless the second is refused.

    Some network file systems know no locks, and some grant everybody's. Raises OSError if no file can be made.
    """
    path = directory / ".locking"
    first = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        second = os.open(path, os.O_RDWR)
        try:
            _check_exclusive(first, second, directory)
        finally:
            os.close(second)
    finally:
        os.close(first)


def _check_exclusive(first: int, second: int, directory: Path) -> None:
    try:
        # Shared at first: several processes may be looking at once.
        fcntl.flock(first, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # somebody else holds it, so it does keep others out
    except OSError as error:
        raise CacheUnlockable(path=directory, reason=error.strerror or error) from error
    try:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError as error:
        raise CacheUnlockable(path=directory, reason=error.strerror or error) from error
    raise CacheUnlockable(path=directory, reason="two locks on one file were granted at once")
