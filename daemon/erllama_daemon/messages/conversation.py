"""Messages, and the conversations that they make up."""

from __future__ import annotations

from typing import Literal

import msgspec


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation.

    `parts` joined is its text. Each part's end is a breakpoint: what comes before it can be reused from the
    cache by any request that begins the same way, whatever follows.
    """

    role: Literal["system", "user", "assistant"]
    parts: list[str]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.parts)


class NewSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/sessions`. A private session is kept in the daemon's memory alone, until it is deleted."""

    model: str
    private: bool = False


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as its user sees it. Times are seconds since the epoch; `unanswered` is a user message
    whose answer was cut off before it was saved.
    """

    id: str
    model: str
    title: str
    created: float
    updated: float
    messages: list[Message]
    tokens: int
    finish_key: str | None
    unanswered: Message | None = None
    private: bool = False
