"""What is wrong with a database of conversations, looked for whenever the daemon opens it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from erllama_daemon.errors import SessionsTooNew, SessionsUnusable
from erllama_daemon.sessions.schema import (
    SCHEMA,
    SESSION_COLUMNS,
    TURN_COLUMNS,
    VERSION,
    read_only,
    seal_session,
    seal_turn,
    version_of,
)

_SIGNS = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
}
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


def damage_of(path: Path, *, busy_timeout_s: float) -> str | None:
    """What is wrong with the database at `path`; None if all of it is as it was written, or there is none.

    Every page and every row is looked at, about 300 MB in a second, and nothing is changed. Raises SessionsUnusable for
    what is no damage, and SessionsTooNew.
    """
    log = path.with_name(f"{path.name}-wal")
    if not path.is_file() or not (path.stat().st_size or (log.is_file() and log.stat().st_size)):
        return None
    if not path.stat().st_size:
        return "it is empty, but its log is not"
    try:
        with closing(read_only(path, busy_timeout_s=busy_timeout_s)) as database:
            found = version_of(database)
            if found > VERSION:
                if _schema_of(database) != _own_schema():
                    raise SessionsTooNew(path=path, found=found, known=VERSION)
                return f"it says that it is of version {found}, but its tables are not"
            (wrong,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            return str(wrong) if wrong != "ok" else _broken_seal(database) if found == VERSION else None
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        raise SessionsUnusable(path=path, reason=error) from error


def is_damage(error: BaseException | None) -> bool:
    """Whether an error of SQLite, while a database is opened, says that what is in the file is wrong."""
    if not isinstance(error, sqlite3.Error):
        return False
    # A text that is no UTF-8 is found by Python, which gives no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in _SIGNS or code in _UNREADABLE


def _broken_seal(database: sqlite3.Connection) -> str | None:
    for session, *values in database.execute(f"SELECT seal, {', '.join(SESSION_COLUMNS)} FROM sessions"):  # noqa: S608
        if session != seal_session(values):
            return f"the conversation {values[0]} is not as it was written"
    for turn, *values in database.execute(f"SELECT seal, {', '.join(TURN_COLUMNS)} FROM turns"):  # noqa: S608
        if turn != seal_turn(values):
            return f"the turn {values[0]} is not as it was written"
    return None


def _own_schema() -> set[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        return _schema_of(database)


def _schema_of(database: sqlite3.Connection) -> set[tuple[str, ...]]:
    return set(database.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
