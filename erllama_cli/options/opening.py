"""Options that say which conversation a command goes on with."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

from erllama_cli.completion.candidates import complete_model, complete_session, complete_whole_key
from erllama_cli.options.contradictions import refuse_together, refuse_without
from erllama_cli.options.groups import OptionGroup
from erllama_daemon.choices import Overflow

_KEY = "[0-9a-fA-F]{64}"

IfOpen = Literal["fork", "wait", "fail"]

Continue = Annotated[bool, typer.Option("-c", "--continue", help="Go on with the conversation that was used last.")]
Session = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Go on with this conversation: its name, its id, or how its id begins. With MODEL, begin one of this name "
        "if there is none.",
        autocompletion=complete_session,
    ),
]
ForkFlag = Annotated[
    bool, typer.Option("--fork", help="Go on with a copy of the conversation, which itself stays as it is.")
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="What to call a new conversation, or the copy.")]
OtherModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Have the conversation go on with this model, or tell where its own is now.",
        autocompletion=complete_model,
    ),
]
IfOpenOption = Annotated[
    IfOpen | None,
    typer.Option(
        help="What to do when another window has the conversation open: go on with a copy of it (fork), wait until it "
        "is closed, or fail. By default a terminal asks, and a script's turn goes in between.",
    ),
]
Overflowing = Annotated[
    Overflow | None,
    typer.Option(
        help="What to do when the conversation outgrows the context: stop, as by default, leave out (drop) its oldest "
        "turns, or have the model summarize them.",
    ),
]

SessionOfRun = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Answer as the next turn of the conversation of this name, begun if there is none.",
        autocompletion=complete_session,
    ),
]
Parent = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Answer as what follows the answer whose finish_key, printed by --json, is KEY.",
        autocompletion=complete_whole_key,
    ),
]


class OpeningOptions(OptionGroup):
    """Which conversation is meant, besides MODEL."""

    resume: Continue = False
    session: Session = None
    fork: ForkFlag = False
    name: Name = None
    other_model: OtherModel = None
    if_open: IfOpenOption = None

    def check(self, model: str | None, system: str | None, *, private: bool) -> None:
        """Raises ChatNeedsModel and RequestInvalid unless exactly one conversation is meant."""
        _check_names(self.session, self.name)
        new, last, named = ("MODEL", model), ("--continue", self.resume), ("--session", self.session)
        fork, name, other_model = ("--fork", self.fork), ("--name", self.name), ("--model", self.other_model)
        if not (model is not None or self.resume or self.session is not None):
            from erllama_daemon.errors import ChatNeedsModel

            raise ChatNeedsModel
        refuse_together(new, last)
        refuse_together(named, last)
        refuse_together(new, other_model)
        for option in (named, last, name):
            refuse_together(option, ("--private", private))
        for option in (other_model, fork):
            refuse_without(option, named, last)
        if not self.fork:
            refuse_together(named, name)
            refuse_together(last, name)
        for option in (last, fork):
            refuse_together(option, ("--system", system))
        refuse_without(("--system", system), new)


class FollowingOptions(OptionGroup):
    """What a single question follows, if anything."""

    session: SessionOfRun = None
    parent: Parent = None
    overflow: Overflowing = None

    @property
    def parent_key(self) -> str | None:
        """The key as the daemon understands it."""
        return None if self.parent is None else self.parent.lower()

    def check(self, system: str | None, *, private: bool, no_cache: bool) -> None:
        """Raises RequestInvalid unless it is clear what the question follows."""
        _check_names(self.session)
        named, key = ("--session", self.session), ("--parent", self.parent)
        for option in (key, ("--private", private), ("--no-cache", no_cache)):
            refuse_together(named, option)
        refuse_together(key, ("--system", system))
        refuse_without(("--overflow", self.overflow), named, key)
        if self.parent is not None and not re.fullmatch(_KEY, self.parent):
            from erllama_daemon.errors import RequestInvalid

            raise RequestInvalid(reason="--parent takes the finish_key of an answer: 64 hexadecimal digits")


def _check_names(session: str | None, name: str | None = None) -> None:
    """Raises RequestInvalid for a name that nothing can have."""
    from erllama_cli.question import valid_text
    from erllama_daemon.errors import RequestInvalid

    for option, text in (("--session", session), ("--name", name)):
        if text is not None and not valid_text(text, option).strip():
            raise RequestInvalid(reason=f"{option} is empty")
