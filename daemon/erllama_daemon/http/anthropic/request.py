"""What Anthropic's clients ask with."""

from __future__ import annotations

from typing import Any

import msgspec

from erllama_daemon.errors import FieldRefused
from erllama_daemon.http.anthropic.content_block import TextBlock
from erllama_daemon.http.anthropic.prompt import InputMessage, messages_of
from erllama_daemon.http.anthropic.tool import Choice, Tool, choice_of, may_be_parallel, tools_of
from erllama_daemon.messages import CompleteRequest, Message, RenderRequest, Sampling


class ThinkingChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the answer shows the thinking before it. A thinking model thinks either way."""

    type: str = "disabled"
    display: str | None = None

    @property
    def is_shown(self) -> bool:
        """Whether a client wants to read it."""
        return self.type != "disabled" and self.display != "omitted"


class JsonFormat(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    """JSON that follows a schema, to the letter."""

    schema: dict[str, Any]

    @property
    def text(self) -> str:
        """The schema as text."""
        return msgspec.json.encode(self.schema).decode()


class OutputConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What form the answer has. How much effort it is to be changes nothing."""

    format: JsonFormat | None = None


class CountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/messages/count_tokens`. Fields that are not here are ignored."""

    model: str
    messages: list[InputMessage]
    system: str | list[TextBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice | None = None

    @property
    def shown(self) -> list[Message]:
        """What the model is shown. Raises RequestInvalid."""
        return messages_of(self.system, self.messages)

    @property
    def functions(self) -> list[dict[str, Any]]:
        """The tools as the engine takes them. Raises RequestInvalid."""
        return tools_of(self.tools or [])

    def render(self) -> RenderRequest:
        """Asks for the prompt. Raises RequestInvalid."""
        functions = [] if choice_of(self.tool_choice) == "none" else self.functions
        return RenderRequest(model=self.model, messages=self.shown, tools=functions)


class MessagesRequest(CountRequest, frozen=True, kw_only=True):
    """Body of `POST /v1/messages`. Fields that are not here are ignored, `metadata` and `service_tier` among them.

    What is not given of the sampler is as erllama has it everywhere. With `max_tokens` 0 the prompt is read and saved,
    and nothing is generated.
    """

    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    thinking: ThinkingChoice | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    mcp_servers: list[Any] | None = None

    @property
    def format(self) -> JsonFormat | None:
        """What form the answer has to have, by its name of today or by its older one."""
        return (self.output_config and self.output_config.format) or self.output_format

    @property
    def shows_thinking(self) -> bool:
        """Whether the answer has blocks of thinking."""
        return self.thinking is not None and self.thinking.is_shown

    def complete(self) -> CompleteRequest:
        """As erllama is asked. Raises RequestInvalid and FieldRefused."""
        if self.mcp_servers:
            raise FieldRefused(field="mcp_servers", reason="tools are called by who asks, with `tools`")
        form = None if self.format is None else self.format.text
        given = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k, "json_schema": form}
        return CompleteRequest(
            model=self.model,
            messages=self.shown,
            max_tokens=self.max_tokens,
            sampling=msgspec.convert({name: value for name, value in given.items() if value is not None}, Sampling),
            stop=self.stop_sequences or [],
            tools=self.functions,
            tool_choice=choice_of(self.tool_choice),
            parallel_tool_calls=may_be_parallel(self.tool_choice),
        )
