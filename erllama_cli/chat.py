"""`erllama chat`: a conversation that is kept at every turn."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.conversation import Conversation
from erllama_cli.failures import reported_failures
from erllama_cli.launcher import running_daemon
from erllama_cli.model import resolve_model
from erllama_cli.question import read_question, valid_text
from erllama_cli.terminal import talk
from erllama_daemon.directories import user_directories
from erllama_daemon.errors import ChatNeedsModel, RequestInvalid
from erllama_daemon.messages import Message, Session

EXAMPLES = """\b
Examples:
  erllama chat demo
  erllama chat --continue
  echo "And why?" | erllama chat --continue
  erllama chat --session 0f3a

On a terminal, Ctrl-C stops an answer and Ctrl-D leaves. Elsewhere standard
input is one message, and the command ends with its answer."""


def chat(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="The path of a GGUF file, or `demo`.")] = None,
    resume: Annotated[bool, typer.Option("--continue", help="Go on with the last conversation.")] = False,
    session: Annotated[str | None, typer.Option(help="Go on with this conversation.", metavar="ID")] = None,
    max_tokens: options.MaxTokens = options.MAX_TOKENS,
    temperature: options.Temperature = options.SAMPLING.temperature,
    top_k: options.TopK = options.SAMPLING.top_k,
    top_p: options.TopP = options.SAMPLING.top_p,
    min_p: options.MinP = options.SAMPLING.min_p,
    repeat_penalty: options.RepeatPenalty = options.SAMPLING.repeat_penalty,
    seed: options.Seed = None,
    system: options.System = None,
    logits_digest: options.LogitsDigest = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Talk with a model; the conversation is kept at every turn and can be resumed, even after a crash.

    With --json, one object a turn, each on a line of its own.
    """
    with reported_failures(as_json=as_json, debug=debug):
        interactive = sys.stdin is not None and sys.stdin.isatty()
        _check_choice(model, session, system, resume=resume)
        resolved = None if model is None else resolve_model(model)
        question = None if interactive else read_question(None)
        conversation = Conversation(
            directories=user_directories(),
            session=_open(resolved, session),
            system=[] if system is None else [Message("system", [valid_text(system, "the system prompt")])],
            max_tokens=max_tokens,
            sampling=options.sampling(temperature, top_k, top_p, min_p, repeat_penalty, seed),
            logits_digest=logits_digest,
            as_json=as_json,
            quiet=quiet,
        )
        if question is None:
            talk(conversation, resumed=model is None)
        else:
            conversation.ask(question)


def _check_choice(model: str | None, session: str | None, system: str | None, *, resume: bool) -> None:
    """Raises ChatNeedsModel and RequestInvalid unless exactly one conversation is meant."""
    chosen = [name for name, given in (("MODEL", model), ("--session", session), ("--continue", resume)) if given]
    if not chosen:
        raise ChatNeedsModel
    if len(chosen) > 1:
        raise RequestInvalid(reason=f"{' and '.join(chosen)} exclude each other")
    if system is not None and model is None:
        raise RequestInvalid(reason="--system belongs at the start of a conversation")


def _open(model: str | None, name: str | None) -> Session:
    client = running_daemon(user_directories())
    if model is not None:
        return client.new_session(model)
    return client.latest_session() if name is None else client.session(name)
