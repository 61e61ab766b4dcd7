"""`erllama daemon run`: the daemon in the foreground."""

from __future__ import annotations

import os

from erllama_cli.options.settings import Http, LogPrompts, Set, with_named

EXAMPLES = """\b
Examples:
  erllama daemon run
  erllama daemon run --http 127.0.0.1:8080
  erllama daemon run --set cache.ram_bytes=4GiB --set load.keep_alive=forever"""


def run(settings: Set = None, http: Http = None, log_prompts: LogPrompts = False) -> None:
    """Run the daemon here, in the foreground, until Ctrl-C."""
    from erllama_cli.launcher import DAEMON_COMMAND

    given = with_named(settings, http=http, log_prompts=log_prompts)
    os.execv(DAEMON_COMMAND[0], [*DAEMON_COMMAND, *(f"--set={each}" for each in given)])
