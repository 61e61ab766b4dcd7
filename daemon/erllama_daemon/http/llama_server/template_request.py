"""What `POST /apply-template` is asked with, and what it answers."""

from __future__ import annotations

from typing import Any

import msgspec

from erllama_daemon.http.openai.chat_message import ChatMessage, messages_of
from erllama_daemon.messages import RenderRequest


class TemplateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /apply-template`. Messages and tools are those of OpenAI's chat completions."""

    messages: list[ChatMessage]
    tools: list[dict[str, Any]] | None = None
    model: str | None = None

    def render(self, model: str) -> RenderRequest:
        """Asks for the prompt. Raises FieldRefused."""
        return RenderRequest(model=model, messages=messages_of(self.messages), tools=self.tools or [])


class TemplatePrompt(msgspec.Struct, frozen=True):
    """The text that the model would be asked."""

    prompt: str
