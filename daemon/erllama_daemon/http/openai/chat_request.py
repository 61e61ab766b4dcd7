"""What a chat is asked with."""

from __future__ import annotations

from typing import Any

import msgspec

from erllama_daemon.errors import FieldRefused
from erllama_daemon.http.answering.asking import TO_THE_END
from erllama_daemon.http.openai.answer_format import ChatFormat
from erllama_daemon.http.openai.asked import StreamOptions, repeated, sampling_of, stops_of
from erllama_daemon.http.openai.chat_message import ChatMessage, messages_of
from erllama_daemon.http.openai.extension import Extension
from erllama_daemon.http.openai.tools import ChatTool, ChosenTool, Mode, choice_of, tools_of
from erllama_daemon.messages import CompleteRequest


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/chat/completions`. Fields that are not here are ignored; docs/openai.md has them all.

    Without `max_completion_tokens`, or `max_tokens`, its older name, an answer may become as long as the context is.
    """

    model: str
    messages: list[ChatMessage]
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ChatFormat | None = None
    tools: list[ChatTool] | None = None
    tool_choice: Mode | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Any] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    erllama: Extension = Extension()

    def asked(self) -> list[CompleteRequest]:
        """What the engine is asked, once for each answer. Raises FieldRefused."""
        self._refuse()
        length = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        request = CompleteRequest(
            model=self.model,
            messages=messages_of(self.messages),
            max_tokens=TO_THE_END if length is None else length,
            sampling=sampling_of(
                temperature=self.temperature,
                top_p=self.top_p,
                frequency_penalty=self.frequency_penalty,
                presence_penalty=self.presence_penalty,
                logit_bias=self.logit_bias,
                seed=self.seed,
                json_schema=None if self.response_format is None else self.response_format.schema,
            ),
            stop=stops_of(self.stop),
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            tools=tools_of(self.tools or []),
            tool_choice=choice_of(self.tool_choice),
            parallel_tool_calls=self.parallel_tool_calls is not False,
        )
        return repeated(self.erllama.over(request), self.n)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to say how many tokens it took."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def _refuse(self) -> None:
        refused = {
            "functions": (self.functions, "`tools` took their place"),
            "function_call": (self.function_call, "`tool_choice` took its place"),
            "audio": (self.audio, "models here write text"),
            "modalities": ([*(self.modalities or [])] not in ([], ["text"]), "models here write text"),
            "web_search_options": (self.web_search_options is not None, "nothing here searches the web"),
            "top_logprobs": (self.top_logprobs is not None and not self.logprobs, "it goes with `logprobs`"),
        }
        for field, (is_given, reason) in refused.items():
            if is_given:
                raise FieldRefused(field=field, reason=reason)
