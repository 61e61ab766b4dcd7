"""`erllama detokenize`: the text of some tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.model import ModelArgument, resolve_model
from erllama_cli.output import print_json, write_whole_text

EXAMPLES = """\b
Examples:
  erllama detokenize demo 9690 28
  erllama tokenize demo "Hum." | erllama detokenize demo
  erllama tokenize demo "Hum." --json | jq '.tokens[]' | erllama detokenize demo"""


def detokenize(
    model: ModelArgument,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Token ids; without any, standard input.", show_default=False),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print the text of some tokens.

    Control tokens are written out. Spaces, commas or line breaks stand between ids. No line break is added, except
    on a terminal.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.launcher import running_daemon
        from erllama_cli.question import read_text
        from erllama_daemon.directories import user_directories
        from erllama_daemon.messages import DetokenizeRequest
        from erllama_daemon.messages.checks import check_tokens

        resolved = resolve_model(model)
        tokens = [_token(word) for word in read_text(" ".join(ids) if ids else None).replace(",", " ").split()]
        check_tokens(tokens)
        detokenized = running_daemon(user_directories(), quiet=quiet).detokenize(
            DetokenizeRequest(model=resolved, tokens=tokens)
        )
        if as_json:
            print_json(detokenized)
        else:
            write_whole_text(detokenized.text)


def _token(word: str) -> int:
    from erllama_daemon.errors import RequestInvalid

    if not (word.isascii() and word.isdigit() and len(word) < 20):
        raise RequestInvalid(reason=f"{word!r} is no token id")
    return int(word)
