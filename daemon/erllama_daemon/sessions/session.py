"""One conversation in the database: what its row and its turns say together."""

from __future__ import annotations

import sqlite3

from erllama_daemon.errors import RequestInvalid, SessionNameTaken, SessionUnknown
from erllama_daemon.messages import Session
from erllama_daemon.sessions.naming import NAME_CHARACTERS, is_name
from erllama_daemon.sessions.tree import decode_messages, turns_of, way_to

_COLUMNS = "id, name, model, title, created, updated, head, asked_after, unanswered"

_DELETE_UNUSED_TURNS = """
WITH RECURSIVE used(id) AS (
    SELECT head FROM sessions WHERE head IS NOT NULL
    UNION SELECT shared FROM sessions WHERE shared IS NOT NULL
    UNION SELECT id FROM turns WHERE session IS NOT NULL
    UNION SELECT parent FROM turns JOIN used ON turns.id = used.id WHERE parent IS NOT NULL
)
DELETE FROM turns WHERE id NOT IN (SELECT id FROM used)
"""


def read_session(database: sqlite3.Connection, session_id: str, *, is_private: bool) -> Session:
    """A conversation as its user sees it. Raises SessionUnknown."""
    row = database.execute(f"SELECT {_COLUMNS} FROM sessions WHERE id = ?", (session_id,)).fetchone()  # noqa: S608
    if row is None:
        raise SessionUnknown(session=session_id)
    found, name, model, title, created, updated, head, asked_after, unanswered = row
    way = way_to(database, head)
    return Session(
        id=found,
        name=name,
        model=model,
        title=title,
        created=created,
        updated=updated,
        messages=[message for turn in way for message in turn.messages],
        tokens=way[-1].end if way else 0,
        finish_key=way[-1].finish_key.hex() if way else None,
        fingerprint=way[-1].fingerprint if way else None,
        unanswered=decode_messages(unanswered)[-1] if unanswered else None,
        asked_after=asked_after,
        private=is_private,
        turn=head,
        turns=len(way),
    )


def head_of(database: sqlite3.Connection, session_id: str) -> int | None:
    """The turn that the next one follows; None at the beginning. Raises SessionUnknown."""
    row = database.execute("SELECT head FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        raise SessionUnknown(session=session_id)
    return None if row[0] is None else int(row[0])


def check_name(database: sqlite3.Connection, name: str | None, owner: str | None = None) -> None:
    """Raises RequestInvalid for what is no name, and SessionNameTaken if another conversation than `owner` has it."""
    if name is None:
        return
    if not is_name(name):
        raise RequestInvalid(reason=f"a name has at most {NAME_CHARACTERS} characters, of those that can be seen")
    row = database.execute("SELECT id FROM sessions WHERE ? IN (name, id)", (name,)).fetchone()
    if row is not None and row[0] != owner:
        raise SessionNameTaken(name=name, session=row[0])


def count_turns_since(database: sqlite3.Connection, session_id: str, seen: int) -> int:
    """How many turns the conversation leads over that do not lead to the turn `seen`; 0 is its beginning."""
    is_turn = seen in {turn.id for turn in turns_of(database, session_id)}
    known = {turn.id for turn in way_to(database, seen if is_turn else None)}
    return sum(turn.id not in known for turn in way_to(database, head_of(database, session_id)))


def delete_session(database: sqlite3.Connection, session_id: str) -> int:
    """Deletes a conversation and the turns that no other one leads over; gives how many. In the caller's transaction.

    One that is not there is fine.
    """
    database.execute("UPDATE sessions SET head = NULL, shared = NULL WHERE id = ?", (session_id,))
    database.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
    database.execute(_DELETE_UNUSED_TURNS)
    return int(database.execute("SELECT changes()").fetchone()[0])
