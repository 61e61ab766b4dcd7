"""A valid request, and what a worker is asked for its sake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erllama_cache.keys import pack_tokens
from erllama_daemon import frames
from erllama_daemon.messages import CompleteRequest, Message, Sampling


@dataclass(frozen=True, slots=True)
class Question:
    """A valid request: its model's file is known, and its session exists if it has one.

    `scope` is what private requests share their state under, and empty for others. `client` is the connection.
    """

    request: CompleteRequest
    model: str
    path: Path
    session: str | None
    scope: str
    client: int = 0

    @property
    def parent_key(self) -> bytes | None:
        """The key that the request says it follows."""
        return None if self.request.parent_key is None else bytes.fromhex(self.request.parent_key)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools that the model is shown."""
        return [] if self.request.tool_choice == "none" else self.request.tools

    def generate(
        self, number: int, messages: list[Message], history: frames.History | None, parent_key: bytes | None
    ) -> frames.Generate:
        """Asks for the answer to messages that follow `history`, or else the chain that ends in a key."""
        request = self.request
        return frames.Generate(
            id=number,
            client=self.client,
            messages=messages,
            history=history,
            tokens=None if request.tokens is None else pack_tokens(request.tokens),
            parent_key=parent_key,
            max_tokens=request.max_tokens,
            sampling=request.sampling,
            stop=request.stop,
            logprobs=request.logprobs,
            adapters=request.adapters,
            reproducible=request.reproducible,
            overflow=request.overflow,
            scope=self.scope,
            cache=request.cache,
            require_cached=request.require_cached,
            logits_digest=request.logits_digest,
            tools=self.tools,
            tool_choice=request.tool_choice,
            parallel_tool_calls=request.parallel_tool_calls,
        )

    def summarize(
        self, number: int, messages: list[Message], history: frames.History | None, max_tokens: int
    ) -> frames.Generate:
        """Asks for a summary, under the same conditions as for the answer."""
        return frames.Generate(
            id=number,
            client=self.client,
            messages=messages,
            history=history,
            max_tokens=max_tokens,
            sampling=Sampling(temperature=0.0),
            adapters=self.request.adapters,
            reproducible=self.request.reproducible,
            scope=self.scope,
            cache=self.request.cache,
        )
