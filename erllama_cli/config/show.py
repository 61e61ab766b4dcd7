"""`erllama config show`: every key with its value, where that comes from, and what it is for."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama config show
  erllama config show --all
  erllama config show --json | jq -r '.settings[] | select(.origin != "default") | .key'"""


def show(
    every: Annotated[
        bool, typer.Option("--all", help="Show the environment variables too, and the keys that hold a name.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show every key: its value, where that comes from, what it is for.

    An option counts before the environment, that before the file, and that before the default. What a running daemon
    has otherwise is marked: it takes that after `erllama daemon reload` or `restart`.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.config.listing import print_listing
        from erllama_cli.config.shown import shown_config
        from erllama_cli.output import print_json
        from erllama_daemon.directories import user_directories

        shown = shown_config(user_directories())
        if as_json:
            print_json(shown)
        else:
            print_listing(shown, every=every)
