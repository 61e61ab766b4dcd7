"""What the commands of the conversations print with `--json`."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_daemon.messages import DeletedSession, Failure, Session, SessionTurn


class ShownSession(msgspec.Struct, frozen=True):
    """What `sessions show --json` prints: the conversation, and its turns, those that it went back from included."""

    session: Session
    turns: list[SessionTurn]


class Removed(msgspec.Struct, frozen=True):
    """What is gone, and what went wrong with the others."""

    deleted: list[DeletedSession]
    errors: list[Failure]


class RenamedSession(msgspec.Struct, frozen=True, kw_only=True):
    """What it is called now, and what its name was."""

    id: str
    name: str | None
    title: str
    before: str | None


class ForkedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The new conversation. `origin` is the id of the other one; `turns`, which they share, end in `finish_key`."""

    id: str
    name: str | None
    title: str
    origin: str
    turns: int
    tokens: int
    finish_key: str | None


class ExportedSessions(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the file: conversations by id."""

    path: str
    format: Literal["json", "md"]
    sessions: list[str]
    bytes: int


class ImportedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of the file. `was` is its id there, which another one may have here; `new` says whether it came in
    now, and `model_missing` that its model is a file that is not here.
    """

    id: str
    was: str
    called: str
    turns: int
    model: str
    new: bool
    model_missing: bool


class Imported(msgspec.Struct, frozen=True):
    """What the files held, and what was wrong with some of them."""

    sessions: list[ImportedSession]
    errors: list[Failure]
