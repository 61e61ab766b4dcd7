"""What a change of the file comes to: what holds for the key now, and when the daemon takes it."""

from __future__ import annotations

import sys
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from erllama_cache.errors import ErllamaError
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


AFTER_RESTART = "The daemon that runs takes it after: erllama daemon restart"


def tell_change(
    directories: Directories, path: Path, key: Key | None, *, changed: bool, as_json: bool, quiet: bool
) -> None:
    """Says what a key is now, on stdout, and on stderr what keeps that from being in force."""
    setting = None if key is None else effective(directories.config_file).row(key, path)
    takes = daemon_takes(directories, path) if changed else "nothing"
    if as_json:
        print_json(
            ChangedConfig(
                path=str(directories.config_file), key=dotted(path), changed=changed, setting=setting, daemon=takes
            )
        )
    elif not quiet:
        print(_told(dotted(path), setting, directories.config_file, changed=changed))
        if takes == "after_restart":
            print(AFTER_RESTART, file=sys.stderr)


def _told(name: str, setting: Setting | None, file: FilePath, *, changed: bool) -> str:
    if setting is None:
        return f"{name} is gone" if changed else f"{name} is not in {file}"
    value = setting.default if setting.written is None else setting.written
    by = {"default": "by default", "file": f"in {file}"}.get(setting.origin, f"by the {told_origin(setting)}")
    if setting.origin == "environment":
        by = f"as {setting.variable} says"
    return f"{name} is {value}, {by}{'' if changed else ', as before'}"


def daemon_takes(directories: Directories, path: Path | None = None) -> DaemonTakes:
    """Has a daemon that reads this file read it again, and says what became of a key there, or of all."""
    client = Client(directories)
    if (path is not None and path[0] == COMMAND_LINE) or not client.answers():
        return "nothing"
    try:
        if client.settings().path != str(directories.config_file):
            return "nothing"
        client.reload()
        theirs = {each.key: each.value for each in client.settings().settings}
    except ErllamaError:  # it is of another version, or leaving, or what its own environment says does not fit
        return "after_restart"
    ours = {each.key: each.value for each in effective(directories.config_file).rows()}
    names = [name for name in ours.keys() | theirs.keys() if not name.startswith(f"{COMMAND_LINE}.")]
    if path is not None:
        names = [dotted(path)]
    return "at_once" if all(ours.get(name) == theirs.get(name) for name in names) else "after_restart"
