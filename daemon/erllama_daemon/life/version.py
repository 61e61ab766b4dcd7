"""Which version the daemon is, where a command can read it before it asks anything."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from erllama_daemon import __version__
from erllama_daemon.directories import Directories

log = logging.getLogger(__name__)


@contextmanager
def announced_version(directories: Directories) -> Iterator[None]:
    """Says it in a file beside the socket, 0600, before anybody is heard, until the daemon's end; on the next two lines
    the folders of the cache and of the conversations.

    The caller holds the daemon's lock. A file that cannot be written is no reason not to run: every response says the
    version, and the status says all.
    """
    path = directories.version_file
    temporary = path.with_name(f"{path.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            lines = [__version__.encode(), os.fsencode(directories.cache), os.fsencode(directories.data), b""]
            file.write(b"\n".join(lines))
        temporary.replace(path)
    except OSError as error:
        log.warning("the version cannot be written beside the socket: %s", error)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
