"""Tools as Anthropic's clients define and choose them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from erllama_daemon.errors import RequestInvalid
from erllama_daemon.messages import NamedTool, ToolChoice


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of the client's own; those that Anthropic defines or runs, with another `type`, are refused."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    type: str | None = None


class AutoChoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="auto"):
    """The model calls tools as it likes."""

    disable_parallel_tool_use: bool = False


class AnyChoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="any"):
    """Some tool has to be called."""

    disable_parallel_tool_use: bool = False


class NamedChoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool"):
    """This tool has to be called."""

    name: str
    disable_parallel_tool_use: bool = False


class NoChoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="none"):
    """No tool may be called. The model is not shown them."""


Choice = AutoChoice | AnyChoice | NamedChoice | NoChoice


def tools_of(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools as the engine takes them. Raises RequestInvalid for one that is not the client's own."""
    return [_function(tool, f"tools[{number}]") for number, tool in enumerate(tools)]


def choice_of(choice: Choice | None) -> ToolChoice:
    """The choice as the engine takes it."""
    match choice:
        case AnyChoice():
            return "required"
        case NamedChoice():
            return NamedTool(choice.name)
        case NoChoice():
            return "none"
    return "auto"


def may_be_parallel(choice: Choice | None) -> bool:
    """Whether several tools may be called at once."""
    return choice is None or isinstance(choice, NoChoice) or not choice.disable_parallel_tool_use


def _function(tool: Tool, place: str) -> dict[str, Any]:
    if tool.type not in (None, "custom"):
        raise RequestInvalid(reason=f"{place} is of the type {tool.type[:40]}, which is not there: define it yourself")
    if tool.input_schema is None:
        raise RequestInvalid(reason=f"{place} has no input_schema")
    description = {} if tool.description is None else {"description": tool.description}
    function = {"name": tool.name, **description, "parameters": tool.input_schema}
    return {"type": "function", "function": function}
