"""The conversations of both kinds: those that are kept, and private ones."""

from __future__ import annotations

from pathlib import Path

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.messages import Session
from erllama_daemon.sessions.store import PRIVATE, Sessions


class Conversations:
    """Two databases, `kept` on disk and `private` in memory. Any thread may call. Raises SessionsUnusable."""

    def __init__(self, path: Path) -> None:
        self.kept = Sessions(path)
        self.private = Sessions(None)

    def holding(self, session_id: str) -> Sessions:
        """Where the conversation of this id, or of one that begins so, would be."""
        return self.private if is_private(session_id) else self.kept

    def create(self, model: str, *, private: bool, name: str | None = None) -> Session:
        """A new, empty conversation with a model. Raises SessionNameTaken and RequestInvalid."""
        if private and name is not None:
            raise RequestInvalid(reason="a private conversation has no name")
        return (self.private if private else self.kept).create(model, name)

    def find(self, name: str) -> Session:
        """The conversation of this name or id, or the only one whose id begins so.

        Raises SessionUnknown and SessionAmbiguous.
        """
        return self.holding(name).find(name)

    def close(self) -> None:
        """Closes both; with that, the private ones are gone."""
        self.kept.close()
        self.private.close()


def is_private(session_id: str) -> bool:
    """Whether a conversation is private, by its id."""
    return session_id.startswith(PRIVATE)
