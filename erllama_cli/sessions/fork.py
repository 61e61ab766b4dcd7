"""`erllama sessions fork`: a second conversation that begins as another one does."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import counted, print_json
from erllama_cli.sessions.named import Name, named, resume_command

EXAMPLES = """\b
Examples:
  erllama sessions fork build
  erllama sessions fork build "another way" --turn 5
  erllama chat --session "$(erllama sessions fork build --json | jq -r .id)\""""


def fork(
    name: Name,
    new: Annotated[str | None, typer.Argument(metavar="NEW", help="What the new conversation is to be called.")] = None,
    turn: Annotated[
        str | None, typer.Option("--turn", metavar="TURN", help="Share the turns up to this one, as in 3 or 3.2.")
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Begin a second conversation with the turns of one.

    They share those up to its last turn, or up to another. Both go on without reading anything again; neither changes
    the other.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import valid_text
        from erllama_cli.results.sessions import ForkedSession
        from erllama_daemon.directories import user_directories

        client = running_daemon(user_directories(), quiet=quiet)
        origin = client.session(name)
        forked = client.fork(origin, name=None if new is None else valid_text(new, "NEW"), turn=turn)
        if as_json:
            print_json(
                ForkedSession(
                    id=forked.id,
                    name=forked.name,
                    title=forked.title,
                    origin=origin.id,
                    turns=forked.turns,
                    tokens=forked.tokens,
                    finish_key=forked.finish_key,
                )
            )
        elif not quiet:
            print(f"forked {named(origin)} after {counted(forked.turns, 'turn')}: {named(forked)}")
            print(f"go on with: {resume_command(forked)}")
