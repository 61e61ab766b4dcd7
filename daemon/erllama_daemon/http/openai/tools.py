"""Tools as OpenAI's clients define and choose them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from erllama_daemon.errors import FieldRefused
from erllama_daemon.messages import NamedTool, ToolChoice

Mode = Literal["none", "auto", "required"]


class FunctionDefinition(msgspec.Struct, frozen=True):
    """A function, its parameters as a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None

    @property
    def tool(self) -> dict[str, Any]:
        """As a model is shown it: with no more than was given."""
        given = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": {name: value for name, value in given.items() if value is not None}}


class ChatTool(msgspec.Struct, frozen=True):
    """A tool. Only functions are."""

    type: str
    function: FunctionDefinition | None = None


class ChosenFunction(msgspec.Struct, frozen=True):
    """A function by its name."""

    name: str


class ChosenTool(msgspec.Struct, frozen=True):
    """The tool that has to be called."""

    type: str
    function: ChosenFunction | None = None


def tools_of(tools: Sequence[ChatTool]) -> list[dict[str, Any]]:
    """Tools as the engine takes them. Raises FieldRefused."""
    found = []
    for number, tool in enumerate(tools):
        if tool.type != "function" or tool.function is None:
            raise FieldRefused(field=f"tools[{number}].type", reason=f"a tool is a function, not {tool.type[:40]}")
        found.append(tool.function.tool)
    return found


def choice_of(choice: Mode | ChosenTool | None) -> ToolChoice:
    """The choice as the engine takes it. Raises FieldRefused."""
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    if choice.type != "function" or choice.function is None:
        raise FieldRefused(field="tool_choice.type", reason=f"a function can be chosen, not {choice.type[:40]}")
    return NamedTool(choice.function.name)
