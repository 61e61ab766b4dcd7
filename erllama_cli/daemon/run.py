"""`erllama daemon run`: the daemon in the foreground."""

from __future__ import annotations

import os

from erllama_cli.options.settings import Set

EXAMPLES = """\b
Examples:
  erllama daemon run
  erllama daemon run --set cache.ram_bytes=4GiB --set load.keep_alive=forever"""


def run(settings: Set = None) -> None:
    """Run the daemon here, in the foreground, until Ctrl-C."""
    from erllama_cli.launcher import DAEMON_COMMAND

    os.execv(DAEMON_COMMAND[0], [*DAEMON_COMMAND, *(f"--set={each}" for each in settings or [])])
