"""The tables of the conversations, for whoever writes them: the daemon, and who brings one from elsewhere."""

from __future__ import annotations

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
