"""What a file of conversations holds, looked at before anything of it is taken in."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Literal, NoReturn

import msgspec

from erllama_cache.keys import KEY_BYTES
from erllama_cli.sessions.portable import FORMAT, VERSION, Conversations, Heading
from erllama_daemon.errors import ImportTooNew, ImportUnreadable, RequestInvalid
from erllama_daemon.messages import Message, ToolCall
from erllama_daemon.messages.tool_checks import check_tool_messages
from erllama_daemon.sessions.naming import title_of
from erllama_daemon.sessions.transcript import Transcript, TranscriptTurn

_FOREIGN = "it is not what erllama sessions export writes"


class _Part(msgspec.Struct, frozen=True):
    text: str
    type: Literal["text"] = "text"


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, frozen=True):
    id: str
    function: _Function


class _PlainMessage(msgspec.Struct, frozen=True):
    """A message as other programs write it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None

    def message(self) -> Message:
        content = self.content or ""
        parts = [content] if isinstance(content, str) else [part.text for part in content]
        calls = [ToolCall(call.id, call.function.name, call.function.arguments) for call in self.tool_calls or []]
        return Message(self.role, parts, calls, self.tool_call_id)


class _PlainChat(msgspec.Struct, frozen=True):
    messages: list[_PlainMessage]


def read_conversations(data: bytes, path: str, model: str | None) -> list[Transcript]:
    """The conversations in a file, whose model is `model` here, if that is given.

    A list of messages as other programs write it, `{"messages": [{"role": …, "content": …}]}`, is a conversation too,
    one without tokens, which are made when it goes on. Raises ImportUnreadable and ImportTooNew.
    """
    try:
        heading = msgspec.json.decode(data, type=Heading)
    except msgspec.ValidationError:
        return [_plain(data, path, model)]
    except msgspec.DecodeError as error:
        _refuse(path, error)
    if heading.format != FORMAT:
        raise ImportUnreadable(path=path, reason=_FOREIGN)
    if heading.version > VERSION:
        raise ImportTooNew(path=path, found=heading.version, known=VERSION)
    if heading.version < VERSION:
        raise ImportUnreadable(path=path, reason=f"its format, {heading.version}, is not known")
    try:
        found = msgspec.json.decode(data, type=Conversations).conversations
    except msgspec.MsgspecError as error:
        _refuse(path, error)
    if len({transcript.id for transcript in found}) < len(found):
        raise ImportUnreadable(path=path, reason="two conversations in it have the same id")
    return found if model is None else [msgspec.structs.replace(each, model=model) for each in found]


def _plain(data: bytes, path: str, model: str | None) -> Transcript:
    try:
        chat = msgspec.json.decode(data, type=_PlainChat)
    except msgspec.MsgspecError as error:
        # Messages that say more than text are told apart from what holds none.
        reason = error if b'"messages"' in data else _FOREIGN
        raise ImportUnreadable(path=path, reason=reason) from error
    messages = [message.message() for message in chat.messages]
    try:
        check_tool_messages(messages, follows=False)
    except RequestInvalid as error:
        raise ImportUnreadable(path=path, reason=error.details["reason"]) from error
    if model is None:
        raise ImportUnreadable(path=path, reason="it does not say which model goes on with it; add --model MODEL")
    return _transcript(messages, path, model)


def _transcript(messages: Sequence[Message], path: str, model: str) -> Transcript:
    turns: list[TranscriptTurn] = []
    begun: list[Message] = []
    now = time.time()
    for message in messages:
        begun.append(message)
        if message.role == "assistant":
            turns.append(_turn(begun, now))
            begun = []
    first = next((message.text for message in messages if message.role == "user"), "")
    if not first.strip():
        raise ImportUnreadable(path=path, reason="nobody asks anything in it")
    if begun and begun[-1].role == "system":
        raise ImportUnreadable(path=path, reason="it ends with what the system says")
    return Transcript(
        id=secrets.token_hex(4),
        model=model,
        title=title_of(first),
        created=now,
        updated=now,
        unanswered=begun or None,
        turns=turns,
    )


def _turn(messages: list[Message], now: float) -> TranscriptTurn:
    """A turn whose tokens nobody knows yet: they are made of its messages when the conversation goes on."""
    return TranscriptTurn(
        messages=messages, first_token=0, tokens=b"", finish_key=bytes(KEY_BYTES), fingerprint="", created=now
    )


def _refuse(path: str, error: msgspec.MsgspecError) -> NoReturn:
    raise ImportUnreadable(path=path, reason=error) from error
