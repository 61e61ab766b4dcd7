"""`erllama config set`: a key gets a value in the file."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.config.key import KeyArgument, known_key
from erllama_cli.failures import reported_failures
from erllama_cli.options.number_last import NumberLast

COMMAND = NumberLast
EXAMPLES = """\b
Examples:
  erllama config set cache.disk_bytes 50GiB
  erllama config set run.model demo
  erllama config set models.demo.load.keep_alive forever"""


def set(  # noqa: A001 - the command's name
    key: KeyArgument,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="As the key takes it, without quotes of TOML; a text that begins with a hyphen stands after --.",
        ),
    ],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Set a key in the file; its comments and its order stay.

    A value that the key does not take changes nothing, nor does a file that would not be valid.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.config.change import set_key
        from erllama_cli.config.outcome import tell_change
        from erllama_daemon.directories import user_directories

        directories = user_directories()
        path, known = known_key(key)
        changed = set_key(directories, path, known, value)
        tell_change(directories, path, known, changed=changed, as_json=as_json, quiet=quiet)
