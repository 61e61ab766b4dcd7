"""The conversations as the cache knows them: which keys each one holds. Read beside the daemon, or without one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from erllama_daemon.errors import SessionsUnusable, SessionUnknown

_CHATS = """
SELECT id, title, model, updated, (SELECT count(*) FROM turns WHERE session = id) FROM sessions
WHERE title != '' ORDER BY updated DESC
"""
_KEYS = "SELECT session, finish_key FROM turns ORDER BY session, number"


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation. `keys` are the finish keys of its turns, the first turn's first; `updated` in Unix seconds."""

    id: str
    title: str
    model: str
    updated: float
    turns: int
    keys: list[bytes]


def read_chats(path: Path) -> list[Chat]:
    """The conversations in the database at `path`, the one used last first; none if there is no such file.

    Creates nothing. Raises SessionsUnusable.
    """
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            keys: dict[str, list[bytes]] = {}
            for session, key in database.execute(_KEYS):
                keys.setdefault(session, []).append(key)
            rows = database.execute(_CHATS).fetchall()
    except sqlite3.Error as error:
        raise SessionsUnusable(path=path, reason=error) from error
    return [
        Chat(id=id_, title=title, model=model, updated=updated, turns=turns, keys=keys.get(id_, []))
        for id_, title, model, updated, turns in rows
    ]


def find_chat(chats: list[Chat], name: str) -> Chat:
    """The conversation whose id is `name` or, alone, begins with it. Raises SessionUnknown."""
    found = [chat for chat in chats if name and chat.id.startswith(name)]
    if len(found) != 1:
        raise SessionUnknown(session=name)
    return found[0]
