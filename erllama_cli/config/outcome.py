"""What a change of the file comes to: what holds for the key now, and when the daemon takes it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from erllama_cli.client import Client
from erllama_cli.config.origin import told_origin
from erllama_cli.output import print_json
from erllama_cli.results.config import ChangedConfig
from erllama_daemon.config import effective
from erllama_daemon.config.key import Path, dotted
from erllama_daemon.directories import Directories

if TYPE_CHECKING:
    from erllama_cli.results.config import DaemonTakes
    from erllama_daemon.config.key import Key
    from erllama_daemon.messages import Setting

COMMAND_LINE = "run"
"""The table that the command line reads for itself, and the daemon not at all."""


def tell_change(
    directories: Directories, path: Path, key: Key | None, *, changed: bool, as_json: bool, quiet: bool
) -> None:
    """Says what a key is now, on stdout, and on stderr what keeps that from being in force."""
    setting = None if key is None else effective(directories.config_file).row(key, path)
    takes = _daemon_takes(directories, path) if changed else "nothing"
    if as_json:
        print_json(
            ChangedConfig(
                path=str(directories.config_file), key=dotted(path), changed=changed, setting=setting, daemon=takes
            )
        )
    elif not quiet:
        print(_told(dotted(path), setting, changed=changed))
        if takes == "after_restart":
            print("The daemon that runs takes it after: erllama daemon restart", file=sys.stderr)


def _told(name: str, setting: Setting | None, *, changed: bool) -> str:
    if setting is None:
        return f"{name} is gone" if changed else f"{name} is not in the file"
    value = setting.default if setting.written is None else setting.written
    by = {"default": "by default", "file": "in the file"}.get(setting.origin, f"by the {told_origin(setting)}")
    if setting.origin == "environment":
        by = f"as {setting.variable} says"
    return f"{name} is {value}, {by}{'' if changed else ', as before'}"


def _daemon_takes(directories: Directories, path: Path) -> DaemonTakes:
    return "nothing" if path[0] == COMMAND_LINE or not Client(directories).answers() else "after_restart"
