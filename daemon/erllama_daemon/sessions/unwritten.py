"""Finished turns that the database would not take: kept until it does, on the disk too if that takes anything."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

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
            log.warning("what was kept at %s cannot be read: %s", path, error)
            return []

    def _write(self) -> None:
        if self._path is None:
            return
        unfinished = self._path.with_name(f"{self._path.name}.unfinished")
        try:
            handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(self._turns))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except OSError as error:
            log.warning("a turn is kept in memory alone: %s", error)
