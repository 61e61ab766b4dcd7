"""A finished turn, and how it becomes rows."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, replace

import msgspec

from erllama_cache.keys import TOKEN_BYTES
from erllama_daemon.messages import FinishReason, Message
from erllama_daemon.sessions.tree import common_prefix, history_of, way_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One finished turn: its messages, answer included, all the tokens of the chain so far, and its finish key.

    `after` is the turn it follows. `view` is what the model was shown up to the answer, if not all that was said.
    """

    after: int | None
    messages: list[Message]
    tokens: bytes
    finish_key: bytes
    fingerprint: str
    view: list[Message] | None = None
    thinking: str | None = None
    finish_reason: FinishReason = "stop"


def insert_turn(database: sqlite3.Connection, session_id: str, turn: Turn) -> int:
    """Adds a turn, from which the conversation goes on, and gives its number.

    Tokens that earlier turns hold are not written again. In a transaction of the caller's. Raises sqlite3.Error.
    """
    history = history_of(way_to(database, turn.after))
    known = common_prefix(history.tokens, turn.tokens) if history else 0
    new = replace(turn, tokens=turn.tokens[known * TOKEN_BYTES :])
    number = insert_row(database, session_id, new, created=time.time(), first_token=known)
    database.execute(
        "UPDATE sessions SET unanswered = NULL, asked_after = NULL, updated = ?, head = ? WHERE id = ?",
        (time.time(), number, session_id),
    )
    return number


def insert_row(database: sqlite3.Connection, session_id: str, turn: Turn, *, created: float, first_token: int) -> int:
    """Adds a turn whose tokens are those of its chain from `first_token` on, and gives its number.

    `created` in Unix seconds. The conversation goes on from where it did. Raises sqlite3.Error.
    """
    number = database.execute(
        "INSERT INTO turns (parent, session, created, messages, view, thinking, finish_reason, first_token,"
        " tokens, finish_key, fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            turn.after,
            session_id,
            created,
            msgspec.json.encode(turn.messages),
            None if turn.view is None else msgspec.json.encode(turn.view),
            turn.thinking,
            turn.finish_reason,
            first_token,
            turn.tokens,
            turn.finish_key,
            turn.fingerprint,
        ),
    ).lastrowid
    if number is None:
        raise sqlite3.DatabaseError("it numbers no rows")
    return number
