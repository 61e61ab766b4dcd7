"""What a response is asked with."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from erllama_daemon.errors import FieldRefused
from erllama_daemon.http.answering.asking import TO_THE_END
from erllama_daemon.http.openai.answer_format import AnyFormat, schema_text
from erllama_daemon.http.openai.asked import sampling_of
from erllama_daemon.http.openai.extension import Extension
from erllama_daemon.http.openai.response_input import InputItem, input_messages, instructed
from erllama_daemon.http.openai.tools import (
    ChatTool,
    ChosenFunction,
    ChosenTool,
    FunctionDefinition,
    Mode,
    choice_of,
    tools_of,
)
from erllama_daemon.messages import CompleteRequest, ToolChoice

LOGPROBS = "message.output_text.logprobs"


class TextFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """Text, any JSON object, or JSON that follows a schema."""

    type: AnyFormat
    name: str | None = None
    schema: dict[str, Any] | None = None


class TextConfig(msgspec.Struct, frozen=True):
    """What form the text has to have."""

    format: TextFormat | None = None


class ResponseTool(msgspec.Struct, frozen=True):
    """A function, its parameters as a JSON schema. Nothing else is a tool here."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None

    @property
    def in_chat(self) -> ChatTool:
        """As a chat has it."""
        if self.name is None:
            return ChatTool(self.type)
        return ChatTool(self.type, FunctionDefinition(self.name, self.description, self.parameters))


class ChosenResponseTool(msgspec.Struct, frozen=True):
    """The tool that has to be called."""

    type: str
    name: str | None = None

    @property
    def in_chat(self) -> ChosenTool:
        """As a chat has it."""
        return ChosenTool(self.type, None if self.name is None else ChosenFunction(self.name))


class ResponseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/responses`. Fields that are not here are ignored; docs/openai.md has them all.

    What is asked follows the response `previous_response_id`, of which the cache holds every token. `truncation` "auto"
    leaves out the oldest messages if they do not fit.
    """

    model: str
    input: str | list[InputItem]
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: int | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    include: list[str] | None = None
    top_logprobs: int | None = None
    text: TextConfig | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Mode | ChosenResponseTool | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    background: bool | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    erllama: Extension = Extension()

    def asked(self, parent_key: str | None, *, is_instructed: bool) -> CompleteRequest:
        """What the engine is asked; `is_instructed` says that what it follows began with the same instructions.

        Raises FieldRefused.
        """
        self._refuse()
        length = self.max_output_tokens
        request = CompleteRequest(
            model=self.model,
            messages=instructed(None if is_instructed else self.instructions, input_messages(self.input)),
            parent_key=parent_key,
            max_tokens=TO_THE_END if length is None else length,
            sampling=sampling_of(temperature=self.temperature, top_p=self.top_p, json_schema=self._schema()),
            logprobs=(self.top_logprobs or 0) if self.wants_logprobs else None,
            tools=self._tools(),
            tool_choice=self._choice(),
            parallel_tool_calls=self.parallel_tool_calls is not False,
        )
        request = self.erllama.over(request)
        return msgspec.structs.replace(request, overflow="drop") if self.truncation == "auto" else request

    @property
    def wants_logprobs(self) -> bool:
        """Whether it is to be told how likely the tokens were."""
        return LOGPROBS in (self.include or []) or self.top_logprobs is not None

    def _schema(self) -> str | None:
        wanted = self.text.format if self.text is not None else None
        return None if wanted is None else schema_text(wanted.type, wanted.schema, "text.format.schema")

    def _tools(self) -> list[dict[str, Any]]:
        return tools_of([tool.in_chat for tool in self.tools or []])

    def _choice(self) -> ToolChoice:
        choice = self.tool_choice
        return choice_of(choice.in_chat if isinstance(choice, ChosenResponseTool) else choice)

    def _refuse(self) -> None:
        refused = {
            "background": (self.background, "an answer ends when its client goes away"),
            "conversation": (self.conversation, "`previous_response_id` says what it follows"),
            "prompt": (self.prompt, "no prompts are kept here"),
        }
        for field, (is_given, reason) in refused.items():
            if is_given:
                raise FieldRefused(field=field, reason=reason)
