"""What a stream says, line by line."""

from __future__ import annotations

import msgspec

from erllama_cache.errors import ErllamaError
from erllama_daemon.messages.answer import Stats, TokenLogprobs
from erllama_daemon.messages.conversation import ToolCall
from erllama_daemon.messages.status import ModelStatus


class Accepted(msgspec.Struct, frozen=True, tag="accepted", tag_field="event"):
    """The first event: the number that `POST /v1/cancel/ID` takes."""

    id: int


class Loading(msgspec.Struct, frozen=True, tag="loading", tag_field="event"):
    """The model is being loaded; `progress` runs from 0 to 1."""

    model: str
    progress: float = 0.0


class Queued(msgspec.Struct, frozen=True, tag="queued", tag_field="event"):
    """The request waits for `ahead` others to be admitted."""

    ahead: int


class Prefilling(msgspec.Struct, frozen=True, tag="prefilling", tag_field="event"):
    """`done` of `total` prompt tokens have been read; `cached` of them came from the cache."""

    done: int
    total: int
    cached: int


class Summarizing(msgspec.Struct, frozen=True, tag="summarizing", tag_field="event"):
    """The conversation outgrew the context: a summary is being made to take the place of its oldest messages."""

    messages: int


class Token(msgspec.Struct, frozen=True, omit_defaults=True, tag="token", tag_field="event"):
    """Text of one or a few tokens that became ready together.

    `logprobs`, if they were asked for, are those of the tokens that were generated since the event before. They may be
    ahead of the text, of which the beginning of a stop sequence is held back.
    """

    text: str
    logprobs: list[TokenLogprobs] = []


class Thinking(msgspec.Struct, frozen=True, tag="thinking", tag_field="event"):
    """Text that a thinking model says before its answer."""

    text: str


class Calling(msgspec.Struct, frozen=True, tag="tool_call", tag_field="event"):
    """The model wants to have a tool called; it has written the whole call."""

    call: ToolCall


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="event"):
    """The last event of a request that ended well."""

    stats: Stats


class Failure(msgspec.Struct, frozen=True, tag="error", tag_field="event"):
    """The last event of a request that failed, and the body of every HTTP error."""

    code: str
    message: str
    hint: str | None
    exit_code: int

    @classmethod
    def of(cls, error: ErllamaError) -> Failure:
        """The failure that carries `error` over the socket; one that came over a socket goes on as it was."""
        if isinstance(error, RemoteError):
            return error.failure
        hint = None if error.hint is None else _utf8(error.hint)
        return cls(error.code, _utf8(str(error)), hint, error.exit_code)


def _utf8(text: str) -> str:
    """A text with half surrogate pairs, which only errors quote, written out: they cannot be sent."""
    return text.encode("utf-8", "backslashreplace").decode()


Event = Accepted | Loading | Queued | Prefilling | Summarizing | Token | Thinking | Calling | Done | Failure


class RemoteError(ErllamaError):
    """{message}"""

    code = "remote"

    def __init__(self, failure: Failure) -> None:
        super().__init__(message=failure.message)
        self.failure = failure


class Loaded(msgspec.Struct, frozen=True, tag="loaded", tag_field="event"):
    """The last event of `POST /v1/models/load`."""

    status: ModelStatus


LoadEvent = Loading | Loaded | Failure
