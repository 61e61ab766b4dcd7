"""Messages, and the conversations that they make up."""

from __future__ import annotations

from typing import Literal

import msgspec

FinishReason = Literal["stop", "length", "cancelled"]


class ToolCall(msgspec.Struct, frozen=True):
    """What a model wants to have called: a tool by its name, with arguments, a JSON object as the model wrote it.

    `id` is what the message with the result refers to.
    """

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation.

    `parts` joined is its text. Each part's end is a breakpoint: what comes before it can be reused from the
    cache by any request that begins the same way, whatever follows. An assistant's message may end in calls of tools; a
    tool's message is the result of the call `tool_call_id`.
    """

    role: Literal["system", "user", "assistant", "tool"]
    parts: list[str]
    tool_calls: list[ToolCall] = []
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.parts)


class NewSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/sessions`. A private session is kept in the daemon's memory alone, until it is deleted."""

    model: str
    private: bool = False
    name: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as its user sees it: `messages` lead from its beginning to its last turn.

    Times are seconds since the epoch. `turn` is the number of the last turn in the database, `turns` how many lead to
    it. `tokens` is the length of its chain, `finish_key` (hexadecimal) and `fingerprint` name the state it goes on
    from. `unanswered` is the user message that was asked last, if no turn has become of it: its answer was cut off or
    refused. It was to follow the turn `asked_after` (0: the beginning), or the last one if that is None.
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
    asked_after: int | None = None
    private: bool = False
    name: str | None = None
    turn: int | None = None
    turns: int = 0
    fingerprint: str | None = None

    @property
    def called(self) -> str:
        """What to call it: its name, or else how it began, or else its id."""
        return self.name or self.title or self.id


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation in a list. `found` is where the text that was looked for stands in it, on one line."""

    id: str
    name: str | None
    title: str
    model: str
    created: float
    updated: float
    turns: int
    tokens: int
    finish_key: str | None
    found: str | None = None

    @property
    def called(self) -> str:
        """What to call it: its name, or else how it began, or else its id."""
        return self.name or self.title or self.id


class SessionList(msgspec.Struct, frozen=True):
    """The conversations in which something was said, the one used last first.

    `notice` is a sentence for the user after the database was damaged: how many conversations were rescued, and where
    the damaged file is. It stays until that file is deleted.
    """

    sessions: list[SessionSummary]
    notice: str | None = None


class SessionTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a conversation.

    `name` is what its user calls it: its number from the beginning of the conversation, and, where several turns of the
    conversation have that number, which of them it is: 3.2. `id` is its number in the database and `parent` that of the
    turn it follows. `current` says that the conversation leads over it to its end; it has gone back from the others.
    `tokens` is the length of the chain up to its end, `finish_key` (hexadecimal) that chain's last key.
    """

    id: int
    parent: int | None
    name: str
    number: int
    messages: list[Message]
    thinking: str | None
    created: float
    finish_reason: FinishReason
    tokens: int
    finish_key: str
    current: bool


class SessionTurns(msgspec.Struct, frozen=True):
    """Every turn of a conversation, in the order in which they were said; those it shares with others too."""

    turns: list[SessionTurn]


class GoTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/sessions/ID/goto`: the next turn follows the turn of this name; "0" is the beginning."""

    turn: str


class Fork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/sessions/ID/fork`: a second conversation that shares all turns up to the last, or this one."""

    name: str | None = None
    turn: str | None = None


class SessionChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/sessions/ID/change`: what is None stays as it is; an empty name takes the name away."""

    name: str | None = None
    model: str | None = None


class DeletedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that is gone, and what went with it: the turns and the cached blocks that were its alone."""

    id: str
    called: str
    turns: int
    blocks: int
    bytes: int
