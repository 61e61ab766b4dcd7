"""`erllama daemon stop`: the daemon's end, once it has saved what it holds."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama daemon stop"""


def stop(as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False) -> None:
    """Stop the daemon once it has saved what it holds.

    Does nothing if none runs.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.client import Client
        from erllama_cli.daemon.ending import end_daemon
        from erllama_cli.daemon.found import status_of_any
        from erllama_cli.output import print_json
        from erllama_cli.results.daemon import Stopped
        from erllama_daemon.directories import user_directories

        directories = user_directories()
        client = Client(directories)
        found = status_of_any(client)
        if found is not None:
            end_daemon(client, directories, found.pid)
        if as_json:
            print_json(Stopped(found is not None, None if found is None else found.pid))
        elif not quiet:
            print("not running" if found is None else "stopped")
