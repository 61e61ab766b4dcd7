"""A conversation as Markdown, to be read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from erllama_cli.one_line import one_line
from erllama_cli.sessions.said import said_text
from erllama_daemon.messages import Session, SessionTurn

_ROLES = {"system": "System", "user": "You", "assistant": "Answer", "tool": "Result"}


def as_markdown(session: Session, turns: list[SessionTurn]) -> str:
    """What was said on the way to the last turn, under a heading for each message; thinking is left out."""
    return "\n\n".join(_parts(session, turns)) + "\n"


def _parts(session: Session, turns: list[SessionTurn]) -> Iterator[str]:
    begun = datetime.fromtimestamp(session.created).astimezone().strftime("%Y-%m-%d %H:%M")
    yield f"# {one_line(session.called)}"
    yield f"Model: {one_line(session.model)}  \nBegun: {begun}"
    for turn in turns:
        if turn.current:
            for message in turn.messages:
                yield f"## {turn.name} {_ROLES[message.role]}"
                yield said_text(message)
    if session.unanswered is not None:
        yield "## Not answered"
        yield said_text(session.unanswered)
