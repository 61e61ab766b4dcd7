"""The blocks that a message consists of."""

from __future__ import annotations

from typing import Any

import msgspec


class _Block(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """`cache_control` may stand at any block and says nothing new: the end of each is a cut."""


class TextBlock(_Block, frozen=True, kw_only=True, tag="text"):
    """Some text."""

    text: str


class ThinkingBlock(_Block, frozen=True, kw_only=True, tag="thinking"):
    """What a model thought before it answered. The signature is one word, and nobody looks at it."""

    thinking: str
    signature: str = ""


class RedactedThinkingBlock(_Block, frozen=True, kw_only=True, tag="redacted_thinking"):
    """Thinking that nobody can read. No model is shown it."""

    data: str = ""


class ToolUseBlock(_Block, frozen=True, kw_only=True, tag="tool_use"):
    """A tool that the model wants to have called, by its name, with its arguments."""

    id: str
    name: str
    input: dict[str, Any]


class ToolResultBlock(_Block, frozen=True, kw_only=True, tag="tool_result"):
    """What came of a call."""

    tool_use_id: str
    content: str | list[ToolResultPart] | None = None
    is_error: bool | None = None


class ImageBlock(_Block, frozen=True, kw_only=True, tag="image"):
    """A picture. It is refused."""


class DocumentBlock(_Block, frozen=True, kw_only=True, tag="document"):
    """A file. It is refused."""


class SearchResultBlock(_Block, frozen=True, kw_only=True, tag="search_result"):
    """What a search found. It is refused."""


ToolResultPart = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock
InputBlock = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
)
OutputBlock = TextBlock | ThinkingBlock | ToolUseBlock
