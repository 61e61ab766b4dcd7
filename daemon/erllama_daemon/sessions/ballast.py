"""Room on the disk that is taken while there is some, so that an answer can be written when there is none left."""

from __future__ import annotations

import errno
import os
from pathlib import Path

BALLAST_BYTES = 2 << 20
"""Far more than a turn takes: its text, its tokens and the pages around them."""

_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems say that cannot take room without writing."""


class Ballast:
    """A file of no use but its size. One thread at a time."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self.path = path
        self._size = size

    def take(self) -> None:
        """Makes sure that the room is taken. Raises OSError if there is not enough; then none is."""
        if self.path.exists() and self.path.stat().st_size == self._size:
            return
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _allocate(handle, self._size)
                os.fsync(handle)  # some file systems look for the room only now
            finally:
                os.close(handle)
        except OSError:
            self.give_back()
            raise

    def give_back(self) -> bool:
        """Frees the room; gives whether there was any."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True


def _allocate(handle: int, size: int) -> None:
    """Takes room for a file, really and not in name alone. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
        else:
            return
    left = os.urandom(size)  # which no file system can compress
    while left:
        left = left[os.write(handle, left) :]
