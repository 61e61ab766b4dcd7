"""What a chat template does with tools, found out by having it write some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from erllama_daemon.messages import Message, ToolCall
from erllama_daemon.tooling.call_format import CALL_FORMATS, HERMES, CallFormat
from erllama_daemon.tooling.call_ids import id_for

Tools = Sequence[dict[str, Any]]
"""Tools as a request has them."""

Attempt = Callable[[Sequence[Message], Tools, CallFormat], str | None]
"""The prompt that a template makes of messages and tools, with ids as a form of calls has them; None if it refuses."""

_NAME = "probe_of_tools"
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "Probes.",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string", "description": "What to probe."}},
            "required": ["text"],
        },
    },
}
"""A tool that shows what a template does with any."""


@dataclass(frozen=True, slots=True)
class ToolHabits:
    """What a template does with tools: in which form it writes calls, and how many at once.

    One that does not write both tools and calls, in a form that is known, `is_told` about them in plain messages: in
    its system prompt if it `has_system`.
    """

    calls: CallFormat
    most_calls: int
    is_told: bool = False
    has_system: bool = True


def habits_of(attempt: Attempt) -> ToolHabits:
    """What a template does with tools."""
    asked = [Message("user", ["Probe."])]
    if _NAME in (attempt(asked, [_TOOL], HERMES) or ""):
        for format_ in CALL_FORMATS:
            if _writes(attempt, format_, calls=1):
                return ToolHabits(format_, format_.most_calls if _writes(attempt, format_, calls=2) else 1)
    system = "A system prompt."
    has_system = system in (attempt([Message("system", [system]), *asked], (), HERMES) or "")
    return ToolHabits(HERMES, HERMES.most_calls, is_told=True, has_system=has_system)


def _writes(attempt: Attempt, format_: CallFormat, *, calls: int) -> bool:
    """Whether a template writes so many calls at once in this form."""
    said = _probe(calls, format_)
    return format_.write(said[1].tool_calls) in (attempt(said, [_TOOL], format_) or "")


def _probe(calls: int, format_: CallFormat) -> list[Message]:
    """A conversation in which a tool is called, so many times at once."""
    ids = [id_for(format_, f"probe {number}") for number in range(calls)]
    return [
        Message("user", ["Probe."]),
        Message("assistant", [""], [ToolCall(call_id, _NAME, '{"text": "é", "n": [1]}') for call_id in ids]),
        *(Message("tool", ["Probed."], tool_call_id=call_id) for call_id in ids),
    ]
