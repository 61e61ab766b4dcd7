"""An answer as Anthropic's clients hear it, event by event."""

from __future__ import annotations

import msgspec

from erllama_daemon.http.anthropic.content_block import OutputBlock, TextBlock, ThinkingBlock, ToolUseBlock
from erllama_daemon.http.anthropic.failure import AnthropicFailure, failure_body
from erllama_daemon.http.anthropic.reply import SIGNATURE, Reply, StopReason, Usage, message_id, stop_reason
from erllama_daemon.http.cache_header import Reuse
from erllama_daemon.messages import Calling, Done, Event, Failure, Thinking, Token, ToolCall


class _Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """An event of a stream; its type is the event's name, too."""


class MessageStart(_Said, frozen=True, kw_only=True, tag="message_start"):
    """The prompt is being read; the message has no content yet."""

    message: Reply


class Ping(_Said, frozen=True, kw_only=True, tag="ping"):
    """The connection is alive."""


class BlockStart(_Said, frozen=True, kw_only=True, tag="content_block_start"):
    """A block begins, with nothing in it."""

    index: int
    content_block: OutputBlock


class TextDelta(_Said, frozen=True, kw_only=True, tag="text_delta"):
    """More of a text."""

    text: str


class ThinkingDelta(_Said, frozen=True, kw_only=True, tag="thinking_delta"):
    """More thinking."""

    thinking: str


class SignatureDelta(_Said, frozen=True, kw_only=True, tag="signature_delta"):
    """The end of some thinking."""

    signature: str


class InputDelta(_Said, frozen=True, kw_only=True, tag="input_json_delta"):
    """The arguments of a call; they come whole."""

    partial_json: str


Delta = TextDelta | ThinkingDelta | SignatureDelta | InputDelta


class BlockDelta(_Said, frozen=True, kw_only=True, tag="content_block_delta"):
    """A block goes on."""

    index: int
    delta: Delta


class BlockStop(_Said, frozen=True, kw_only=True, tag="content_block_stop"):
    """A block has ended."""

    index: int


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """Why an answer has ended."""

    stop_reason: StopReason
    stop_sequence: str | None


class MessageDelta(_Said, frozen=True, kw_only=True, tag="message_delta"):
    """The answer has ended; the usage is that of all of it."""

    delta: Stopped
    usage: Usage


class MessageStop(_Said, frozen=True, kw_only=True, tag="message_stop"):
    """The last event."""


StreamEvent = MessageStart | Ping | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | AnthropicFailure


def event_name(event: StreamEvent) -> str:
    """What an event is called in the stream."""
    return str(event.__struct_config__.tag)


class MessageStream:
    """Tells of one answer. Blocks come one after the other, each with its index."""

    def __init__(self, *, model: str, max_tokens: int, shows_thinking: bool) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._shows_thinking = shows_thinking
        self._index = -1
        self._open: type[TextBlock] | type[ThinkingBlock] | None = None

    def begin(self, reuse: Reuse) -> list[StreamEvent]:
        """What is said when it is known what the cache held."""
        message = Reply(
            id=message_id(),
            model=self._model,
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage=Usage.of(reuse),
        )
        return [MessageStart(message=message), Ping()]

    def said(self, event: Event) -> list[StreamEvent]:
        """What is said of an event of the answer; often nothing."""
        match event:
            case Token():
                return [*self._opened(TextBlock(text="")), self._delta(TextDelta(text=event.text))]
            case Thinking() if self._shows_thinking:
                opened = self._opened(ThinkingBlock(thinking="", signature=""))
                return [*opened, self._delta(ThinkingDelta(thinking=event.text))]
            case Calling():
                return [*self._closed(), *self._called(event.call)]
            case Done():
                return [*self._closed(), *self._ended(event)]
            case Failure():
                return [failure_body(event)]
        return []

    def _opened(self, block: TextBlock | ThinkingBlock) -> list[StreamEvent]:
        if self._open is type(block):
            return []
        closed = self._closed()
        self._open = type(block)
        return [*closed, self._started(block)]

    def _started(self, block: OutputBlock) -> StreamEvent:
        self._index += 1
        return BlockStart(index=self._index, content_block=block)

    def _delta(self, delta: Delta) -> StreamEvent:
        return BlockDelta(index=self._index, delta=delta)

    def _closed(self) -> list[StreamEvent]:
        closed, self._open = self._open, None
        if closed is None:
            return []
        signed = [self._delta(SignatureDelta(signature=SIGNATURE))] if closed is ThinkingBlock else []
        return [*signed, BlockStop(index=self._index)]

    def _called(self, call: ToolCall) -> list[StreamEvent]:
        started = self._started(ToolUseBlock(id=call.id, name=call.name, input={}))
        return [started, self._delta(InputDelta(partial_json=call.arguments)), BlockStop(index=self._index)]

    def _ended(self, done: Done) -> list[StreamEvent]:
        stats = done.stats
        stopped = Stopped(stop_reason=stop_reason(stats, self._max_tokens), stop_sequence=stats.stop_sequence)
        return [MessageDelta(delta=stopped, usage=Usage.of_stats(stats)), MessageStop()]
