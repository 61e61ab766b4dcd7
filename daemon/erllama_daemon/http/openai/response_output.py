"""The items of a response: from an answer that is there, or one that comes piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from erllama_daemon.http.openai import response_events as events
from erllama_daemon.http.openai.logprobs import ContentToken, LogprobsInStream, content_tokens, said_tokens
from erllama_daemon.http.openai.response_answer import (
    FunctionCallItem,
    ItemStatus,
    MessageItem,
    OutputItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
)
from erllama_daemon.http.openai.response_events import ResponseEvent
from erllama_daemon.messages import Calling, Event, Stats, Thinking, Token, TokenLogprobs, ToolCall


def output_of(stats: Stats) -> list[OutputItem]:
    """The items of an answer: its thinking, its text, and its calls, as far as there are any."""
    items: list[OutputItem] = []
    if stats.thinking is not None:
        items.append(_reasoning(_new("rs"), stats.thinking, "completed"))
    if stats.text or not stats.tool_calls:
        items.append(_message(_new("msg"), stats.text, content_tokens(said_tokens(stats)), text_status(stats)))
    return [*items, *(_call(_new("fc"), call, "completed") for call in stats.tool_calls)]


def text_status(stats: Stats) -> ItemStatus:
    """Whether an answer's text is all that it was to be."""
    return "incomplete" if stats.finish_reason == "length" and not stats.tool_calls else "completed"


class Numbers:
    """The numbers of a stream's events."""

    def __init__(self) -> None:
        self._next = 0

    def next(self) -> int:
        """The number of the next event."""
        self._next += 1
        return self._next - 1


@dataclass(slots=True)
class _OpenText:
    """An item whose text is coming."""

    id: str
    is_thinking: bool
    text: str = ""
    logprobs: list[ContentToken] = field(default_factory=list)

    def part(self) -> OutputText | ReasoningText:
        return ReasoningText(text=self.text) if self.is_thinking else OutputText(text=self.text, logprobs=self.logprobs)


class ComingOutput:
    """Turns what is heard of an answer into events, and puts the items together as they end."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._logprobs = LogprobsInStream()
        self._open: _OpenText | None = None
        self._calls = 0
        self.items: list[OutputItem] = []

    def of(self, event: Event) -> Iterator[ResponseEvent]:
        """The events that another one makes."""
        match event:
            case Thinking():
                yield from self._add(event.text, is_thinking=True)
            case Token():
                tokens = self._logprobs.add(event.text, event.logprobs)
                yield from self._add(event.text, tokens)
            case Calling():
                yield from self._close()
                yield from self._add_call(event.call)

    def end(self, stats: Stats) -> Iterator[ResponseEvent]:
        """The events that are missing when an answer is there."""
        if tokens := self._logprobs.end(stats):
            yield from self._add("", tokens)
        if not stats.text and not stats.tool_calls:
            yield from self._add("")
        yield from self._close(text_status(stats))
        for call in stats.tool_calls[self._calls :]:
            yield from self._add_call(call)

    def _add(
        self, text: str, tokens: list[TokenLogprobs] | None = None, *, is_thinking: bool = False
    ) -> Iterator[ResponseEvent]:
        if self._open is None or self._open.is_thinking != is_thinking:
            yield from self._close()
            yield from self._begin(is_thinking)
        if (item := self._open) is None:
            return
        item.text += text
        number, index = self._numbers.next(), len(self.items)
        if is_thinking:
            yield events.ReasoningTextDelta(
                sequence_number=number, item_id=item.id, output_index=index, content_index=0, delta=text
            )
            return
        new = content_tokens(tokens or [])
        item.logprobs += new
        yield events.OutputTextDelta(
            sequence_number=number, item_id=item.id, output_index=index, content_index=0, delta=text, logprobs=new
        )

    def _begin(self, is_thinking: bool) -> Iterator[ResponseEvent]:
        item = self._open = _OpenText(_new("rs" if is_thinking else "msg"), is_thinking)
        empty: OutputItem
        if is_thinking:
            empty = ReasoningItem(id=item.id, status="in_progress", content=[])
        else:
            empty = MessageItem(id=item.id, status="in_progress", content=[])
        yield from self._added(empty)
        yield events.ContentPartAdded(
            sequence_number=self._numbers.next(),
            item_id=item.id,
            output_index=len(self.items),
            content_index=0,
            part=item.part(),
        )

    def _close(self, status: ItemStatus = "completed") -> Iterator[ResponseEvent]:
        item, self._open = self._open, None
        if item is None:
            return
        index, number = len(self.items), self._numbers.next()
        if item.is_thinking:
            yield events.ReasoningTextDone(
                sequence_number=number, item_id=item.id, output_index=index, content_index=0, text=item.text
            )
        else:
            yield events.OutputTextDone(
                sequence_number=number,
                item_id=item.id,
                output_index=index,
                content_index=0,
                text=item.text,
                logprobs=item.logprobs,
            )
        yield events.ContentPartDone(
            sequence_number=self._numbers.next(),
            item_id=item.id,
            output_index=index,
            content_index=0,
            part=item.part(),
        )
        if item.is_thinking:
            yield from self._done(_reasoning(item.id, item.text, status))
        else:
            yield from self._done(_message(item.id, item.text, item.logprobs, status))

    def _add_call(self, call: ToolCall) -> Iterator[ResponseEvent]:
        self._calls += 1
        item_id, index = _new("fc"), len(self.items)
        yield from self._added(_call(item_id, ToolCall(call.id, call.name, ""), "in_progress"))
        yield events.FunctionCallArgumentsDelta(
            sequence_number=self._numbers.next(), item_id=item_id, output_index=index, delta=call.arguments
        )
        yield events.FunctionCallArgumentsDone(
            sequence_number=self._numbers.next(),
            item_id=item_id,
            output_index=index,
            name=call.name,
            arguments=call.arguments,
        )
        yield from self._done(_call(item_id, call, "completed"))

    def _added(self, item: OutputItem) -> Iterator[ResponseEvent]:
        yield events.OutputItemAdded(sequence_number=self._numbers.next(), output_index=len(self.items), item=item)

    def _done(self, item: OutputItem) -> Iterator[ResponseEvent]:
        yield events.OutputItemDone(sequence_number=self._numbers.next(), output_index=len(self.items), item=item)
        self.items.append(item)


def _new(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(24)}"


def _reasoning(item_id: str, text: str, status: ItemStatus) -> ReasoningItem:
    return ReasoningItem(id=item_id, status=status, content=[ReasoningText(text=text)])


def _message(item_id: str, text: str, tokens: list[ContentToken], status: ItemStatus) -> MessageItem:
    return MessageItem(id=item_id, status=status, content=[OutputText(text=text, logprobs=tokens)])


def _call(item_id: str, call: ToolCall, status: ItemStatus) -> FunctionCallItem:
    return FunctionCallItem(id=item_id, status=status, call_id=call.id, name=call.name, arguments=call.arguments)
