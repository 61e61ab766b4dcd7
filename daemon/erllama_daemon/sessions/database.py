"""The open database of conversations: one connection that any thread may use, in whole transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from erllama_daemon.errors import SessionsUnusable
from erllama_daemon.sessions.rescue.rescue import open_or_rescue
from erllama_daemon.sessions.schema import BUSY_TIMEOUT_S, open_database


class Database:
    """The database at `path`, which is rescued if it is damaged; without a path, one in memory.

    Raises SessionsUnusable when SQLite fails, and for what is stored and cannot be read.
    """

    def __init__(self, path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.connection = open_database(None) if path is None else open_or_rescue(path, busy_timeout_s=busy_timeout_s)

    @property
    def place(self) -> Path | str:
        """Where it is, as an error says it."""
        return self.path or ":memory:"

    def close(self) -> None:
        """Closes the connection."""
        with self.lock:
            self.connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, while no other thread has it."""
        with self.lock, self._named_errors():
            yield self.connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction: all of it is written, or nothing."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise SessionsUnusable(path=self.place, reason=error) from error
