"""The conversations of both kinds: those that are kept, and private ones."""

from __future__ import annotations

import contextlib
from pathlib import Path

from erllama_daemon.errors import RequestInvalid, SessionUnknown
from erllama_daemon.messages import Session
from erllama_daemon.sessions.store import PRIVATE, Sessions

_NAMELESS = "a private conversation has no name"


class Conversations:
    """Two databases, `kept` on disk and `private` in memory. Any thread may call. Raises SessionsUnusable."""

    def __init__(self, path: Path) -> None:
        self.kept = Sessions(path)
        self.private = Sessions(None)

    @property
    def has_private(self) -> bool:
        """Whether there is a private one, which would be gone with this process."""
        return not self.private.is_empty()

    def holding(self, session_id: str) -> Sessions:
        """Where the conversation of this id would be."""
        return self.private if is_private(session_id) else self.kept

    def create(self, model: str, *, private: bool, name: str | None = None) -> Session:
        """A new, empty conversation with a model. Raises SessionNameTaken and RequestInvalid."""
        if private and name is not None:
            raise RequestInvalid(reason=_NAMELESS)
        return (self.private if private else self.kept).create(model, name)

    def find(self, name: str) -> Session:
        """The conversation of this name or id, or the only one whose id begins so; a private one by all of its id.

        Raises SessionUnknown and SessionAmbiguous.
        """
        if is_private(name):
            with contextlib.suppress(SessionUnknown):
                return self.private.get(name)
        return self.kept.find(name)

    def change(self, session_id: str, *, name: str | None, model: str | None) -> Session:
        """Gives a conversation another name or another model.

        Raises SessionUnknown, SessionNameTaken and RequestInvalid.
        """
        if is_private(session_id) and name:
            raise RequestInvalid(reason=_NAMELESS)
        return self.holding(session_id).change(session_id, name=name, model=model)

    def close(self) -> None:
        """Closes both; with that, the private ones are gone."""
        self.kept.close()
        self.private.close()


def is_private(session_id: str) -> bool:
    """Whether a conversation is private, by its id."""
    return session_id.startswith(PRIVATE)
