"""The daemon's database of conversations, opened whatever became of it: of a damaged one, what can be read is kept."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from erllama_daemon.directories import create_private
from erllama_daemon.errors import SessionsUnusable
from erllama_daemon.sessions.naming import counted
from erllama_daemon.sessions.rescue.aside import (
    BESIDE,
    damaged_name,
    finish_swap,
    rescue_lock,
    rescued_name,
    swap,
)
from erllama_daemon.sessions.rescue.damage import damage_of, is_damage
from erllama_daemon.sessions.rescue.salvage import Salvage, SavedSession, SavedTurn, salvage
from erllama_daemon.sessions.schema import BUSY_TIMEOUT_S, SESSION_COLUMNS, TURN_COLUMNS, open_database

log = logging.getLogger(__name__)

_WRITE_VERSION = 18
"""Where the header says which program may write the file, and what is the newest that ours says."""
_NEWEST_WRITE_VERSION = 2

_POINTERS = ("head", "shared")
"""What conversations have to turns, which have to be there first."""


def open_or_rescue(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """The database at `path` as `open_database` opens it. One that is damaged is moved aside, and a new one made.

    The new one holds every conversation and turn that can still be read, and no other; the damaged one is kept as it
    is. Raises SessionsUnusable for what is no damage, or if there is no room for both; and SessionsTooNew.
    """
    try:
        create_private(path.parent)
        finish_swap(path)
        looked_at = path.stat().st_ino if path.exists() else None
        damage = damage_of(path, busy_timeout_s=busy_timeout_s)
        if damage is None:
            database, damage = _open_to_write(path, busy_timeout_s)
            if database is not None:
                return database
        with rescue_lock(path):
            if path.stat().st_ino == looked_at:  # nobody was quicker
                _rescue(path, damage)
    except (OSError, sqlite3.Error) as error:
        raise SessionsUnusable(path=path, reason=error) from error
    return open_database(path, busy_timeout_s=busy_timeout_s)


def notice_of_rescue(database: sqlite3.Connection, folder: Path) -> str | None:
    """What the user is to hear of the last rescue, as long as the damaged file is there; else None."""
    row = database.execute("SELECT damaged, at, sessions, turns FROM rescues ORDER BY at DESC LIMIT 1").fetchone()
    if row is None or not (folder / row[0]).exists():
        return None
    name, at, sessions, turns = row
    day = datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d")
    return (
        f"The conversations were damaged on {day}: {counted(sessions, 'conversation')} with {counted(turns, 'turn')}"
        f" could be rescued. The damaged file is kept at {folder / name} until you delete it."
    )


def _open_to_write(path: Path, busy_timeout_s: float) -> tuple[sqlite3.Connection | None, str]:
    """The database, or what shows only now that is wrong with it."""
    try:
        database = open_database(path, busy_timeout_s=busy_timeout_s)
    except SessionsUnusable as error:
        if is_damage(error.__cause__):
            return None, str(error.__cause__)
        raise
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("ROLLBACK")
    except sqlite3.Error as error:
        database.close()
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY and _says_it_is_newer(path):
            return None, "its header is not as it was written"
        raise
    return database, ""


def _says_it_is_newer(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_WRITE_VERSION + 1)
    return len(head) > _WRITE_VERSION and head[_WRITE_VERSION] > _NEWEST_WRITE_VERSION


def _rescue(path: Path, damage: str) -> None:
    """Puts a database with what can be read into the place of a damaged one. The caller holds the lock."""
    now = time.time()
    when = _free_name(path, now)
    saved = salvage(path)
    made = path.with_name(f"{path.name}.unfinished")
    _remove(made)
    try:
        with closing(open_database(made)) as database:
            _fill(database, saved, damaged_name(path, when).name, now)
        _sync(made)
        made.rename(rescued_name(path, when))  # from here on, whoever opens the database finishes this
    except BaseException:
        _remove(made)
        raise
    swap(path, when)
    log.warning(
        "the conversations were damaged (%s): %s with %s could be rescued; the damaged file is kept at %s",
        " ".join(damage.split()),
        counted(len(saved.sessions), "conversation"),
        counted(len(saved.turns), "turn"),
        damaged_name(path, when),
    )


def _fill(database: sqlite3.Connection, saved: Salvage, damaged: str, now: float) -> None:
    first = [column for column in SESSION_COLUMNS if column not in _POINTERS]
    database.execute("BEGIN IMMEDIATE")
    for session in saved.sessions:
        _insert(database, "sessions", first, session)
    for turn in saved.turns:
        _insert(database, "turns", TURN_COLUMNS, turn)
    for session in saved.sessions:
        for column in _POINTERS:
            values = (getattr(session, column), session.id)
            database.execute(f"UPDATE sessions SET {column} = ? WHERE id = ?", values)  # noqa: S608
    # A number that a client knows a lost turn by must not become that of another one.
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'turns'")
    database.execute("INSERT INTO sqlite_sequence VALUES ('turns', ?)", (saved.last_id,))
    database.execute("INSERT INTO rescues VALUES (?, ?, ?, ?)", (damaged, now, len(saved.sessions), len(saved.turns)))
    database.execute("COMMIT")


def _insert(database: sqlite3.Connection, table: str, columns: Sequence[str], row: SavedSession | SavedTurn) -> None:
    marks = ", ".join("?" * len(columns))
    values = [getattr(row, column) for column in columns]
    database.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)  # noqa: S608


def _free_name(path: Path, now: float) -> str:
    """The time, as it stands in the names of the files; of two rescues within a second, the second gets a letter."""
    when = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    while damaged_name(path, when).exists():
        when += "x"
    return when


def _sync(path: Path) -> None:
    if path.with_name(f"{path.name}-wal").exists():
        raise OSError(f"{path.name} still has a log")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    for end in BESIDE:
        path.with_name(path.name + end).unlink(missing_ok=True)
