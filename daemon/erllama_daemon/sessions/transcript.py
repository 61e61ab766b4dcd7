"""A conversation as a whole, to take it to another machine: everything that the database holds of it."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from erllama_cache.keys import KEY_BYTES, TOKEN_BYTES
from erllama_daemon.errors import SessionNameTaken, SessionsUnusable, SessionUnknown
from erllama_daemon.messages import FinishReason, Message
from erllama_daemon.sessions.naming import is_name
from erllama_daemon.sessions.schema import open_database, open_to_read
from erllama_daemon.sessions.tree import TurnRow, decode_messages, turns_of
from erllama_daemon.sessions.turn import Turn, insert_row

_ID = re.compile(r"[0-9a-f]{4,64}")


class TranscriptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table `turns`. `parent` is the place in the transcript of the turn it follows, counted from 0.

    One that does not say so follows the turn before it. Raises ValueError for tokens or a key that cannot be any.
    """

    messages: list[Message]
    first_token: int
    tokens: bytes
    finish_key: bytes
    fingerprint: str
    parent: int | UnsetType | None = UNSET
    created: float = 0.0
    view: list[Message] | None = None
    thinking: str | None = None
    finish_reason: FinishReason = "stop"

    def __post_init__(self) -> None:
        if not self.messages:
            raise ValueError("a turn says nothing")
        if self.first_token < 0 or len(self.tokens) % TOKEN_BYTES or len(self.finish_key) != KEY_BYTES:
            raise ValueError("a turn's tokens or key cannot be any")


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table `sessions`, and its turns. Times are seconds since the epoch.

    `head` is the place among the turns of the one that the conversation goes on from, the last if it does not say so.
    `asked_after` is the place of the turn that `unanswered` follows, if that is another one; -1 is the beginning.
    Raises ValueError for an id or a name that no kept conversation has, and for turns that do not follow one another.
    """

    id: str
    model: str
    title: str
    created: float
    updated: float
    unanswered: list[Message] | None
    turns: list[TranscriptTurn]
    name: str | None = None
    head: int | UnsetType | None = UNSET
    asked_after: int | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("a conversation's id is hexadecimal")
        if self.name is not None and not is_name(self.name):
            raise ValueError("a conversation cannot be called so")
        ends: list[int] = []
        for place, turn in enumerate(self.turns):
            parent = self.parent_of(place)
            if parent is not None and not 0 <= parent < place:
                raise ValueError("a turn follows one that is not before it")
            if turn.first_token > (0 if parent is None else ends[parent]):
                raise ValueError("a turn begins behind the end of the one before")
            ends.append(turn.first_token + len(turn.tokens) // TOKEN_BYTES)
        if self.head_place is not None and not 0 <= self.head_place < len(self.turns):
            raise ValueError("the last turn is none of the turns")
        if self.unanswered == []:
            raise ValueError("a question says nothing")
        if self.asked_after is not None and not -1 <= self.asked_after < len(self.turns):
            raise ValueError("a question follows none of the turns")

    def parent_of(self, place: int) -> int | None:
        """The place of the turn that the one at `place` follows."""
        parent = self.turns[place].parent
        return (place - 1 if place else None) if isinstance(parent, UnsetType) else parent

    @property
    def head_place(self) -> int | None:
        """The place of the turn that the conversation goes on from; None at its beginning."""
        if isinstance(self.head, UnsetType):
            return len(self.turns) - 1 if self.turns else None
        return self.head

    @property
    def called(self) -> str:
        """What to call it: its name, or else how it began, or else its id."""
        return self.name or self.title or self.id

    def holds_the_same(self, other: Transcript) -> bool:
        """Whether everything that was said is the same, turn by turn, whatever the conversation is called."""
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        turns = [
            msgspec.structs.replace(turn, parent=self.parent_of(place), created=turn.created or self.updated)
            for place, turn in enumerate(self.turns)
        ]
        return turns, self.head_place, self.unanswered, self.asked_after

    def said(self) -> list[TranscriptTurn]:
        """The turns from the beginning to the last, without those that the conversation has gone back from."""
        way, place = [], self.head_place
        while place is not None:
            way.append(self.turns[place])
            place = self.parent_of(place)
        return way[::-1]


def read_transcript(path: Path, chat: str) -> Transcript:
    """The conversation with the id `chat`, out of the database at `path`, as it is at one moment.

    Raises SessionUnknown, SessionsUnusable and SessionsTooNew. Creates nothing.
    """
    database = open_to_read(path)
    if database is None:
        raise SessionsUnusable(path=path, reason="there is no such file")
    try:
        with closing(database):
            database.execute("BEGIN")
            found = database.execute(
                "SELECT id, name, model, title, created, updated, head, asked_after, unanswered FROM sessions"
                " WHERE id = ?",
                (chat,),
            ).fetchone()
            if found is None:
                raise SessionUnknown(session=chat)
            rows = turns_of(database, chat)
        id_, name, model, title, created, updated, head, asked_after, unanswered = found
        places = {0: -1, **{row.id: place for place, row in enumerate(rows)}}
        return Transcript(
            id=id_,
            name=name,
            model=model,
            title=title,
            created=created,
            updated=updated,
            unanswered=None if unanswered is None else decode_messages(unanswered),
            turns=[_turn(row, places) for row in rows],
            head=None if head is None else places[head],
            asked_after=None if asked_after is None else places[asked_after],
        )
    except (ValueError, LookupError, sqlite3.Error, msgspec.MsgspecError) as error:
        raise SessionsUnusable(path=path, reason=error) from error


def adopt_transcript(path: Path, transcript: Transcript, *, name: str | None = None, anew: bool = False) -> str | None:
    """Add the conversation to the database at `path`, which is created if there is none; safe beside the daemon.

    Gives its id; None, and nothing is changed, if a conversation with its id is there, unless it is taken in `anew`,
    under an id of its own. `name` takes the place of the name that it has. Otherwise all of it is on the disk when this
    returns. Raises SessionNameTaken, SessionsUnusable and SessionsTooNew.
    """
    adopted = msgspec.structs.replace(
        transcript, id=secrets.token_hex(4) if anew else transcript.id, name=name or transcript.name
    )
    return adopted.id if adopt_transcripts(path, [adopted]) else None


def adopt_transcripts(path: Path, transcripts: Iterable[Transcript]) -> list[str]:
    """As `adopt_transcript`, all of them or, when one raises, none. Gives the ids of those that were not there."""
    try:
        with closing(open_database(path)) as database:
            database.execute("BEGIN IMMEDIATE")
            with database:
                return [transcript.id for transcript in transcripts if _insert(database, transcript)]
    except sqlite3.Error as error:
        raise SessionsUnusable(path=path, reason=error) from error


def _turn(row: TurnRow, places: dict[int, int]) -> TranscriptTurn:
    return TranscriptTurn(
        messages=row.messages,
        first_token=row.first_token,
        tokens=row.tokens,
        finish_key=row.finish_key,
        fingerprint=row.fingerprint,
        parent=None if row.parent is None else places[row.parent],
        created=row.created,
        view=row.view,
        thinking=row.thinking,
        finish_reason=row.finish_reason,
    )


def _insert(database: sqlite3.Connection, transcript: Transcript) -> bool:
    if database.execute("SELECT 1 FROM sessions WHERE id = ?", (transcript.id,)).fetchone():
        return False
    name = transcript.name
    taken = database.execute("SELECT id FROM sessions WHERE ? IN (name, id)", (name,)).fetchone()
    if name is not None and taken is not None:
        raise SessionNameTaken(name=name, session=taken[0])
    unanswered = None if transcript.unanswered is None else msgspec.json.encode(transcript.unanswered)
    database.execute(
        "INSERT INTO sessions (id, name, model, title, created, updated, unanswered) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            transcript.id,
            name,
            transcript.model,
            transcript.title,
            transcript.created,
            transcript.updated,
            unanswered,
        ),
    )
    numbers: list[int] = []
    for place, turn in enumerate(transcript.turns):
        parent = transcript.parent_of(place)
        row = Turn(
            after=None if parent is None else numbers[parent],
            messages=turn.messages,
            tokens=turn.tokens,
            finish_key=turn.finish_key,
            fingerprint=turn.fingerprint,
            view=turn.view,
            thinking=turn.thinking,
            finish_reason=turn.finish_reason,
        )
        created = turn.created or transcript.updated
        numbers.append(insert_row(database, transcript.id, row, created=created, first_token=turn.first_token))
    head, asked = transcript.head_place, transcript.asked_after
    database.execute(
        "UPDATE sessions SET head = ?, asked_after = ? WHERE id = ?",
        (
            None if head is None else numbers[head],
            None if asked is None else 0 if asked < 0 else numbers[asked],
            transcript.id,
        ),
    )
    return True
