"""The tables of the conversations, and how a database of them is opened, whoever does it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from erllama_daemon.directories import create_private
from erllama_daemon.errors import SessionsTooNew, SessionsUnusable

VERSION = 2
"""Of the tables, as `PRAGMA user_version` has it. A new database has 0, and so has one of the first version."""

BUSY_TIMEOUT_S = 10.0

SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,          -- what its user calls it
    model TEXT NOT NULL,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    head INTEGER REFERENCES turns(id),  -- the turn that the next one follows; null before the first
    unanswered BLOB            -- JSON: the new messages of a turn that has no answer yet
) STRICT;
CREATE TABLE turns (           -- a tree: nothing that was said is changed, a fork is a second child
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent INTEGER REFERENCES turns(id),
    session TEXT REFERENCES sessions(id) ON DELETE SET NULL,  -- where it was said
    created REAL NOT NULL,
    messages BLOB NOT NULL,    -- JSON: the new messages and the answer
    view BLOB,                 -- JSON: what the model was shown of all before and of the new messages, if not that
    thinking TEXT,
    finish_reason TEXT NOT NULL,
    first_token INTEGER NOT NULL,
    tokens BLOB NOT NULL,      -- little-endian u32: the chain's tokens from `first_token` on
    finish_key BLOB NOT NULL,
    fingerprint TEXT NOT NULL  -- of the model that the tokens belong to
) STRICT;
CREATE INDEX turns_by_parent ON turns(parent);
CREATE INDEX turns_by_session ON turns(session);
CREATE INDEX turns_by_key ON turns(finish_key);
CREATE INDEX sessions_by_head ON sessions(head);
"""

_FROM_VERSION_1 = f"""
ALTER TABLE turns RENAME TO old_turns;
ALTER TABLE sessions RENAME TO old_sessions;
{SCHEMA}
INSERT INTO sessions SELECT id, NULL, model, title, created, updated, NULL, unanswered FROM old_sessions;
INSERT INTO turns
    SELECT new.rowid, (SELECT max(before.rowid) FROM old_turns before
                       WHERE before.session = new.session AND before.number = new.number - 1),
        new.session, (SELECT updated FROM old_sessions WHERE id = new.session),
        new.messages, NULL, NULL, 'stop', new.first_token, new.tokens, new.finish_key, new.fingerprint
    FROM old_turns new ORDER BY new.rowid;
UPDATE sessions SET head = (SELECT old.rowid FROM old_turns old WHERE old.session = sessions.id
                            ORDER BY old.number DESC LIMIT 1);
DROP TABLE old_turns;
DROP TABLE old_sessions;
"""  # noqa: S608


def open_database(path: Path | None) -> sqlite3.Connection:
    """The database at `path`, created or brought to this version if need be; without a path, one in memory.

    Any thread may use it. Every transaction is on the disk when it ends. Raises SessionsUnusable and SessionsTooNew.
    """
    place = path or ":memory:"
    try:
        if path is not None:
            create_private(path.parent)
            path.touch(mode=0o600)
        database = sqlite3.connect(place, check_same_thread=False, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        try:
            database.execute("PRAGMA temp_store=MEMORY")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            _migrate(database, place)
            database.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            database.close()
            raise
    except (OSError, sqlite3.Error) as error:
        raise SessionsUnusable(path=place, reason=error) from error
    return database


def open_to_read(path: Path) -> sqlite3.Connection | None:
    """The database at `path` for reading alone, of whichever version; None if there is none.

    One of an earlier version is brought to this one first: nothing can be read in a database that is about to change.
    Raises SessionsUnusable and SessionsTooNew.
    """
    if not path.is_file():
        return None
    try:
        database = _read_only(path)
        try:
            found = version_of(database)
        except BaseException:
            database.close()
            raise
        if found == VERSION:
            return database
        database.close()
        if found > VERSION:
            raise SessionsTooNew(path=path, found=found, known=VERSION)
        open_database(path).close()
        return _read_only(path)
    except sqlite3.Error as error:
        raise SessionsUnusable(path=path, reason=error) from error


def version_of(database: sqlite3.Connection) -> int:
    """The version of its tables; 0 if it has none yet, or those of the first version."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)


def _migrate(database: sqlite3.Connection, place: Path | str) -> None:
    found = version_of(database)
    if found == VERSION:
        return
    if found > VERSION:
        raise SessionsTooNew(path=place, found=found, known=VERSION)
    # References of the old tables would follow them under their new names.
    database.execute("PRAGMA foreign_keys=OFF")
    database.execute("PRAGMA legacy_alter_table=ON")
    database.execute("BEGIN IMMEDIATE")
    try:
        if version_of(database) != VERSION:  # nobody was quicker
            has_first = database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'turns'").fetchone()[0]
            for statement in _statements(_FROM_VERSION_1 if has_first else SCHEMA):
                database.execute(statement)
            database.execute(f"PRAGMA user_version={VERSION}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """The statements of a script: `executescript` would end the transaction first."""
    statements, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            statements.append(begun)
            begun = ""
    return statements
