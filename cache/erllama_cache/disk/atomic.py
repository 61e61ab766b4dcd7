"""Writing a file so that its name only ever stands for all of it."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

TEMPORARY_NAME = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}\.tmp")
"""A file on its way; the group is the number of the process that writes it."""


def write_atomically(path: Path, buffers: Iterable[bytes | memoryview], mode: int = 0o600) -> None:
    """Put the buffers, one after the other, into the file `path` of that mode, whose folder exists.

    When this returns, the file and its name have been handed to the disk with fdatasync and fsync. Raises OSError:
    then no temporary file is left, and the name stands for what it stood for or for the whole new file.
    """
    temporary = path.parent / f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if mode != 0o600:
                os.fchmod(file.fileno(), mode)
            for buffer in buffers:
                file.write(buffer)
            file.flush()
            sync_data(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_data(descriptor: int) -> None:
    """Have what was written to a file reach the disk, as far as the system can tell."""
    if sys.platform == "darwin":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
