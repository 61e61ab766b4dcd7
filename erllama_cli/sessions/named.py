"""What people call a conversation, and how they are told which one is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from erllama_cli.completion.candidates import complete_session
from erllama_cli.one_line import one_line

if TYPE_CHECKING:
    from erllama_daemon.messages import Session

_HELP = "A conversation's name or id; the beginning of an id will do."

Name = Annotated[str, typer.Argument(metavar="NAME", help=_HELP, autocompletion=complete_session)]
NAMES = typer.Argument(metavar="NAME...", help=_HELP, autocompletion=complete_session)
NewName = Annotated[str, typer.Argument(metavar="NEW", help="What it is to be called; an empty name takes it away.")]


class HasName(Protocol):
    """A conversation, whatever else is known of it."""

    @property
    def id(self) -> str: ...
    @property
    def called(self) -> str: ...


def named(conversation: HasName) -> str:
    """A conversation on one line: what it is called, and its id."""
    if conversation.called == conversation.id:
        return conversation.id
    return f'"{one_line(conversation.called)}" ({conversation.id})'


def resume_command(session: Session) -> str:
    """What to type in a shell to go on with a conversation: by its name if it has one that can be typed."""
    import shlex

    name = session.name
    return f"erllama chat --session {shlex.quote(name) if name and name.isprintable() else session.id}"
