"""The conversations as the cache knows them: which keys each one holds. Read beside the daemon, or without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from erllama_daemon.errors import SessionAmbiguous, SessionsUnusable, SessionUnknown
from erllama_daemon.sessions.schema import open_to_read

_CHATS = """
SELECT id, name, title, model, updated, head, shared FROM sessions
WHERE title != '' OR head IS NOT NULL ORDER BY updated DESC, rowid DESC
"""
_TURNS = "SELECT id, parent, session, finish_key FROM turns ORDER BY id"


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation. `keys` are the finish keys of the turns that it leads over, the first turn's first, and
    `left_keys` those of the turns that it has gone back from; `updated` in Unix seconds.
    """

    id: str
    name: str | None
    title: str
    model: str
    updated: float
    turns: int
    keys: list[bytes]
    left_keys: list[bytes]

    @property
    def all_keys(self) -> list[bytes]:
        """The finish keys of all its turns."""
        return [*self.left_keys, *self.keys]


class ChatName(msgspec.Struct, frozen=True):
    """What a conversation is called."""

    id: str
    name: str | None
    title: str


def read_chats(path: Path) -> list[Chat]:
    """The conversations in the database at `path`, the one used last first; none if there is no such file.

    Creates nothing. Raises SessionsUnusable and SessionsTooNew.
    """
    database = open_to_read(path)
    if database is None:
        return []
    try:
        with closing(database):
            return chats_in(database)
    except sqlite3.Error as error:
        raise SessionsUnusable(path=path, reason=error) from error


def read_names(path: Path) -> list[ChatName]:
    """What the conversations of `read_chats` are called, in the same order; quicker, for no turn is looked at."""
    database = open_to_read(path)
    if database is None:
        return []
    try:
        with closing(database):
            return [ChatName(*row[:3]) for row in database.execute(_CHATS)]
    except sqlite3.Error as error:
        raise SessionsUnusable(path=path, reason=error) from error


def chats_in(database: sqlite3.Connection) -> list[Chat]:
    """The conversations in a database, the one used last first."""
    rows = database.execute(_CHATS).fetchall()
    parents: dict[int, int | None] = {}
    keys: dict[int, bytes] = {}
    own: dict[str | None, list[int]] = {}
    for turn, parent, session, key in database.execute(_TURNS):
        parents[turn], keys[turn] = parent, key
        own.setdefault(session, []).append(turn)
    chats = []
    for id_, name, title, model, updated, head, shared in rows:
        way = _up(parents, head)
        own_or_shared = {*own.get(id_, []), *_up(parents, shared)}
        chats.append(
            Chat(
                id=id_,
                name=name,
                title=title,
                model=model,
                updated=updated,
                turns=len(way),
                keys=[keys[turn] for turn in reversed(way)],
                left_keys=[keys[turn] for turn in sorted(own_or_shared.difference(way))],
            )
        )
    return chats


def _up(parents: Mapping[int, int | None], turn: int | None) -> list[int]:
    """A turn and those it follows, the first one last."""
    way = []
    while turn is not None and turn in parents:
        way.append(turn)
        turn = parents[turn]
    return way


def find_chat(chats: Iterable[Chat], name: str) -> Chat:
    """The conversation whose name or id is `name`, or whose id alone begins with it.

    Raises SessionUnknown and SessionAmbiguous.
    """
    chats = list(chats)
    exact = [chat for chat in chats if name in (chat.name, chat.id)]
    found = exact or [chat for chat in chats if name and chat.id.startswith(name)]
    if not found:
        raise SessionUnknown(session=name)
    if len(found) > 1:
        raise SessionAmbiguous(session=name, count=len(found))
    return found[0]
