"""What is on disk at one moment, and which conversations it belongs to."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from erllama_cli.model import model_name, short_name
from erllama_cli.results.cache import ChatName
from erllama_daemon.directories import Directories

if TYPE_CHECKING:
    from erllama_cache.tending.survey import Survey
    from erllama_daemon.sessions.chats import Chat

SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Contents:
    """The blocks on disk and the conversations, the one used last first.

    `survey` is what is looked at, `whole` all there is. `ends` has the conversations by the block they end with: the
    last of theirs that is still there. `now` is in Unix seconds.
    """

    survey: Survey
    whole: Survey
    chats: list[Chat]
    ends: dict[bytes, list[ChatName]]
    now: float

    @classmethod
    def read(cls, directories: Directories) -> Contents:
        """Safe beside a daemon, and needs none. Raises SessionsUnusable."""
        # Imported here: most commands need no SQLite.
        from erllama_cache.tending.survey import survey
        from erllama_daemon.sessions.chats import read_chats

        found, chats = survey(directories.cache), read_chats(directories.sessions)
        ends: dict[bytes, list[ChatName]] = {}
        for chat in chats:
            last = next((key for key in reversed(chat.keys) if key in found.rows), None)
            if last is not None:
                ends.setdefault(last, []).append(ChatName(chat.id, chat.name or chat.title))
        return cls(found, found, chats, ends, time.time())

    @cached_property
    def key_digits(self) -> int:
        """How much of a key to show: enough to tell it from every other."""
        digits = SHOWN_DIGITS
        while len({key.hex()[:digits] for key in self.survey.rows}) < len(self.survey.rows):
            digits += 1
        return digits

    def model(self, root: bytes) -> str | None:
        """The model behind a root, as its user calls it; None if that is not known."""
        origin = self.survey.origins.get(root)
        return None if origin is None else origin.model

    def chat(self, name: str) -> Chat:
        """The conversation of this name or id. Raises SessionUnknown and SessionAmbiguous."""
        from erllama_daemon.sessions.chats import find_chat

        return find_chat(self.chats, name)

    def keys(self, *, model: str | None, session: str | None) -> set[bytes]:
        """The blocks that this model computed and this conversation uses. Raises SessionUnknown."""
        rows = self.survey.rows
        found = set(rows)
        if session is not None:
            found = {row.key for key in self.chat(session).all_keys for row in self.survey.chain(key)}
        if model is not None:
            roots = {root for root, origin in self.survey.origins.items() if _is_called(origin.model, model)}
            found = {key for key in found if rows[key].root in roots}
        return found

    def only(self, keys: set[bytes]) -> Contents:
        """The same moment, but of these blocks alone."""
        from erllama_cache.tending.survey import Survey

        rows = (row for key, row in self.survey.rows.items() if key in keys)
        return replace(self, survey=Survey(rows, self.survey.origins))


def _is_called(model: str, name: str) -> bool:
    return name in (model, short_name(model)) or model_name(name) == model
