"""Connections to one SQLite file: one a thread, so that a lookup never waits for a write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path


class Connections:
    """To the file `path`, which is not created. `prepare` is called with each new one. Any thread may call.

    Raises sqlite3.Error.
    """

    def __init__(self, path: Path, prepare: Callable[[sqlite3.Connection], object], *, read_only: bool) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        self._prepare = prepare
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: list[Connection] | None = []

    def use(self) -> Connection:
        """This thread's connection, to be entered: it stays open meanwhile."""
        opened: Connection | None = getattr(self._local, "opened", None)
        if opened is None:
            opened = self._local.opened = self._new()
        return opened

    def close(self) -> None:
        """Close every thread's connection, once it is not in use. Later uses raise sqlite3.ProgrammingError."""
        with self._lock:
            all_open, self._open = self._open or [], None
        for opened in all_open:
            # In the middle of a query, closing would crash the process.
            with opened as connection:
                connection.close()

    def _new(self) -> Connection:
        with self._lock:
            if self._open is None:
                raise sqlite3.ProgrammingError("it is closed")
            connection = sqlite3.connect(self._uri, uri=True, isolation_level=None, check_same_thread=False)
            self._prepare(connection)
            self._open.append(Connection(connection))
            return self._open[-1]


class Connection:
    """A context manager: the thread that enters it has it to itself. It may be entered again in between."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._lock.release()
