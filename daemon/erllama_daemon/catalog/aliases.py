"""The user's own names for models: the table `[aliases]` of the configuration."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from erllama_daemon.directories import user_directories

_Identity = tuple[Path, int, int, int]


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
                # Imported here: most commands find no configuration.
                from erllama_daemon.config import read_config

                self._read = read_config(file, self.options).aliases
                self._identity = identity
            return self._read


def _identity(file: Path) -> _Identity:
    try:
        status = file.stat()
    except OSError:
        return file, 0, 0, 0
    return file, status.st_mtime_ns, status.st_size, status.st_ino
