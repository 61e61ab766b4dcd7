"""What can still be read of a damaged database of conversations, each row for itself, and nothing that is wrong."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from erllama_cache.keys import KEY_BYTES, TOKEN_BYTES
from erllama_daemon.sessions.naming import title_of
from erllama_daemon.sessions.rescue.pages import Row, rows_in
from erllama_daemon.sessions.schema import (
    SEAL_BYTES,
    SESSION_COLUMNS,
    TURN_COLUMNS,
    read_only,
    seal_session,
    seal_turn,
)
from erllama_daemon.sessions.tree import decode_messages

UNKNOWN_MODEL = "unknown"
"""The model of a conversation of which only turns are left, if no other conversation's tokens tell it."""

_SEAL_OF_SESSION = SESSION_COLUMNS.index("unanswered")
_SEAL_OF_TURN = TURN_COLUMNS.index("messages")
"""Where the seal stands among the columns of a table."""


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A row of the table `sessions`."""

    id: str
    name: str | None
    model: str
    title: str
    created: float
    updated: float
    head: int | None
    shared: int | None
    asked_after: int | None
    unanswered: bytes | None


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """A row of the table `turns`. With tokens that are lost, or that follow lost ones, it has none."""

    id: int
    parent: int | None
    session: str | None
    created: float
    finish_reason: str
    first_token: int
    finish_key: bytes
    fingerprint: str
    messages: bytes
    view: bytes | None
    thinking: str | None
    tokens: bytes


@dataclass(frozen=True, slots=True)
class Salvage:
    """What is left. Every turn that is pointed at is among the turns. `last_id` is the highest number a turn had."""

    sessions: list[SavedSession]
    turns: list[SavedTurn]
    last_id: int


@dataclass(slots=True)
class _Found:
    """Rows as they come out of the pages. `torn` are the turns whose tokens are not those that were written."""

    sessions: dict[str, SavedSession] = field(default_factory=dict)
    turns: dict[int, SavedTurn] = field(default_factory=dict)
    torn: set[int] = field(default_factory=set)


def salvage(path: Path) -> Salvage:
    """Reads the database at `path`, of either version, and changes nothing in it. Raises OSError.

    A row of this version counts if its seal is right. A turn whose parent is lost follows the nearest one before that
    is not, or begins its conversation; a conversation whose row is lost is made up from its turns.
    """
    rows = list(rows_in(path))
    found = _of_version_2(rows)
    if not found.turns and not found.sessions:
        found = _of_version_1(rows)
    parents = _parents_in_index(path)
    turns = _attached(found, parents)
    sessions = _with_lost_rows(found.sessions, turns)
    pointed_at = (turn or 0 for session in found.sessions.values() for turn in (session.head, session.shared))
    last_id = max((0, *parents, *turns, *pointed_at, *(turn.parent or 0 for turn in found.turns.values())))
    sessions = {id_: _with_head(session, turns, parents) for id_, session in sessions.items()}
    return Salvage(list(sessions.values()), list(turns.values()), last_id)


def _of_version_2(rows: Iterable[Row]) -> _Found:
    found = _Found()
    for row in rows:
        if len(row.values) == len(SESSION_COLUMNS) + 1:
            values, seal = _apart(row.values, _SEAL_OF_SESSION)
            values[4:6] = _float(values[4]), _float(values[5])
            if seal == _sealed(seal_session, values) and _can_be_said(values[-1]):
                session = SavedSession(*values)
                before = found.sessions.get(session.id)
                if before is None or before.updated <= session.updated:
                    found.sessions[session.id] = session
        elif len(row.values) == len(TURN_COLUMNS) + 1:
            values, seal = _apart(row.values, _SEAL_OF_TURN)
            values[0], values[3] = row.rowid, _float(values[3])
            right = _sealed(seal_turn, values)
            if seal and right and seal[:SEAL_BYTES] == right[:SEAL_BYTES]:
                found.turns[row.rowid] = SavedTurn(*values)
                if seal != right:
                    found.torn.add(row.rowid)
    return found


def _of_version_1(rows: Iterable[Row]) -> _Found:
    """Rows of the first version have no seals: what could have been written so is believed."""
    found = _Found()
    said: dict[tuple[str, int], SavedTurn] = {}
    for row in rows:
        match row.values:
            case (str(id_), str(model), str(title), int() | float() as created, int() | float() as updated, asked) if (
                isinstance(asked, bytes | None) and _can_be_said(asked)
            ):
                found.sessions[id_] = SavedSession(
                    id=id_,
                    name=None,
                    model=model,
                    title=title,
                    created=float(created),
                    updated=float(updated),
                    head=None,
                    shared=None,
                    asked_after=None,
                    unanswered=asked,
                )
            case (str(session), int(number), bytes(messages), int(first), bytes(tokens), bytes(key), str(model)) if (
                len(key) == KEY_BYTES and len(tokens) % TOKEN_BYTES == 0 <= first and _can_be_said(messages)
            ):
                said[session, number] = SavedTurn(
                    row.rowid, None, session, 0.0, "stop", first, key, model, messages, None, None, tokens
                )
    before: dict[str, tuple[int, int]] = {}
    for (id_, number), turn in sorted(said.items(), key=itemgetter(0)):
        last_number, parent = before.get(id_, (0, 0))
        owner = found.sessions.get(id_)
        created = owner.updated if owner else 0.0
        found.turns[turn.id] = replace(turn, parent=parent or None, created=created)
        if number != last_number + 1:
            found.torn.add(turn.id)
        before[id_] = number, turn.id
        if owner:
            found.sessions[id_] = replace(owner, head=turn.id)
    return found


def _attached(found: _Found, parents: dict[int, int | None]) -> dict[int, SavedTurn]:
    """The turns in the order in which they were said, each after one that is there."""
    turns: dict[int, SavedTurn] = {}
    broken: set[int] = set()
    """Those that something is lost before, or whose own tokens are: what is said after them has tokens that no longer
    follow from what is there.
    """
    for id_, turn in sorted(found.turns.items()):
        parent = _nearest(turn.parent, turn.session, turns, parents)
        if parent != turn.parent or id_ in found.torn or parent in broken:
            broken.add(id_)
            turn = replace(turn, parent=parent, first_token=0, tokens=b"")
        turns[id_] = turn
    return turns


def _with_lost_rows(found: dict[str, SavedSession], turns: dict[int, SavedTurn]) -> dict[str, SavedSession]:
    """The conversations, those of which only turns are left too."""
    sessions = dict(found)
    own: defaultdict[str, list[SavedTurn]] = defaultdict(list)
    models: dict[str, str] = {}
    for turn in turns.values():
        if turn.session is None:
            continue
        own[turn.session].append(turn)
        if turn.session in found:
            models[turn.fingerprint] = found[turn.session].model
    for lost in own.keys() - found.keys():
        said = own[lost]
        sessions[lost] = SavedSession(
            id=lost,
            name=None,
            model=models.get(said[-1].fingerprint, UNKNOWN_MODEL),
            title=_title(said[0].messages),
            created=said[0].created,
            updated=said[-1].created,
            head=said[-1].id,
            shared=None,
            asked_after=None,
            unanswered=None,
        )
    return sessions


def _with_head(session: SavedSession, turns: dict[int, SavedTurn], parents: dict[int, int | None]) -> SavedSession:
    """A conversation that goes on from the turn that it did, or from what is left of those before."""
    head, shared = (_nearest(turn, session.id, turns, parents) for turn in (session.head, session.shared))
    after = session.asked_after
    if after:
        after = _nearest(after, session.id, turns, parents) or 0
    return replace(session, head=head, shared=shared, asked_after=after)


def _nearest(
    turn: int | None, session: str | None, turns: dict[int, SavedTurn], parents: dict[int, int | None]
) -> int | None:
    """The first turn on the way from `turn` to the beginning that is there.

    Where nothing tells the way any more it is the one that was said in the conversation before.
    """
    while turn is not None and turn not in turns:
        if turn not in parents:
            said = (other.id for other in turns.values() if other.session == session and other.id < (turn or 0))
            return max(said, default=None)
        turn = parents[turn]
    return turn


def _parents_in_index(path: Path) -> dict[int, int | None]:
    """What each turn follows, turns that are lost too, as far as an index still tells."""
    parents: dict[int, int | None] = {}
    try:
        with closing(read_only(path)) as database:
            for turn, parent in database.execute("SELECT id, parent FROM turns INDEXED BY turns_by_parent"):
                if isinstance(turn, int) and (parent is None or (isinstance(parent, int) and 0 < parent < turn)):
                    parents[turn] = parent
    except sqlite3.Error:
        pass
    return parents


def _apart(values: tuple[Any, ...], place: int) -> tuple[list[Any], Any]:
    """The columns that a seal covers, and the seal, which stands at `place` in the row."""
    return [*values[:place], *values[place + 1 :]], values[place]


def _sealed(seal: Any, values: list[Any]) -> bytes | None:
    """The right seal; None for values that nothing can be sealed with."""
    try:
        return bytes(seal(values))
    except (ValueError, OverflowError, TypeError, msgspec.MsgspecError):
        return None


def _can_be_said(stored: object) -> bool:
    """Whether a column holds messages, or nothing."""
    try:
        return stored is None or (isinstance(stored, bytes) and bool(decode_messages(stored)))
    except (msgspec.MsgspecError, UnicodeError):
        return False


def _float(value: Any) -> Any:
    """SQLite writes a whole number as an integer wherever it stands."""
    return float(value) if isinstance(value, int) else value


def _title(messages: bytes) -> str:
    said = (message.text for message in decode_messages(messages) if message.role == "user")
    return title_of(next(said, ""))
