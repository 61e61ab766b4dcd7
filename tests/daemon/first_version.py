"""A database of conversations as the first version wrote it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from erllama_cache.keys import pack_tokens
from erllama_daemon.messages import Message

SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    unanswered BLOB            -- JSON: the new messages of a turn that has no answer yet
) STRICT;
CREATE TABLE IF NOT EXISTS turns (
    session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    messages BLOB NOT NULL,    -- JSON: the new messages and the answer
    first_token INTEGER NOT NULL,
    tokens BLOB NOT NULL,      -- little-endian u32: the chain's tokens from `first_token` on
    finish_key BLOB NOT NULL,
    fingerprint TEXT NOT NULL, -- of the model that the tokens belong to
    PRIMARY KEY (session, number)
) STRICT;
"""


def open_first_version(path: Path) -> sqlite3.Connection:
    """A database as its first version opened it."""
    path.touch(mode=0o600)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA temp_store=MEMORY")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("PRAGMA foreign_keys=ON")
    database.executescript(SCHEMA)
    return database


def fill_first_version(path: Path, *, sessions: int, turns: int) -> None:
    """Conversations that were said in turns: each takes the last token of the one before back, and adds five.

    Every second one has a question without an answer.
    """
    with closing(open_first_version(path)) as database:
        database.execute("BEGIN")
        for one in range(sessions):
            asked = msgspec.json.encode([Message("user", [f"unanswered {one}"])]) if one % 2 else None
            database.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
                (f"{one:08x}", f"model {one}", f"title {one}", 10.0 + one, 20.0 + one, asked),
            )
        for number in range(1, turns + 1):  # by turns
            for one in range(sessions):
                database.execute(
                    "INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        f"{one:08x}",
                        number,
                        msgspec.json.encode(said(one, number)),
                        max(0, 5 * (number - 1) - 1),
                        tokens(one, number)[4 * max(0, 5 * (number - 1) - 1) :],
                        key(one, number),
                        f"{one:064x}",
                    ),
                )
        database.execute("COMMIT")


def said(one: int, number: int) -> list[Message]:
    """What was said in a turn."""
    return [Message("user", [f"question {one}", f".{number}"]), Message("assistant", [f"answer {one}.{number} 🦙"])]


def tokens(one: int, number: int) -> bytes:
    """The chain up to the end of a turn: its last token is another one once the conversation has gone on."""
    return pack_tokens([*(1000 * one + at for at in range(5 * number - 1)), 7])


def key(one: int, number: int) -> bytes:
    """The finish key of a turn."""
    return bytes([one, number]) * 16
