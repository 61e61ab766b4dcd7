"""A response, and the items that it consists of."""

from __future__ import annotations

from typing import Literal

import msgspec

from erllama_daemon.http.openai.extension import ExtendedAnswer
from erllama_daemon.http.openai.failure import ResponseError
from erllama_daemon.http.openai.logprobs import ContentToken
from erllama_daemon.http.openai.response_request import ChosenResponseTool, ResponseRequest, ResponseTool, TextFormat
from erllama_daemon.http.openai.tools import Mode
from erllama_daemon.messages import Stats

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed"]


class OutputText(msgspec.Struct, frozen=True, kw_only=True, tag="output_text", tag_field="type"):
    """The text of an answer."""

    text: str
    annotations: list[str] = []
    logprobs: list[ContentToken] = []


class ReasoningText(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning_text", tag_field="type"):
    """What a thinking model said before its answer."""

    text: str


class ReasoningItem(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning", tag_field="type"):
    """The thinking of a thinking model, all of it."""

    id: str
    status: ItemStatus
    content: list[ReasoningText]
    summary: list[str] = []


class MessageItem(msgspec.Struct, frozen=True, kw_only=True, tag="message", tag_field="type"):
    """The answer."""

    id: str
    status: ItemStatus
    content: list[OutputText]
    role: Literal["assistant"] = "assistant"


class FunctionCallItem(msgspec.Struct, frozen=True, kw_only=True, tag="function_call", tag_field="type"):
    """A call of a tool. `call_id` is what its result refers to."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItem = ReasoningItem | MessageItem | FunctionCallItem


class InputTokensDetails(msgspec.Struct, frozen=True):
    """How many of the tokens that were read came from the cache, and how many went there."""

    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """How many of the generated tokens are thinking."""

    reasoning_tokens: int


class ResponseUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens were read and generated, those of what it follows too."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int

    @classmethod
    def of(cls, stats: Stats) -> ResponseUsage:
        """That of an answer."""
        written = stats.prompt_tokens - stats.cached_tokens if stats.saved in ("published", "private") else 0
        return cls(
            input_tokens=stats.prompt_tokens,
            input_tokens_details=InputTokensDetails(stats.cached_tokens, written),
            output_tokens=stats.completion_tokens,
            output_tokens_details=OutputTokensDetails(stats.thinking_tokens),
            total_tokens=stats.prompt_tokens + stats.completion_tokens,
        )


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why an answer ended too early."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseText(msgspec.Struct, frozen=True):
    """What form the text has."""

    format: TextFormat


class OpenAiResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `POST /v1/responses`; in a stream, as far as it has come."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: ResponseStatus = "in_progress"
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem] = []
    parallel_tool_calls: bool
    previous_response_id: str | None
    service_tier: Literal["default"] = "default"
    store: bool
    temperature: float | None
    text: ResponseText
    tool_choice: Mode | ChosenResponseTool
    tools: list[ResponseTool]
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None = None
    erllama: ExtendedAnswer | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def begun(cls, response_id: str, created: int, body: ResponseRequest) -> OpenAiResponse:
        """The response to a request before there is anything of it."""
        wanted = body.text.format if body.text is not None else None
        return cls(
            id=response_id,
            created_at=created,
            instructions=body.instructions,
            max_output_tokens=body.max_output_tokens,
            metadata=body.metadata or {},
            model=body.model,
            parallel_tool_calls=body.parallel_tool_calls is not False,
            previous_response_id=body.previous_response_id,
            store=body.store is not False,
            temperature=body.temperature,
            text=ResponseText(wanted or TextFormat("text")),
            tool_choice=body.tool_choice or "auto",
            tools=body.tools or [],
            top_p=body.top_p,
            truncation=body.truncation or "disabled",
        )

    def ended(self, stats: Stats, output: list[OutputItem]) -> OpenAiResponse:
        """The whole response."""
        is_cut = stats.finish_reason == "length"
        return msgspec.structs.replace(
            self,
            status="incomplete" if is_cut else "completed",
            incomplete_details=IncompleteDetails() if is_cut else None,
            output=output,
            usage=ResponseUsage.of(stats),
            erllama=ExtendedAnswer.of(stats),
        )
