"""What a message says, for people to read."""

from __future__ import annotations

from erllama_daemon.messages import Message


def said_text(message: Message) -> str:
    """The text, and each call of a tool on a line of its own."""
    calls = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join([*([text] if (text := message.text.strip("\n")) or not calls else []), *calls])
