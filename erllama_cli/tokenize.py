"""`erllama tokenize`: the tokens of a text."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.output import print_json, write_text

EXAMPLES = """\b
Examples:
  erllama tokenize demo "Why do llamas hum?"
  erllama tokenize demo --pieces < question.txt
  erllama tokenize demo "Hum." | erllama detokenize demo"""


def tokenize(
    model: ModelArgument,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The text; without it, or for -, standard input.")
    ] = None,
    pieces: Annotated[
        bool, typer.Option("--pieces", help="Print each id and its text on a line, tab between.")
    ] = False,
    first: Annotated[bool, typer.Option("--first", help="Add what the model wants where a text begins.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print the token ids of a text.

    With --pieces, line breaks, tabs and other control characters are written as in a Python string.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import read_text
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import TokenizeRequest

        request = TokenizeRequest(model=resolve_model(model), text=read_text(text), first=first)
        tokenized = running_daemon(user_directories(), quiet=quiet).tokenize(request)
        if as_json:
            print_json(tokenized)
        elif pieces:
            pairs = zip(tokenized.tokens, tokenized.pieces, strict=True)
            write_text("".join(f"{token}\t{_visible(piece)}\n" for token, piece in pairs))
        else:
            write_text(" ".join(map(str, tokenized.tokens)) + "\n")


def _visible(piece: str) -> str:
    return "".join(
        letter if letter.isprintable() and letter != "\\" else letter.encode("unicode_escape").decode()
        for letter in piece
    )
