"""`erllama sessions import`: what `export` wrote, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.completion.candidates import complete_model
from erllama_cli.failures import reported_failures, told_failure
from erllama_cli.model import model_name
from erllama_cli.one_line import one_line
from erllama_cli.output import counted, print_json
from erllama_cli.sessions.named import named

if TYPE_CHECKING:
    from erllama_cli.results.sessions import ImportedSession

EXAMPLES = """\b
Examples:
  erllama sessions import conversations.json
  erllama sessions import build.json --name "the other build"
  erllama sessions import messages.json --model demo"""


def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="What was exported as JSON; - is standard input.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="What it is to be called here, if there is only one.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="What the model of the conversations is called here.",
            autocompletion=complete_model,
        ),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Take in conversations that were exported elsewhere.

    Messages of another program's, {"messages": [{"role", "content"}]}, become one too. A conversation that is here
    already is left as it is; if something else was said in it, it comes in under another id. Of a file everything is
    taken in or nothing; one that is refused does not keep the others.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cache.errors import ErllamaError
        from erllama_cli.results.sessions import Imported
        from erllama_cli.sessions.adoption import take_in, valid_name

        given = None if name is None else valid_name(name)
        here = None if model is None else model_name(model)
        taken: list[ImportedSession] = []
        failures = []
        for file in files:
            try:
                found = take_in(file, given, here)
            except ErllamaError as error:
                failures.append(told_failure(error, debug=debug))
                continue
            taken += found
            if not (as_json or quiet):
                _print(found)
        if as_json:
            print_json(Imported(taken, failures))
        if failures:
            raise typer.Exit(failures[0].exit_code)


def _print(sessions: list[ImportedSession]) -> None:
    if not sessions:
        print("there is no conversation in it")
    for each in sessions:
        if not each.new:
            print(f"{named(each)} is here already and was left as it is")
            continue
        turns = counted(each.turns, "turn")
        print(f"imported {named(each)}: {turns}{_why_renamed(each)}")
        if each.model_missing:
            print(f"its model is not here: {one_line(each.model)}")


def _why_renamed(each: ImportedSession) -> str:
    return "" if each.id == each.was else f"; something else was said in {each.was} here"
