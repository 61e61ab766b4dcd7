"""`erllama config unset`: a key is taken out of the file."""

from __future__ import annotations

from typing import Annotated

import typer

from erllama_cli import options
from erllama_cli.completion.candidates import complete_config_key
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama config unset cache.disk_bytes
  erllama config unset models.demo.load.ctx"""


def unset(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A key or a whole table.", autocompletion=complete_config_key)
    ],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Take a key out of the file, so that its default holds again.

    Also one that there is not, to mend a file. Does nothing if the file does not have it.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.config.change import unset_key
        from erllama_cli.config.outcome import tell_change
        from erllama_daemon.config.key import Key, find, split
        from erllama_daemon.directories import user_directories
        from erllama_daemon.errors import ConfigKeyInvalid

        directories = user_directories()
        try:
            path = split(key)
        except ValueError:
            raise ConfigKeyInvalid(problem=f"{key!r} is no key") from None
        changed = unset_key(directories, path)
        known = find(path)
        tell_change(
            directories,
            path,
            known if isinstance(known, Key) else None,
            changed=changed,
            as_json=as_json,
            quiet=quiet,
        )
