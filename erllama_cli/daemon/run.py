"""`erllama daemon run`: the daemon in the foreground."""

from __future__ import annotations

import os

EXAMPLES = """\b
Examples:
  erllama daemon run"""


def run() -> None:
    """Run the daemon here, in the foreground, until Ctrl-C."""
    from erllama_cli.launcher import DAEMON_COMMAND

    os.execv(DAEMON_COMMAND[0], DAEMON_COMMAND)
