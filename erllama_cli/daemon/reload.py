"""`erllama daemon reload`: the configuration, read again by the daemon that runs."""

from __future__ import annotations

from erllama_cli import options
from erllama_cli.failures import reported_failures

EXAMPLES = """\b
Examples:
  erllama daemon reload"""


def reload(as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False) -> None:
    """Have the daemon read its configuration again.

    What runs is not disturbed. Says which keys are different now, and which of them take a restart. Ends with 4 if no
    daemon runs.
    """
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.daemon.found import client_of_running
        from erllama_cli.output import print_json
        from erllama_daemon.directories import user_directories

        reloaded = client_of_running(user_directories()).reload()
        if as_json:
            print_json(reloaded)
        elif not quiet:
            if reloaded.changed:
                print(f"in force now: {', '.join(reloaded.changed)}")
            if reloaded.after_restart:
                print(f"after erllama daemon restart: {', '.join(reloaded.after_restart)}")
            if not (reloaded.changed or reloaded.after_restart):
                print("nothing is different")
