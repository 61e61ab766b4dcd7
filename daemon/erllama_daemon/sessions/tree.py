"""The turns of the conversations as a tree, read: the way from the beginning to a turn, and what lies beside it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from erllama_cache.keys import TOKEN_BYTES
from erllama_daemon.frames import History
from erllama_daemon.messages import FinishReason, Message, SessionTurn
from erllama_daemon.sessions.naming import title_of

_WAY = """
WITH RECURSIVE way(id, parent, depth) AS (
    SELECT id, parent, 0 FROM turns WHERE id = ?
    UNION ALL SELECT turns.id, turns.parent, depth + 1 FROM turns JOIN way ON turns.id = way.parent
)
"""
_COLUMNS = (
    "turns.id, turns.parent, turns.created, messages, view, thinking, finish_reason, first_token, tokens, finish_key,"
    " fingerprint"
)
_TURNS_ON_WAY = f"{_WAY} SELECT {_COLUMNS} FROM way JOIN turns ON turns.id = way.id ORDER BY depth DESC"  # noqa: S608
_TURNS_OF_SESSION = f"""
WITH RECURSIVE own(id, parent) AS (
    SELECT id, parent FROM turns WHERE session = :session OR id IN (
        SELECT head FROM sessions WHERE id = :session UNION SELECT shared FROM sessions WHERE id = :session
    )
    UNION SELECT turns.id, turns.parent FROM turns JOIN own ON turns.id = own.parent
)
SELECT {_COLUMNS} FROM own JOIN turns ON turns.id = own.id ORDER BY turns.id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A row of the table `turns`."""

    id: int
    parent: int | None
    created: float
    messages: list[Message]
    view: list[Message] | None
    thinking: str | None
    finish_reason: FinishReason
    first_token: int
    tokens: bytes
    finish_key: bytes
    fingerprint: str

    @property
    def end(self) -> int:
        """How many tokens its chain has."""
        return self.first_token + len(self.tokens) // TOKEN_BYTES


def way_to(database: sqlite3.Connection, turn: int | None) -> list[TurnRow]:
    """The turns from the beginning to `turn`, which is the last; none for None."""
    return [] if turn is None else [_row(values) for values in database.execute(_TURNS_ON_WAY, (turn,))]


def way_title(way: Sequence[TurnRow]) -> str | None:
    """What a conversation is called after that goes this way: its first question; None without one."""
    asked = (message.text for turn in way for message in turn.messages if message.role == "user")
    return title_of(first) if (first := next(asked, "")) else None


def turns_of(database: sqlite3.Connection, session: str) -> list[TurnRow]:
    """Every turn of a conversation in the order in which they were said: those it leads over, and those it left."""
    return [_row(values) for values in database.execute(_TURNS_OF_SESSION, {"session": session})]


def history_of(way: Sequence[TurnRow]) -> History | None:
    """What a turn after `way` extends; None if there is nothing.

    Without all its tokens, which only a damaged database lacks, it is its messages that are read again.
    """
    if not way:
        return None
    shown: list[Message] = []
    tokens, are_whole = bytearray(), True
    for turn in way:
        shown = turn.view + turn.messages[-1:] if turn.view is not None else shown + turn.messages
        are_whole &= turn.first_token * TOKEN_BYTES <= len(tokens)
        del tokens[turn.first_token * TOKEN_BYTES :]
        tokens += turn.tokens
    last = way[-1]
    return History(
        messages=shown,
        tokens=bytes(tokens) if are_whole else b"",
        finish_key=last.finish_key,
        fingerprint=last.fingerprint,
    )


def named_turns(rows: Iterable[TurnRow], head: int | None) -> list[SessionTurn]:
    """The turns of a conversation, which come parents first, as its user sees them."""
    rows = list(rows)
    parents = {row.id: row.parent for row in rows}
    current = set(_up(parents, head))
    numbers: dict[int, int] = {}
    for row in rows:
        numbers[row.id] = numbers.get(row.parent or 0, 0) + 1
    many, seen = Counter(numbers.values()), Counter[int]()
    turns = []
    for row in rows:
        number = numbers[row.id]
        seen[number] += 1
        turns.append(
            SessionTurn(
                id=row.id,
                parent=row.parent,
                name=f"{number}.{seen[number]}" if many[number] > 1 else str(number),
                number=number,
                messages=row.messages,
                thinking=row.thinking,
                created=row.created,
                finish_reason=row.finish_reason,
                tokens=row.end,
                finish_key=row.finish_key.hex(),
                current=row.id in current,
            )
        )
    return turns


def find_turn(turns: Sequence[SessionTurn], name: str) -> SessionTurn | None:
    """The turn that `name` means: a number alone is the turn that the conversation leads over, or else the latest."""
    if (exact := next((turn for turn in turns if turn.name == name), None)) is not None:
        return exact
    same = [turn for turn in turns if str(turn.number) == name]
    return next((turn for turn in same if turn.current), same[-1] if same else None)


def common_prefix(old: bytes, new: bytes) -> int:
    """How many tokens two token strings begin with together."""
    if new.startswith(old):
        return len(old) // TOKEN_BYTES
    limit = min(len(old), len(new)) // TOKEN_BYTES
    pairs = zip(memoryview(old).cast("I")[:limit], memoryview(new).cast("I")[:limit], strict=True)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), limit)


def _up(parents: Mapping[int, int | None], turn: int | None) -> Iterable[int]:
    while turn is not None:
        yield turn
        turn = parents.get(turn)


def _row(values: tuple[Any, ...]) -> TurnRow:
    id_, parent, created, messages, view, *rest = values
    shown = None if view is None else decode_messages(view)
    return TurnRow(id_, parent, created, decode_messages(messages), shown, *rest)


def decode_messages(stored: bytes) -> list[Message]:
    """The messages of a column. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(stored, type=list[Message])
