"""`erllama config get`: one value."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.config.key import KeyArgument, known_key
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama config get load.keep_alive
  erllama config get daemon.log_bytes --origin"""


def get(
    key: KeyArgument,
    origin: Annotated[bool, typer.Option("--origin", help="Print where it comes from too, after a tab.")] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Print the value of a key, and nothing else.

    It is printed as `erllama config set` takes it: what the file, the environment or the default says. Ends with 1 for
    a key that is not set and whose default is no value.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.config.origin import told_origin
        from erllama_cli.output import print_json, write_text
        from erllama_daemon.config import effective
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import ConfigKeyUnset

        path, known = known_key(key)
        found = effective(user_directories().config_file).row(known, path)
        if found.written is None:
            raise ConfigKeyUnset(key=found.key, default=found.default)
        if as_json:
            print_json(found)
        else:
            write_text(f"{found.written}\t{told_origin(found)}\n" if origin else f"{found.written}\n")
