"""A conversation that outgrew the context: which of its turns a summary can stand for, and what is shown then."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from erllama_cache.keys import TOKEN_BYTES
from erllama_daemon.frames import History
from erllama_daemon.messages import Message
from erllama_daemon.sessions.tree import TurnRow, history_of

INSTRUCTION = "Summarize our conversation so far in a few sentences. Keep names, numbers and decisions."

_TOKENS = 256
_SHARE_OF_CONTEXT = 8
_ROOM_FOR_ANSWER = 4
"""At most this part of the context is kept free for the answer."""

_SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
"""How much is read of each message where not all of it fits beside the instruction."""

_NOT_YET = "…"

Count = Callable[[list[Message]], Awaitable[int]]
"""How many tokens a prompt of these messages has."""


@dataclass(frozen=True, slots=True)
class Past:
    """The beginning of a conversation, for which a summary can stand.

    To summarize it, the model reads `unread` after `history`, the conversation as it stood then. `rest` is what was
    said since, and `system` the prompt that stays before everything. `count` is how many messages it has.
    """

    history: History | None
    unread: list[Message]
    rest: list[Message]
    system: list[Message]
    count: int

    @property
    def question(self) -> list[Message]:
        """What the model is asked to get the summary."""
        return [*self.unread, Message("user", [INSTRUCTION])]


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands for a past."""

    past: Past
    text: str

    def view(self, new: Sequence[Message]) -> list[Message]:
        """What the model is shown instead of the whole conversation and the new messages.

        A system prompt that comes with these takes the place of the one before; an empty one takes it away.
        """
        given, asked = _split(new)
        system = [message for message in given or self.past.system if message.text.strip()]
        return [
            *system,
            Message("user", [INSTRUCTION]),
            Message("assistant", [self.text]),
            *self.past.rest,
            *asked,
        ]


def summary_tokens(context_size: int) -> int:
    """How long a summary may become."""
    return max(1, min(_TOKENS, context_size // _SHARE_OF_CONTEXT))


async def pasts(
    way: Sequence[TurnRow],
    new: Sequence[Message],
    *,
    max_tokens: int,
    context_size: int,
    count: Count,
    count_view: Count | None = None,
) -> AsyncGenerator[Past, None]:
    """The beginnings of a conversation that can be summarized so that the rest, `new` and an answer fit, best first.

    The best one is the shortest that holds at least half of the tokens: it ends where something was answered, so that
    the cache may hold its state and only the instruction is read. Where none will do, all of it is read, shortened. No
    result of a tool is parted from its call. `count_view` counts what is shown with the tools; a summary is asked for
    without them. Raises what counting raises.
    """
    history = history_of(way)
    if history is None:
        return
    room = context_size - summary_tokens(context_size)
    answer = min(max_tokens, context_size // _ROOM_FOR_ANSWER)
    fitting = []
    count_view = count_view or count
    is_result = bool(new) and new[0].role == "tool"
    for past in await _parts(way, history, room, count, is_open=is_result):
        size = await count_view(Summary(past, _NOT_YET).view(new))
        if size + answer <= room:
            yield past
        elif size < room:
            fitting.append(past)
    system, said = _split(history.messages)
    whole = Past(None, [], [], system, _count_said(way))
    if not is_result and await count_view(Summary(whole, _NOT_YET).view(new)) < room:
        for share in _SHARES:
            past = replace(whole, unread=[*system, *(_shortened(message, share) for message in said)])
            if await count(past.question) <= room:
                yield past
    for past in fitting:  # though little room is left for the answer
        yield past


async def _parts(way: Sequence[TurnRow], history: History, room: int, count: Count, *, is_open: bool) -> list[Past]:
    """What can be summarized of what the model has been shown, up to each answer in it, best first.

    If it `is_open`, the last answer is a call whose result is yet to come.
    """
    shown = history.messages
    system, _said = _split(shown)
    turns = _turns_in(way, shown)
    instruction = await count([Message("user", [INSTRUCTION])])
    sized = []
    for end in range(len(system) + 1, len(shown) + (not is_open)):
        if end < len(shown) and shown[end].role != "user":
            continue
        before, rest = turns.get(end), shown[end:]
        said = _count_said(way) - sum(message.role != "system" for message in rest)
        past = Past(before, shown[:end] if before is None else [], rest, system, said)
        size = await count(past.question) if before is None else _length(before) + instruction
        if size <= room:
            sized.append((size - instruction, past))
    half = (_length(history) or await count(shown)) / 2
    long = [past for size, past in sized if size >= half]
    return [*long, *(past for size, past in reversed(sized) if size < half)]


def _length(history: History) -> int:
    return len(history.tokens) // TOKEN_BYTES


def _turns_in(way: Sequence[TurnRow], shown: list[Message]) -> dict[int, History]:
    """The turns that the model has been shown as they were, by how many messages lead up to their end."""
    found = {}
    for number in range(len(way), 0, -1):
        before = history_of(way[:number])
        if before is None or before.messages != shown[: len(before.messages)]:
            break
        if before.tokens:  # lost ones are read again
            found[len(before.messages)] = before
    return found


def _split(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """The system prompt, if there is one, and all that follows it."""
    start = 1 if messages and messages[0].role == "system" else 0
    return list(messages[:start]), list(messages[start:])


def _count_said(way: Sequence[TurnRow]) -> int:
    return sum(message.role != "system" for turn in way for message in turn.messages)


def _shortened(message: Message, share: float) -> Message:
    """A message without its middle."""
    text = message.text
    half = int(len(text) * share / 2)
    if share == 1 or half == 0:
        return message
    return msgspec.structs.replace(message, parts=[f"{text[:half]} … {text[-half:]}"])
