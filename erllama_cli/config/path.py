"""`erllama config path`: where the file is."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama config path
  erllama config path --json | jq .exists"""


def path(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Print where the file is, or would be."""
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.output import print_json, write_text
        from erllama_daemon.directories import user_directories

        file = user_directories().config_file
        if as_json:
            from erllama_cli.results.config import ConfigPath

            print_json(ConfigPath(str(file), file.exists()))
        else:
            write_text(f"{file}\n")
