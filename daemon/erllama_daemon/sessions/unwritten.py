"""Finished turns that the database would not take: kept until it does, on the disk too if that takes anything."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import msgspec

from erllama_cache.disk.atomic import write_atomically
from erllama_daemon.sessions.turn import Turn

log = logging.getLogger(__name__)


class Unwritten:
    """Turns of conversations, the oldest first. Without a path they are in memory alone. One thread at a time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._turns: list[tuple[str, Turn]] = []
        if path is not None and path.exists():
            self._turns = self._read(path)

    def __bool__(self) -> bool:
        return bool(self._turns)

    def keep(self, turns: list[tuple[str, Turn]]) -> None:
        """Adds turns, each with the id of its conversation."""
        self._turns += turns
        self._write()

    def take(self) -> list[tuple[str, Turn]]:
        """All of them, which the caller writes or keeps again; in the file they are until `forget`."""
        turns, self._turns = self._turns, []
        return turns

    def forget(self) -> None:
        """Removes the file, once all are written."""
        if self._path is not None and not self._turns:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> list[tuple[str, Turn]]:
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[tuple[str, Turn]])
        except (OSError, msgspec.MsgspecError) as error:
            unreadable = path.with_name(f"{path.name}.unreadable")
            log.warning("turns that were kept cannot be read (%s); the file is now %s", error, unreadable)
            with contextlib.suppress(OSError):
                path.replace(unreadable)
            return []

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            write_atomically(self._path, [msgspec.json.encode(self._turns)])
        except OSError as error:
            log.warning("a turn is kept in memory alone: %s", error)
