"""`erllama embed`: texts as vectors."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.output import print_json, write_text

EXAMPLES = """\b
Examples:
  erllama embed demo "llama" "alpaca"
  erllama embed demo < essay.txt
  erllama embed demo --lines < words.txt > vectors.ndjson"""


def embed(
    model: ModelArgument,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="The texts; without any, or for -, standard input.", show_default=False),
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Take each line of standard input as a text.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print a vector for each text, as JSON on a line of its own.

    A vector is a JSON array and has length 1. All of standard input is one text unless --lines is given.
    """
    with reported_failures(as_json=as_json, debug=debug):
        import msgspec

        from erllama_cli.launcher import running_daemon
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import EmbedRequest
        from erllama_daemon.messages.checks import check_embed

        request = EmbedRequest(model=resolve_model(model), texts=_read_texts(texts or [], by_line=lines))
        check_embed(request)
        embeddings = running_daemon(user_directories(), quiet=quiet).embed(request)
        if as_json:
            print_json(embeddings)
        else:
            write_text("".join(f"{msgspec.json.encode(vector).decode()}\n" for vector in embeddings.embeddings))


def _read_texts(texts: list[str], *, by_line: bool) -> list[str]:
    from erllama_cli.files import STREAM
    from erllama_cli.question import read_text, valid_text
    from erllama_daemon.errors import RequestInvalid

    if texts and texts != [STREAM]:
        if by_line:
            raise RequestInvalid(reason="--lines is for standard input")
        return [valid_text(text, "the text") for text in texts]
    text = read_text(STREAM if texts else None)
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if by_line else [text]
