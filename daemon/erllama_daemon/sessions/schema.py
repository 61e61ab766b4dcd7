"""The tables of the conversations, and how a database of them is opened, whoever does it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import msgspec

from erllama_daemon.directories import create_private
from erllama_daemon.errors import SessionsTooNew, SessionsUnusable
from erllama_daemon.sessions.rescue.aside import finish_swap

VERSION = 2
"""Of the tables, as `PRAGMA user_version` has it. A new database has 0, and so has one of the first version."""

BUSY_TIMEOUT_S = 10.0

SESSION_COLUMNS = ("id", "name", "model", "title", "created", "updated", "head", "shared", "asked_after", "unanswered")
"""What the seal of a conversation covers, in the order in which it does."""

TURN_COLUMNS = (
    "id",
    "parent",
    "session",
    "created",
    "finish_reason",
    "first_token",
    "finish_key",
    "fingerprint",
    "messages",
    "view",
    "thinking",
    "tokens",
)
"""What the seal of a turn covers, in the order in which it does."""

SEAL_BYTES = 16
"""Of each digest in a seal."""

SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,          -- what its user calls it
    model TEXT NOT NULL,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    head INTEGER REFERENCES turns(id),  -- the turn that the next one follows; null before the first
    shared INTEGER REFERENCES turns(id), -- of a fork: the last turn of those that were said elsewhere
    asked_after INTEGER,       -- the turn that the unanswered messages follow, if not the last; 0: the beginning
    seal BLOB,                 -- tells whether the row is as it was written; every connection of ours renews it
    unanswered BLOB            -- JSON: the new messages of a turn that has no answer yet
) STRICT;
CREATE TABLE turns (           -- a tree: nothing that was said is changed, a fork is a second child
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent INTEGER REFERENCES turns(id),
    session TEXT REFERENCES sessions(id) ON DELETE SET NULL,  -- where it was said
    created REAL NOT NULL,
    finish_reason TEXT NOT NULL,
    first_token INTEGER NOT NULL,
    finish_key BLOB NOT NULL,
    fingerprint TEXT NOT NULL, -- of the model that the tokens belong to
    seal BLOB,                 -- as above, one digest for the tokens after that for all else
    messages BLOB NOT NULL,    -- JSON: the new messages and the answer
    view BLOB,                 -- JSON: what the model was shown of all before and of the new messages, if not that
    thinking TEXT,
    tokens BLOB NOT NULL       -- little-endian u32: the chain's tokens from `first_token` on
) STRICT;
CREATE TABLE rescues (         -- what became of a damaged database in whose place this one is
    damaged TEXT NOT NULL,     -- the file in which that is kept, in the same folder
    at REAL NOT NULL,
    sessions INTEGER NOT NULL,
    turns INTEGER NOT NULL
) STRICT;
CREATE INDEX turns_by_parent ON turns(parent);
CREATE INDEX turns_by_session ON turns(session);
CREATE INDEX turns_by_key ON turns(finish_key);
CREATE INDEX sessions_by_head ON sessions(head);
CREATE INDEX sessions_by_shared ON sessions(shared);
"""

_SEAL_SESSION = f"UPDATE sessions SET seal = seal_of_session({', '.join(SESSION_COLUMNS)})"  # noqa: S608
_SEAL_TURN = f"UPDATE turns SET seal = seal_of_turn({', '.join(TURN_COLUMNS)})"  # noqa: S608

_SEALING = f"""
CREATE TEMP TRIGGER session_written AFTER INSERT ON sessions BEGIN
    {_SEAL_SESSION} WHERE id = new.id;
END;
CREATE TEMP TRIGGER session_changed AFTER UPDATE OF {", ".join(SESSION_COLUMNS)} ON sessions BEGIN
    {_SEAL_SESSION} WHERE id = new.id;
END;
CREATE TEMP TRIGGER turn_written AFTER INSERT ON turns BEGIN
    {_SEAL_TURN} WHERE id = new.id;
END;
CREATE TEMP TRIGGER turn_changed AFTER UPDATE OF {", ".join(TURN_COLUMNS)} ON turns BEGIN
    {_SEAL_TURN} WHERE id = new.id;
END;
"""

_FROM_VERSION_1 = f"""
ALTER TABLE turns RENAME TO old_turns;
ALTER TABLE sessions RENAME TO old_sessions;
{SCHEMA}
INSERT INTO sessions (id, model, title, created, updated, unanswered)
    SELECT id, model, title, created, updated, unanswered FROM old_sessions;
INSERT INTO turns (id, parent, session, created, finish_reason, first_token, finish_key, fingerprint, messages, tokens)
    SELECT new.rowid, (SELECT max(before.rowid) FROM old_turns before
                       WHERE before.session = new.session AND before.number = new.number - 1),
        new.session, (SELECT updated FROM old_sessions WHERE id = new.session),
        'stop', new.first_token, new.finish_key, new.fingerprint, new.messages, new.tokens
    FROM old_turns new ORDER BY new.rowid;
UPDATE sessions SET head = (SELECT old.rowid FROM old_turns old WHERE old.session = sessions.id
                            ORDER BY old.number DESC LIMIT 1);
DROP TABLE old_turns;
DROP TABLE old_sessions;
{_SEAL_SESSION};
{_SEAL_TURN};
"""  # noqa: S608


def open_database(path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """The database at `path`, created or brought to this version if need be; without a path, one in memory.

    Any thread may use it. Every transaction is on the disk when it ends, and what it deletes is overwritten. Waits
    `busy_timeout_s` for others that write. Raises SessionsUnusable and SessionsTooNew, which leaves the file untouched.
    """
    place = path or ":memory:"
    try:
        if path is not None:
            create_private(path.parent)
            finish_swap(path)
            _check_version(path, busy_timeout_s)
            path.touch(mode=0o600)
        database = sqlite3.connect(place, check_same_thread=False, isolation_level=None, timeout=busy_timeout_s)
        try:
            database.execute("PRAGMA temp_store=MEMORY")
            database.execute("PRAGMA secure_delete=ON")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.create_function("seal_of_session", len(SESSION_COLUMNS), _seal_session, deterministic=True)
            database.create_function("seal_of_turn", len(TURN_COLUMNS), _seal_turn, deterministic=True)
            _migrate(database, place)
            database.execute("PRAGMA foreign_keys=ON")
            database.executescript(_SEALING)
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
        database = read_only(path)
        try:
            found = version_of(database)
        except BaseException:
            database.close()
            raise
        if found == VERSION:
            return database
        database.close()
        open_database(path).close()
        return read_only(path)
    except sqlite3.Error as error:
        raise SessionsUnusable(path=path, reason=error) from error


def read_only(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """The database at `path`, which is neither created, changed nor looked at. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=busy_timeout_s)


def seal_session(values: Sequence[object]) -> bytes:
    """The seal of a conversation with these values of `SESSION_COLUMNS`."""
    return _digest("session", values)


def seal_turn(values: Sequence[object]) -> bytes:
    """The seal of a turn with these values of `TURN_COLUMNS`: the digest of all but the tokens, then theirs."""
    return _digest("turn", values[:-1]) + _digest("tokens", values[-1:])


def version_of(database: sqlite3.Connection) -> int:
    """The version of its tables; 0 if it has none yet, or those of the first version."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _digest(kind: str, values: Sequence[object]) -> bytes:
    return blake2b(msgspec.msgpack.encode((kind, *values)), digest_size=SEAL_BYTES).digest()


def _seal_session(*values: object) -> bytes:
    return seal_session(values)


def _seal_turn(*values: object) -> bytes:
    return seal_turn(values)


def _check_version(path: Path, busy_timeout_s: float) -> None:
    """Raises SessionsTooNew before anything is written."""
    if not path.is_file() or not path.stat().st_size:
        return
    with closing(read_only(path, busy_timeout_s=busy_timeout_s)) as database:
        found = version_of(database)
    if found > VERSION:
        raise SessionsTooNew(path=path, found=found, known=VERSION)


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
