"""Conversations that a test makes up, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_daemon.messages import Message
from erllama_daemon.sessions.store import Sessions
from erllama_daemon.sessions.turn import Turn


def say(
    sessions: Sessions, session: str, said: Sequence[Message], tokens: bytes, key: bytes, fingerprint: str = "00"
) -> int:
    """Adds a turn after the last one; gives its number."""
    return sessions.add_turn(
        session,
        Turn(
            after=sessions.get(session).turn,
            messages=list(said),
            tokens=tokens,
            finish_key=key,
            fingerprint=fingerprint,
        ),
    )
