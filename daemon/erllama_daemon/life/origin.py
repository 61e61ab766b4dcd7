"""Who started the daemon, as its arguments and its environment tell."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from erllama_daemon.messages import StartedBy

IN_BACKGROUND = "--in-background"
"""The argument with which a command starts the daemon that it needs. Its standard error is the log."""


def started_by(arguments: Sequence[str], environment: Mapping[str, str]) -> StartedBy:
    """Whether a command, systemd or somebody at a terminal started this process."""
    if IN_BACKGROUND in arguments:
        return "command"
    return "systemd" if "NOTIFY_SOCKET" in environment or is_journal(environment) else "foreground"


def is_journal(environment: Mapping[str, str]) -> bool:
    """Whether standard error is systemd's journal itself, and not merely inherited from someone who had that."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
