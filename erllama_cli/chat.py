"""`erllama chat`: a conversation that is kept at every turn."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from erllama_cli import options
from erllama_cli.answer_command import AnswerCommand
from erllama_cli.answer_options import AnswerOptions, unasked_request
from erllama_cli.conversation import Conversation
from erllama_cli.failures import reported_failures
from erllama_cli.launcher import running_daemon
from erllama_cli.model import resolve_model
from erllama_cli.model_options import LoadOptions
from erllama_cli.option_groups import with_option_groups
from erllama_cli.question import read_question, system_messages
from erllama_cli.sampling_options import SamplingOptions
from erllama_cli.terminal import talk
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import ChatNeedsModel, RequestInvalid
from erllama_daemon.messages import Overflow, Session

COMMAND = AnswerCommand
EXAMPLES = """\b
Examples:
  erllama chat demo
  erllama chat --continue
  echo "And why?" | erllama chat --continue
  erllama chat --session 0f3a
  erllama chat demo --ctx 8192 --overflow drop
  erllama chat demo --private

On a terminal, Ctrl-C stops an answer and Ctrl-D leaves. Elsewhere standard
input is one message, and the command ends with its answer."""


Overflowing = Annotated[
    Overflow,
    typer.Option(
        help="What to do when the conversation outgrows the context: stop, leave out (drop) its oldest turns, or "
        "have the model summarize them."
    ),
]


@with_option_groups
def chat(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="The path of a GGUF file, or `demo`.")] = None,
    *,
    resume: Annotated[bool, typer.Option("--continue", help="Go on with the last conversation.")] = False,
    session: Annotated[str | None, typer.Option(help="Go on with this conversation.", metavar="ID")] = None,
    answering: AnswerOptions,
    choosing: SamplingOptions,
    system: options.System = None,
    overflow: Overflowing = "stop",
    loading: LoadOptions,
    display: options.DisplayOptions,
) -> None:
    """Talk with a model; the conversation is kept at every turn and can be resumed, even after a crash.

    With --private it is kept nowhere, and gone when the command ends. With --json, one object a turn, each on a line of
    its own.
    """
    with reported_failures(as_json=display.as_json, debug=display.debug):
        interactive = sys.stdin is not None and sys.stdin.isatty()
        _check_choice(model, session, system, resume=resume, private=answering.private)
        resolved = None if model is None else resolve_model(model)
        request = unasked_request(answering, choosing, loading, as_json=display.as_json)
        head = system_messages(system)
        question = None if interactive else read_question(None)
        conversation = Conversation(
            directories=user_directories(),
            session=_open(resolved, session, private=answering.private),
            system=head,
            request=msgspec.structs.replace(request, overflow=overflow),
            display=display,
        )
        try:
            if question is None:
                talk(conversation, resumed=model is None)
            else:
                conversation.ask(question)
        finally:
            conversation.close()


def _check_choice(model: str | None, session: str | None, system: str | None, *, resume: bool, private: bool) -> None:
    """Raises ChatNeedsModel and RequestInvalid unless exactly one conversation is meant."""
    chosen = [name for name, given in (("MODEL", model), ("--session", session), ("--continue", resume)) if given]
    if not chosen:
        raise ChatNeedsModel
    if len(chosen) > 1:
        raise RequestInvalid(reason=f"{' and '.join(chosen)} exclude each other")
    if system is not None and model is None:
        raise RequestInvalid(reason="--system belongs at the start of a conversation")
    if private and model is None:
        raise RequestInvalid(reason="a conversation that was kept cannot become private; --private goes with MODEL")


def _open(model: str | None, name: str | None, *, private: bool) -> Session:
    client = running_daemon(user_directories())
    if model is not None:
        return client.new_session(model, private=private)
    return client.latest_session() if name is None else client.session(name)
