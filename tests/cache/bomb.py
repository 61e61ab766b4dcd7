"""A process that dies at its n-th call that reaches for the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

CALLS = ("open", "fdopen", "mkdir", "utime", "replace", "rename", "unlink")
SYNCS = ("fdatasync", "fsync")

EXPLODED = 1
"""The exit code."""


class Bomb:
    """Counts calls, and ends the process without a word before the one that it is set to."""

    def __init__(self, fatal_call: int) -> None:
        self._fatal_call = fatal_call
        self.calls = 0

    def is_due(self) -> bool:
        self.calls += 1
        return self.calls == self._fatal_call

    def tick(self) -> None:
        if self.is_due():
            os._exit(EXPLODED)

    def plant(self) -> None:
        """From here on every call counts: those of `os` that change a disk, each write, and each SQL statement."""
        for name in CALLS:
            setattr(os, name, self._before(getattr(os, name)))
        for name in SYNCS:
            # What was written outlives a process without them; only time is lost.
            setattr(os, name, self._before(lambda *_: None))
        opened = os.fdopen
        os.fdopen = lambda *arguments, **options: _File(opened(*arguments, **options), self)  # type: ignore[assignment]
        connect = sqlite3.connect
        factory = type("_Planted", (_Connection,), {"bomb": self})
        sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=factory, **options)

    def _before(self, call: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            self.tick()
            return call(*arguments, **options)

        return counted


class _File:
    """A file of which a write may be cut off in the middle."""

    def __init__(self, file: Any, bomb: Bomb) -> None:
        self._file = file
        self._bomb = bomb

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes | memoryview) -> None:
        if self._bomb.is_due():
            self._file.write(memoryview(data)[: len(memoryview(data)) // 2])
            self._file.flush()
            os._exit(EXPLODED)
        self._file.write(data)


class _Connection(sqlite3.Connection):
    bomb: Bomb

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self.bomb.tick()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self.bomb.tick()
        return super().executemany(*arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        self.bomb.tick()
        return super().executescript(*arguments)

    def commit(self) -> None:
        self.bomb.tick()
        super().commit()

    def __exit__(self, *arguments: Any) -> Any:
        self.bomb.tick()
        return super().__exit__(*arguments)

    def close(self) -> None:
        self.bomb.tick()
        super().close()
