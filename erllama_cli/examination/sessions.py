"""The conversations: whether their database is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from erllama_cli.examination.database import quick_look
from erllama_cli.output import readable_bytes
from erllama_cli.results.doctor import Check
from erllama_daemon.directories import Directories
from erllama_daemon.errors import SessionsTooNew, SessionsUnusable
from erllama_daemon.sessions.schema import VERSION

_RESCUE = (
    "What can still be read is rescued when the daemon starts anew, and the damaged file kept: erllama daemon restart"
)


def examine(directories: Directories) -> Iterator[Check]:
    """Raises SessionsTooNew and SessionsUnusable."""
    path = directories.sessions
    if not path.exists():
        yield Check("conversations", "ok", "none yet")
        return
    try:
        version, wrong = quick_look(path)
    except (sqlite3.Error, OSError) as error:
        raise SessionsUnusable(path=path, reason=error) from error
    if wrong is not None:
        yield Check("conversations", "failed", f"{path} is damaged: {wrong}", _RESCUE)
    elif version > VERSION:
        raise SessionsTooNew(path=path, found=version, known=VERSION)
    else:
        yield Check("conversations", "ok", f"{readable_bytes(path.stat().st_size)} in {path}")
