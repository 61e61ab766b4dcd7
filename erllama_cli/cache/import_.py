"""`erllama cache import`: what `export` took along, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from erllama_cli import options
from erllama_cli.completion.candidates import complete_model
from erllama_cli.failures import reported_failures
from erllama_cli.output import counted, print_json

if TYPE_CHECKING:
    from erllama_cli.results.cache import ImportReport

EXAMPLES = """\b
Examples:
  erllama cache import llamas.tar
  erllama cache import llamas.tar --model ~/models/llama.gguf --json | jq .chats"""

Archives = Annotated[list[str], typer.Argument(metavar="FILE...", help="What was exported; - is standard input.")]
ModelHere = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="What the model of the conversations is called here.",
        autocompletion=complete_model,
    ),
]


def import_(
    files: Archives,
    model: ModelHere = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Take in blocks and conversations that were exported elsewhere.

    A conversation that is here already is left as it is. Every block is checked before it is taken in.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.cache.incoming import on_disk, sum_of, take_in
        from erllama_cli.cache.this_machine import directories_here
        from erllama_cli.drawing.progress import Bar

        directories = directories_here()
        reports = []
        for file in files:
            with on_disk(file) as path, Bar("importing blocks", shown=not quiet) as bar:
                reports.append(take_in(path, model, directories, bar))
        report = sum_of(reports)
        if as_json:
            print_json(report)
        elif not quiet:
            _print(report)


def _print(report: ImportReport) -> None:
    known = f"; {report.known_blocks:,} were here already" if report.known_blocks else ""
    print(f"imported: {counted(report.blocks, 'block')}{known}")
    for chat in report.chats:
        print(f"go on with: erllama chat --session {chat}")
    for chat in report.unnamed_chats:
        print(f"another conversation has the name of {chat}, which came without it")
    for chat in report.known_chats:
        print(f"the conversation {chat} is here already and was left as it is")
    for model in report.missing_models:
        print(f"its model is not here: {model}")
    if report.differences:
        print(f"Its state will be read again here: {'; '.join(report.differences)}")
    elif report.blocks or report.known_blocks:
        print("The state is used with the same model file, settings and build of llama.cpp as where it comes from.")
