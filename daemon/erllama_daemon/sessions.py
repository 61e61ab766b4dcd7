"""The sessions: conversations in SQLite, durable turn by turn.

A turn is written when its answer is complete and before the answer's `done` is sent. The question is written first,
so that not even a power cut in the middle of an answer loses what the user typed. Private conversations are in a
database of their own, in memory.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from erllama_daemon.directories import create_private
from erllama_daemon.errors import NoSession, SessionsUnusable, SessionUnknown
from erllama_daemon.frames import History
from erllama_daemon.messages import Message, Session
from erllama_daemon.sessions_schema import SCHEMA

PRIVATE = "private-"
"""How the ids of private conversations begin."""

_TOKEN_BYTES = 4
_TITLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Turn:
    """One finished turn: its messages, answer included, all the tokens of the chain so far, and its finish key."""

    messages: list[Message]
    tokens: bytes
    finish_key: bytes
    fingerprint: str


class Sessions:
    """The database of one user; any thread may call. Raises SessionsUnusable when SQLite fails.

    Every write is on the disk when the call returns (`synchronous=FULL`). Without a path, the conversations are
    private: nothing is ever written to a disk.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path or ":memory:"
        self._is_private = path is None
        self._lock = threading.Lock()
        try:
            if path is not None:
                create_private(path.parent)
                path.touch(mode=0o600)
            self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=10)
            self._database.execute("PRAGMA temp_store=MEMORY")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute("PRAGMA foreign_keys=ON")
            self._database.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise SessionsUnusable(path=self._path, reason=error) from error

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def create(self, model: str) -> Session:
        """A new, empty conversation with a model."""
        now = time.time()
        # What a private one leaves in a worker is found through its id, which therefore nobody may guess.
        session_id = PRIVATE + secrets.token_hex(16) if self._is_private else secrets.token_hex(4)
        self._write("INSERT INTO sessions VALUES (?, ?, '', ?, ?, NULL)", session_id, model, now, now)
        return self.get(session_id)

    def get(self, session_id: str) -> Session:
        """The conversation with this id, or with the only id that begins so. Raises SessionUnknown."""
        rows = self._read(
            "SELECT id, model, title, created, updated, unanswered FROM sessions WHERE substr(id, 1, ?) = ?",
            len(session_id),
            session_id,
        )
        if len(rows) != 1 or not session_id:
            raise SessionUnknown(session=session_id)
        found, model, title, created, updated, unanswered = rows[0]
        history = self.history(found)
        return Session(
            id=found,
            model=model,
            title=title,
            created=created,
            updated=updated,
            messages=history.messages if history else [],
            tokens=len(history.tokens) // _TOKEN_BYTES if history else 0,
            finish_key=history.finish_key.hex() if history and history.finish_key else None,
            unanswered=msgspec.json.decode(unanswered, type=list[Message])[-1] if unanswered else None,
            private=self._is_private,
        )

    def latest(self) -> Session:
        """The conversation that was used last, of those in which something was said. Raises NoSession."""
        rows = self._read("SELECT id FROM sessions WHERE title != '' ORDER BY updated DESC, rowid DESC LIMIT 1")
        if not rows:
            raise NoSession
        return self.get(rows[0][0])

    def history(self, session_id: str) -> History | None:
        """What the next turn extends; None before the first turn."""
        rows = self._read(
            "SELECT messages, first_token, tokens, finish_key, fingerprint FROM turns"
            " WHERE session = ? ORDER BY number",
            session_id,
        )
        if not rows:
            return None
        messages: list[Message] = []
        tokens = bytearray()
        for said, first_token, new_tokens, _key, _fingerprint in rows:
            messages += msgspec.json.decode(said, type=list[Message])
            del tokens[first_token * _TOKEN_BYTES :]
            tokens += new_tokens
        return History(messages=messages, tokens=bytes(tokens), finish_key=rows[-1][3], fingerprint=rows[-1][4])

    def unanswered(self, session_id: str) -> list[Message]:
        """The messages of the turn that was asked last, if it was not answered."""
        rows = self._read("SELECT unanswered FROM sessions WHERE id = ? AND unanswered IS NOT NULL", session_id)
        return msgspec.json.decode(rows[0][0], type=list[Message]) if rows else []

    def with_lost_system_prompt(self, session_id: str, given: list[Message]) -> list[Message]:
        """The messages of a first turn, after the system prompt that came with one which was never answered."""
        if any(message.role == "system" for message in given):
            return given
        return [*(message for message in self.unanswered(session_id) if message.role == "system"), *given]

    def ask(self, session_id: str, messages: list[Message]) -> None:
        """Keeps the messages of a new turn until it is written. Raises SessionUnknown if it was deleted meanwhile."""
        updated = self._write(
            "UPDATE sessions SET unanswered = ?, updated = ?, title = CASE title WHEN '' THEN ? ELSE title END"
            " WHERE id = ?",
            msgspec.json.encode(messages),
            time.time(),
            _title(messages[-1].text),
            session_id,
        )
        if not updated:
            raise SessionUnknown(session=session_id)

    def delete(self, session_id: str) -> None:
        """Deletes a conversation and its turns. One that is not there is fine."""
        self._write("DELETE FROM sessions WHERE id = ?", session_id)

    def add_turn(self, session_id: str, turn: Turn) -> None:
        """Appends a finished turn. Tokens that earlier turns hold are not written again."""
        history = self.history(session_id)
        known = _common_prefix(history.tokens, turn.tokens) if history else 0
        with self._lock, self._named_errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.execute(
                    "INSERT INTO turns SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, ?"
                    " FROM turns WHERE session = ?",
                    (
                        session_id,
                        msgspec.json.encode(turn.messages),
                        known,
                        turn.tokens[known * _TOKEN_BYTES :],
                        turn.finish_key,
                        turn.fingerprint,
                        session_id,
                    ),
                )
                self._database.execute(
                    "UPDATE sessions SET unanswered = NULL, updated = ? WHERE id = ?", (time.time(), session_id)
                )
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._named_errors():
            return self._database.execute(query, values).fetchall()

    def _write(self, query: str, *values: object) -> int:
        """How many rows were changed."""
        with self._lock, self._named_errors():
            return self._database.execute(query, values).rowcount

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SessionsUnusable(path=self._path, reason=error) from error


def _common_prefix(old: bytes, new: bytes) -> int:
    """How many tokens two token strings begin with together."""
    if new.startswith(old):
        return len(old) // _TOKEN_BYTES
    limit = min(len(old), len(new)) // _TOKEN_BYTES
    pairs = zip(memoryview(old).cast("I")[:limit], memoryview(new).cast("I")[:limit], strict=True)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), limit)


def _title(text: str) -> str:
    """A conversation's name until it gets another: the beginning of its first message, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"
