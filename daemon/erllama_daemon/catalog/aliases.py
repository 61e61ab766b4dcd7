"""The user's own names for models: the table `[aliases]` of the configuration."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from erllama_daemon.directories import user_directories

_Identity = tuple[Path, int, int, int]
_NO_FILE = (0, 0, 0)


class Aliases:
    """The aliases as the configuration has them now: its file is read again when it has changed. Any thread.

    `options` are those of the command line that come over it.
    """

    def __init__(self) -> None:
        self.options: Sequence[str] = ()
        self._lock = threading.Lock()
        self._identity: _Identity | None = None
        self._read: Mapping[str, str] = {}

    def current(self) -> Mapping[str, str]:
        """Each alias with the path or the name that it stands for. Raises ConfigInvalid."""
        file = user_directories().config_file
        with self._lock:
            identity = _identity(file)
            if identity != self._identity:
                self._read = _read(file, self.options) if identity[1:] != _NO_FILE or self.options else {}
                self._identity = identity
            return self._read


def _read(file: Path, options: Sequence[str]) -> Mapping[str, str]:
    # Imported here: it takes longer than all else that finds a model, and most commands find no configuration.
    from erllama_daemon.config import read_config

    return read_config(file, options).aliases


def _identity(file: Path) -> _Identity:
    try:
        status = file.stat()
    except OSError:
        return file, *_NO_FILE
    return file, status.st_mtime_ns, status.st_size, status.st_ino
