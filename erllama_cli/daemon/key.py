"""`erllama daemon key`: what clients on TCP show."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama daemon key
  export OPENAI_API_KEY="$(erllama daemon key)"
  erllama daemon key --rotate"""


def key(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new key. The old one opens nothing any more, from now on.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Print the key that clients on TCP have to show.

    It is made the first time that it is needed, and kept in a file that only you can read. Whoever has it can ask every
    model; the Unix socket takes none.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.output import print_json, write_text
        from erllama_daemon.api_key import ApiKey
        from erllama_daemon.directories import user_directories

        kept = ApiKey(user_directories())
        shown = kept.rotate() if rotate else kept.text()
        if as_json:
            from erllama_cli.results.daemon import ShownKey

            print_json(ShownKey(shown, str(kept.path), rotate))
        else:
            write_text(f"{shown}\n")
