"""The sessions: conversations in SQLite, durable turn by turn.

A turn is written when its answer is complete and before the answer's `done` is sent. The question is written first,
so that not even a power cut in the middle of an answer loses what the user typed. No turn is ever changed: going back
and forking leave those that were said where they are. Private conversations are in a database of their own, in memory.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from erllama_daemon.errors import (
    NoSession,
    SessionMoved,
    SessionUnknown,
    TurnUnknown,
)
from erllama_daemon.frames import History
from erllama_daemon.messages import Message, Session, SessionSummary, SessionTurn
from erllama_daemon.sessions.chats import Chat, chats_in
from erllama_daemon.sessions.database import Database
from erllama_daemon.sessions.naming import counted, title_of
from erllama_daemon.sessions.rescue.rescue import notice_of_rescue
from erllama_daemon.sessions.schema import BUSY_TIMEOUT_S
from erllama_daemon.sessions.search import find_id, summaries
from erllama_daemon.sessions.session import check_name, count_turns_since, delete_session, head_of, read_session
from erllama_daemon.sessions.tree import (
    TurnRow,
    decode_messages,
    find_turn,
    history_of,
    named_turns,
    turns_of,
    way_title,
    way_to,
)
from erllama_daemon.sessions.turn import Turn
from erllama_daemon.sessions.turn_writer import TurnWriter

PRIVATE = "private-"
"""How the ids of private conversations begin."""

BEGINNING = "0"
"""The name of what the first turn follows."""


class Sessions:
    """The database of one user; any thread may call. Raises SessionsUnusable when SQLite fails.

    Every write is on the disk when the call returns (`synchronous=FULL`). Without a path, the conversations are
    private: nothing is ever written to a disk. A database that is damaged when it is opened is rescued.
    """

    def __init__(self, path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._database = Database(path, busy_timeout_s=busy_timeout_s)
        self._turns = TurnWriter(self._database)
        self._is_private = path is None

    def close(self) -> None:
        """Closes the database."""
        self._turns.settle()
        self._database.close()

    def notice(self) -> str | None:
        """What the user is to hear of a database that was damaged; usually nothing."""
        if self._database.path is None:
            return None
        with self._reading() as database:
            return notice_of_rescue(database, self._database.path.parent)

    def create(self, model: str, name: str | None = None) -> Session:
        """A new, empty conversation with a model. Raises SessionNameTaken and RequestInvalid."""
        now = time.time()
        # What a private one leaves in a worker is found through its id, which therefore nobody may guess.
        session_id = PRIVATE + secrets.token_hex(16) if self._is_private else secrets.token_hex(4)
        with self._writing() as database:
            check_name(database, name)
            database.execute(
                "INSERT INTO sessions (id, name, model, title, created, updated) VALUES (?, ?, ?, '', ?, ?)",
                (session_id, name, model, now, now),
            )
        return self.get(session_id)

    def get(self, session_id: str) -> Session:
        """The conversation with this id. Raises SessionUnknown."""
        with self._reading() as database:
            return read_session(database, session_id, is_private=self._is_private)

    def find(self, called: str) -> Session:
        """The conversation of this name or id, or the only one whose id begins so.

        Raises SessionUnknown, which suggests names that are near, and SessionAmbiguous.
        """
        with self._reading() as database:
            return self.get(find_id(database, called))

    def latest(self) -> Session:
        """The conversation that was used last, of those in which something was said. Raises NoSession."""
        with self._reading() as database:
            row = database.execute(
                "SELECT id FROM sessions WHERE title != '' ORDER BY updated DESC, rowid DESC LIMIT 1"
            ).fetchone()
        if row is None:
            raise NoSession
        return self.get(row[0])

    def summaries(self, text: str = "") -> list[SessionSummary]:
        """The conversations in which something was said, or those that hold `text`, the one used last first."""
        with self._reading() as database:
            return summaries(database, text)

    def chats(self) -> list[Chat]:
        """The conversations and the keys that each one holds."""
        with self._reading() as database:
            return chats_in(database)

    def turns(self, session_id: str) -> list[SessionTurn]:
        """Every turn of a conversation as its user sees them. Raises SessionUnknown."""
        with self._reading() as database:
            head = self._head(session_id)
            return named_turns(turns_of(database, session_id), head)

    def way(self, session_id: str, after: int | None = None) -> list[TurnRow]:
        """The turns that the next one follows, or one after the turn `after`; none at the beginning, which is 0.

        Raises SessionUnknown, and TurnUnknown if the conversation has no such turn.
        """
        with self._reading() as database:
            head = self._head(session_id)
            if after is not None:
                head = after or None
            if after and after not in {turn.id for turn in turns_of(database, session_id)}:
                raise TurnUnknown(session=session_id, turn=after)
            return way_to(database, head)

    def way_of_key(self, finish_key: bytes) -> list[TurnRow]:
        """The turns up to the one whose answer ended in this key; none if no conversation has it."""
        with self._reading() as database:
            row = database.execute(
                "SELECT id FROM turns WHERE finish_key = ? ORDER BY id DESC LIMIT 1", (finish_key,)
            ).fetchone()
            return way_to(database, None if row is None else row[0])

    def history(self, session_id: str, after: int | None = None) -> History | None:
        """What the next turn extends, or one after the turn `after`; None at the beginning, which `after` 0 is too.

        Raises SessionUnknown, and TurnUnknown if the conversation has no such turn.
        """
        return history_of(self.way(session_id, after))

    def check_seen(self, session_id: str, seen: int | None) -> None:
        """Raises SessionMoved if the conversation has gone on since the turn `seen` (0 is its beginning).

        Raises SessionUnknown.
        """
        with self._reading() as database:
            head = self._head(session_id)
            if seen is None or head == (seen or None):
                return
            more = count_turns_since(database, session_id, seen)
        raise SessionMoved(session=session_id, turns=counted(more, "turn") if more else "")

    def unanswered(self, session_id: str) -> list[Message]:
        """The messages of the turn that was asked last, if it was not answered."""
        with self._reading() as database:
            row = database.execute(
                "SELECT unanswered FROM sessions WHERE id = ? AND unanswered IS NOT NULL", (session_id,)
            ).fetchone()
        return [] if row is None else decode_messages(row[0])

    def with_lost_system_prompt(self, session_id: str, given: list[Message], after: int | None) -> list[Message]:
        """The messages of a turn, after the system prompt that came with one which was never answered.

        That one stood in the same place, and was the first of all or asked the same.
        """
        session = self.get(session_id)
        last = session.turn or 0
        place, lost_place = (last if turn is None else turn for turn in (after, session.asked_after))
        lost = self.unanswered(session_id)
        is_meant = place == lost_place and (place == 0 or lost[-1:] == given[-1:])
        if not is_meant or any(message.role == "system" for message in given):
            return given
        return [*(message for message in lost if message.role == "system"), *given]

    def ask(self, session_id: str, messages: list[Message], after: int | None = None) -> None:
        """Keeps the messages of a new turn until it is written, with what it follows if not the last, and room for it.

        A conversation that begins with them, or begins anew, is called after them.

        Raises SessionUnknown if the conversation was deleted meanwhile, and DiskFull.
        """
        self._turns.make_room()
        with self._writing() as database:
            updated = database.execute(
                "UPDATE sessions SET unanswered = ?, asked_after = ?, updated = ?,"
                " title = CASE WHEN title = '' OR coalesce(?, head, 0) = 0 THEN ? ELSE title END WHERE id = ?",
                (
                    msgspec.json.encode(messages),
                    after,
                    time.time(),
                    after,
                    title_of(messages[-1].text),
                    session_id,
                ),
            ).rowcount
            if not updated:
                raise SessionUnknown(session=session_id)

    def add_turn(self, session_id: str, turn: Turn) -> int:
        """Writes a finished turn, from which the conversation goes on, and gives its number.

        Raises TurnUnwritten if it could not be written yet; the first later call that can writes it.
        """
        return self._turns.write(session_id, turn)

    def go_to(self, session_id: str, turn: str) -> Session:
        """Has a conversation go on from another of its turns, or from its beginning. Raises TurnUnknown."""
        with self._writing() as database:
            head = self._turn_called(session_id, turn)
            database.execute(
                "UPDATE sessions SET head = ?, unanswered = NULL, asked_after = NULL, updated = ?,"
                " title = coalesce(?, title) WHERE id = ?",
                (head, time.time(), way_title(way_to(database, head)), session_id),
            )
        return self.get(session_id)

    def fork(self, session_id: str, *, name: str | None = None, turn: str | None = None) -> Session:
        """A new conversation that shares the turns of this one up to its last, or up to `turn`.

        Raises TurnUnknown, SessionNameTaken and RequestInvalid.
        """
        forked = secrets.token_hex(4)
        with self._writing() as database:
            check_name(database, name)
            origin = self.get(session_id)
            head = origin.turn if turn is None else self._turn_called(session_id, turn)
            now = time.time()
            database.execute(
                "INSERT INTO sessions (id, name, model, title, created, updated, head, shared)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (forked, name, origin.model, way_title(way_to(database, head)) or origin.title, now, now, head, head),
            )
        return self.get(forked)

    def change(self, session_id: str, *, name: str | None = None, model: str | None = None) -> Session:
        """Gives a conversation another name (none, if it is empty), or has it go on with another model.

        Raises SessionNameTaken and RequestInvalid.
        """
        with self._writing() as database:
            if name:
                check_name(database, name, session_id)
            if name is not None:
                database.execute("UPDATE sessions SET name = ? WHERE id = ?", (name or None, session_id))
            if model is not None:
                database.execute("UPDATE sessions SET model = ? WHERE id = ?", (model, session_id))
        return self.get(session_id)

    def delete(self, session_id: str) -> int:
        """Deletes a conversation and the turns that no other one leads over; gives how many those were.

        One that is not there is fine. Nothing of what was said in them is left in the file, unless somebody reads in it
        for so long that it is another time.
        """
        with self._writing() as database:
            deleted = delete_session(database, session_id)
        with self._reading() as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted

    def is_empty(self) -> bool:
        """Whether there is no conversation."""
        with self._reading() as database:
            return database.execute("SELECT 1 FROM sessions LIMIT 1").fetchone() is None

    def unused_since(self, moment: float) -> list[str]:
        """The conversations that were last used before a moment (Unix seconds), the longest unused first."""
        with self._reading() as database:
            return [
                found
                for (found,) in database.execute(
                    "SELECT id FROM sessions WHERE updated < ? ORDER BY updated", (moment,)
                )
            ]

    def _head(self, session_id: str) -> int | None:
        with self._reading() as database:
            return head_of(database, session_id)

    def _turn_called(self, session_id: str, name: str) -> int | None:
        if name == BEGINNING:
            return None
        turn = find_turn(self.turns(session_id), name)
        if turn is None:
            raise TurnUnknown(session=session_id, turn=name)
        return turn.id

    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        self._turns.settle()
        return self._database.reading()

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        self._turns.settle()
        return self._database.writing()
