"""A conversation as a whole, to take it to another machine: everything that the database holds of it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from erllama_cache.keys import KEY_BYTES, TOKEN_BYTES
from erllama_daemon.directories import create_private
from erllama_daemon.errors import SessionsUnusable, SessionUnknown
from erllama_daemon.messages import Message
from erllama_daemon.sessions_schema import SCHEMA

_ID = re.compile(r"[0-9a-f]{4,64}")


class TranscriptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table `turns`, without its number: the turns are in order.

    Raises ValueError for tokens or a key that cannot be any.
    """

    messages: list[Message]
    first_token: int
    tokens: bytes
    finish_key: bytes
    fingerprint: str

    def __post_init__(self) -> None:
        if self.first_token < 0 or len(self.tokens) % TOKEN_BYTES or len(self.finish_key) != KEY_BYTES:
            raise ValueError("a turn's tokens or key cannot be any")


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table `sessions`, and its turns. Times are seconds since the epoch.

    Raises ValueError for an id that no kept conversation has, and for turns that do not follow one another.
    """

    id: str
    model: str
    title: str
    created: float
    updated: float
    unanswered: list[Message] | None
    turns: list[TranscriptTurn]

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("a conversation's id is hexadecimal")
        end = 0
        for turn in self.turns:
            if turn.first_token > end:
                raise ValueError("a turn begins behind the end of the one before")
            end = turn.first_token + len(turn.tokens) // TOKEN_BYTES


def read_transcript(path: Path, chat: str) -> Transcript:
    """The conversation with the id `chat`, out of the database at `path`, as it is at one moment.

    Raises SessionUnknown and SessionsUnusable. Creates nothing.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            database.execute("BEGIN")
            found = database.execute(
                "SELECT id, model, title, created, updated, unanswered FROM sessions WHERE id = ?", (chat,)
            ).fetchone()
            turns = database.execute(
                "SELECT messages, first_token, tokens, finish_key, fingerprint FROM turns WHERE session = ?"
                " ORDER BY number",
                (chat,),
            ).fetchall()
    except sqlite3.Error as error:
        raise SessionsUnusable(path=path, reason=error) from error
    if found is None:
        raise SessionUnknown(session=chat)
    try:
        return _transcript(found, turns)
    except (ValueError, msgspec.MsgspecError) as error:
        raise SessionsUnusable(path=path, reason=error) from error


def _transcript(found: tuple[Any, ...], turns: Iterable[tuple[Any, ...]]) -> Transcript:
    id_, model, title, created, updated, unanswered = found
    return Transcript(
        id=id_,
        model=model,
        title=title,
        created=created,
        updated=updated,
        unanswered=None if unanswered is None else _messages(unanswered),
        turns=[
            TranscriptTurn(
                messages=_messages(messages),
                first_token=first_token,
                tokens=tokens,
                finish_key=finish_key,
                fingerprint=fingerprint,
            )
            for messages, first_token, tokens, finish_key, fingerprint in turns
        ],
    )


def adopt_transcript(path: Path, transcript: Transcript) -> bool:
    """Add the conversation to the database at `path`, which is created if there is none; safe beside the daemon.

    False, and nothing is changed, if a conversation with its id is there. Otherwise all of it is on the disk when this
    returns. Raises SessionsUnusable.
    """
    try:
        create_private(path.parent)
        path.touch(mode=0o600)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("PRAGMA foreign_keys=ON")
            database.executescript(SCHEMA)
            database.execute("BEGIN IMMEDIATE")
            with database:
                return _insert(database, transcript)
    except (OSError, sqlite3.Error) as error:
        raise SessionsUnusable(path=path, reason=error) from error


def _insert(database: sqlite3.Connection, transcript: Transcript) -> bool:
    unanswered = None if transcript.unanswered is None else msgspec.json.encode(transcript.unanswered)
    added = database.execute(
        "INSERT OR IGNORE INTO sessions (id, model, title, created, updated, unanswered) VALUES (?, ?, ?, ?, ?, ?)",
        (
            transcript.id,
            transcript.model,
            transcript.title,
            transcript.created,
            transcript.updated,
            unanswered,
        ),
    ).rowcount
    if not added:
        return False
    database.executemany(
        "INSERT INTO turns (session, number, messages, first_token, tokens, finish_key, fingerprint)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                transcript.id,
                number,
                msgspec.json.encode(turn.messages),
                turn.first_token,
                turn.tokens,
                turn.finish_key,
                turn.fingerprint,
            )
            for number, turn in enumerate(transcript.turns, start=1)
        ],
    )
    return True


def _messages(encoded: bytes) -> list[Message]:
    return msgspec.json.decode(encoded, type=list[Message])
