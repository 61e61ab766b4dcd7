"""Finished turns on their way into the database: no turn that was shown is lost, even if the disk is full."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace

import msgspec

from erllama_daemon.errors import DiskFull, SessionsUnusable, TurnUnwritten
from erllama_daemon.sessions.ballast import Ballast
from erllama_daemon.sessions.database import Database
from erllama_daemon.sessions.turn import Turn, insert_turn
from erllama_daemon.sessions.unwritten import Unwritten

log = logging.getLogger(__name__)


class TurnWriter:
    """Writes turns into a database. Any thread may call."""

    def __init__(self, database: Database) -> None:
        self._database = database
        path = database.path
        self.ballast = None if path is None else Ballast(path.with_name("sessions.ballast"))
        self._unwritten = Unwritten(None if path is None else path.with_name("sessions.unwritten"))

    def make_room(self) -> None:
        """Keeps room on the disk for the turn that is about to be asked. Raises DiskFull."""
        if self.ballast is None:
            return
        with self._database.lock:
            try:
                self.ballast.take()
            except OSError as error:
                raise DiskFull(path=self.ballast.path.parent, reason=error.strerror or error) from error

    def write(self, session_id: str, turn: Turn) -> int:
        """Writes a turn, from which the conversation goes on, and gives its number.

        A turn that cannot be written, not even into the room that was kept for it, is written by the first later
        `settle` that can. Raises TurnUnwritten then, and SessionsUnusable if the conversation is there no more.
        """
        with self._database.lock:
            self.settle()
            try:
                return self._insert(session_id, turn)
            except SessionsUnusable as error:
                if isinstance(error.__cause__, sqlite3.IntegrityError):  # the conversation is not there any more
                    raise
                log.warning("a turn of %s could not be written: %s", session_id, error)
                failed = error
            try:
                if self.ballast is not None and self.ballast.give_back():
                    return self._insert(session_id, turn)
            except SessionsUnusable as error:
                log.warning("nor into the room that was kept for it: %s", error)
                failed = error
            self._unwritten.keep([(session_id, turn)])
            raise TurnUnwritten(path=self._database.place, reason=failed.__cause__) from failed

    def settle(self) -> None:
        """Writes what could not be written before; what still cannot be is kept on."""
        with self._database.lock:
            if not self._unwritten or self._database.connection.in_transaction:
                return
            turns = self._unwritten.take()
            for place, (session_id, turn) in enumerate(turns):
                try:
                    self._insert_late(session_id, turn)
                except SessionsUnusable:
                    self._unwritten.keep(turns[place:])
                    return
            self._unwritten.forget()

    def _insert(self, session_id: str, turn: Turn) -> int:
        with self._database.writing() as database:
            return insert_turn(database, session_id, turn)

    def _insert_late(self, session_id: str, turn: Turn) -> None:
        with self._database.reading() as database:
            row = database.execute("SELECT head FROM sessions WHERE id = ?", (session_id,)).fetchone()
            is_written = database.execute(
                "SELECT 1 FROM turns WHERE session = ? AND finish_key = ? AND messages = ?",
                (session_id, turn.finish_key, msgspec.json.encode(turn.messages)),
            ).fetchone()
            after = database.execute("SELECT id FROM turns WHERE id = ?", (turn.after,)).fetchone()
        if row is None or is_written:  # it was deleted meanwhile, or a process was stopped behind the writing
            return
        # What it follows may have been lost to a damage.
        self._insert(session_id, turn if turn.after is None or after else replace(turn, after=row[0]))
