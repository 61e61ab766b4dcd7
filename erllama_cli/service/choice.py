"""Which service manager is meant."""

from __future__ import annotations

import sys

from erllama_cli.service.launchd import Launchd
from erllama_cli.service.systemd import Systemd
from erllama_daemon.directories import Directories

Manager = Systemd | Launchd


def chosen(directories: Directories, *, systemd: bool | None) -> Manager:
    """The one that was asked for, else the one that this system has."""
    if systemd is None:
        systemd = sys.platform != "darwin"
    return Systemd(directories) if systemd else Launchd(directories)
