"""Options that say which conversation a command goes on with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from erllama_cli.question import valid_text
from erllama_daemon.errors import ChatNeedsModel, RequestInvalid
from erllama_daemon.messages import Overflow

_KEY = re.compile(r"[0-9a-fA-F]{64}")

IfOpen = Literal["fork", "wait", "fail"]

Continue = Annotated[bool, typer.Option("-c", "--continue", help="Go on with the conversation that was used last.")]
Session = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Go on with this conversation: its name, its id, or how its id begins. With MODEL, begin one of this name "
        "if there is none.",
    ),
]
ForkFlag = Annotated[
    bool, typer.Option("--fork", help="Go on with a copy of the conversation, which itself stays as it is.")
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="What to call a new conversation, or the copy.")]
OtherModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", help="Have the conversation go on with this model, or tell where its own is now."
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
        help="What to do when the conversation outgrows the context: stop, leave out (drop) its oldest turns, or "
        "have the model summarize them.",
        show_default="stop",
    ),
]

SessionOfRun = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Answer as the next turn of the conversation of this name, begun if there is none."
    ),
]
Parent = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Answer as what follows the answer whose finish_key, printed by --json, is KEY."),
]


@dataclass(frozen=True, kw_only=True)
class OpeningOptions:
    """Which conversation is meant, besides MODEL."""

    resume: Continue = False
    session: Session = None
    fork: ForkFlag = False
    name: Name = None
    other_model: OtherModel = None
    if_open: IfOpenOption = None

    @property
    def goes_on(self) -> bool:
        """Whether there must be a conversation already."""
        return self.resume or self.fork or self.other_model is not None

    def check(self, model: str | None, system: str | None, *, private: bool) -> None:
        """Raises ChatNeedsModel and RequestInvalid unless exactly one conversation is meant."""
        _check_session(self.session)
        if self.name is not None:
            valid_text(self.name, "the name")
        if not (model is not None or self.resume or self.session is not None):
            raise ChatNeedsModel
        _exclude({"--session": self.session is not None, "--continue": self.resume})
        _exclude({"--model": self.other_model is not None, "MODEL": model is not None})
        if model is not None and self.resume:
            raise RequestInvalid(reason="MODEL begins a conversation; --continue goes on with another one by --model")
        if self.other_model is not None and not (self.resume or self.session is not None):
            raise RequestInvalid(reason="--model goes with --continue or --session")
        if self.fork and not (self.resume or self.session is not None):
            raise RequestInvalid(reason="--fork goes with --continue or --session")
        if self.name is not None and not self.fork and (self.resume or self.session is not None):
            raise RequestInvalid(reason="--name goes with a new conversation or with --fork")
        if system is not None and (model is None or self.fork):
            raise RequestInvalid(reason="--system goes with MODEL, at the start of a conversation")
        if private and (self.resume or self.session is not None or self.name is not None):
            raise RequestInvalid(reason="--private goes with MODEL alone: nothing is kept that could have a name")


@dataclass(frozen=True, kw_only=True)
class FollowingOptions:
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
        _check_session(self.session)
        for option, given in {
            "--parent": self.parent is not None,
            "--private": private,
            "--no-cache": no_cache,
        }.items():
            _exclude({"--session": self.session is not None, option: given})
        if self.parent is not None and not _KEY.fullmatch(self.parent):
            raise RequestInvalid(reason="--parent takes the finish_key of an answer: 64 hexadecimal digits")
        _exclude({"--parent": self.parent is not None, "--system": system is not None})
        if self.overflow is not None and self.session is None and self.parent is None:
            raise RequestInvalid(reason="--overflow goes with --session or --parent")


def _check_session(session: str | None) -> None:
    """Raises RequestInvalid for a name that nothing can have."""
    if session is not None and not valid_text(session, "--session").strip():
        raise RequestInvalid(reason="--session is empty")


def _exclude(given: dict[str, bool]) -> None:
    if all(given.values()):
        raise RequestInvalid(reason=f"{' and '.join(given)} exclude each other")
