"""What the stream of a response says, event by event, each with its number from 0 up."""

from __future__ import annotations

import msgspec

from erllama_daemon.http.openai.logprobs import ContentToken
from erllama_daemon.http.openai.response_answer import OpenAiResponse, OutputItem, OutputText, ReasoningText


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    sequence_number: int

    @property
    def kind(self) -> str:
        """What the event is called."""
        return str(self.__struct_config__.tag)


class ResponseCreated(_Event, frozen=True, kw_only=True, tag="response.created"):
    """It begins."""

    response: OpenAiResponse


class ResponseInProgress(_Event, frozen=True, kw_only=True, tag="response.in_progress"):
    """It is being answered."""

    response: OpenAiResponse


class OutputItemAdded(_Event, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item begins."""

    output_index: int
    item: OutputItem


class ContentPartAdded(_Event, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A text begins."""

    item_id: str
    output_index: int
    content_index: int
    part: OutputText | ReasoningText


class OutputTextDelta(_Event, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """Some text of the answer."""

    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[ContentToken]


class OutputTextDone(_Event, frozen=True, kw_only=True, tag="response.output_text.done"):
    """All text of the answer."""

    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[ContentToken]


class ReasoningTextDelta(_Event, frozen=True, kw_only=True, tag="response.reasoning_text.delta"):
    """Some of the thinking."""

    item_id: str
    output_index: int
    content_index: int
    delta: str


class ReasoningTextDone(_Event, frozen=True, kw_only=True, tag="response.reasoning_text.done"):
    """All of the thinking."""

    item_id: str
    output_index: int
    content_index: int
    text: str


class ContentPartDone(_Event, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A whole text."""

    item_id: str
    output_index: int
    content_index: int
    part: OutputText | ReasoningText


class FunctionCallArgumentsDelta(_Event, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    """The arguments of a call."""

    item_id: str
    output_index: int
    delta: str


class FunctionCallArgumentsDone(_Event, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    """All arguments of a call."""

    item_id: str
    output_index: int
    name: str
    arguments: str


class OutputItemDone(_Event, frozen=True, kw_only=True, tag="response.output_item.done"):
    """A whole item."""

    output_index: int
    item: OutputItem


class ResponseCompleted(_Event, frozen=True, kw_only=True, tag="response.completed"):
    """The last event of a response that ended well."""

    response: OpenAiResponse


class ResponseIncomplete(_Event, frozen=True, kw_only=True, tag="response.incomplete"):
    """The last event of a response that became too long."""

    response: OpenAiResponse


class ResponseFailed(_Event, frozen=True, kw_only=True, tag="response.failed"):
    """The last event of a response that failed."""

    response: OpenAiResponse


ResponseEvent = (
    ResponseCreated
    | ResponseInProgress
    | OutputItemAdded
    | ContentPartAdded
    | OutputTextDelta
    | OutputTextDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | ContentPartDone
    | FunctionCallArgumentsDelta
    | FunctionCallArgumentsDone
    | OutputItemDone
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
)
