"""Messages as chat templates expect them, in the form that the Transformers library passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from erllama_daemon.messages import Message, ToolCall
from erllama_daemon.tooling.call_format import CallFormat
from erllama_daemon.tooling.call_ids import id_for
from erllama_daemon.tooling.exact_json import WrittenObject, arguments, exact_json


def rows(messages: Sequence[Message], format_: CallFormat | None) -> list[dict[str, Any]]:
    """A row a message. Calls have their arguments as an object, results the name of what was called."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return [_row(message, names, format_) for message in messages]


def _row(message: Message, names: dict[str, str], format_: CallFormat | None) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        row["tool_calls"] = [_call(call, format_) for call in message.tool_calls]
    if message.tool_call_id is not None:
        row["tool_call_id"] = _id(message.tool_call_id, format_)
        if message.tool_call_id in names:
            row["name"] = names[message.tool_call_id]
    return row


def _call(call: ToolCall, format_: CallFormat | None) -> dict[str, Any]:
    written = exact_json(call.arguments)
    named = {"name": call.name, "arguments": WrittenObject(arguments(call.arguments), written)}
    function = WrittenObject(named, f'{{"name": "{call.name}", "arguments": {written}}}')
    return {"type": "function", "id": _id(call.id, format_), "function": function}


def _id(call_id: str, format_: CallFormat | None) -> str:
    return call_id if format_ is None else id_for(format_, call_id)
