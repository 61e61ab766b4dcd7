"""What a daemon was given with --set, --http and --log-prompts, for the one that takes its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from erllama_cache.errors import ErllamaError
from erllama_cli.client import Client
from erllama_daemon.config import effective
from erllama_daemon.config.overrides import given_in_options
from erllama_daemon.directories import Directories
from erllama_daemon.messages import DaemonStatus, Setting


class Inheritance(NamedTuple):
    """Options of the daemon that runs, each KEY=VALUE: those the next one has too, and those it has not."""

    kept: list[str]
    left: list[str]


def inheritance(
    client: Client, directories: Directories, status: DaemonStatus, given: Sequence[str] = ()
) -> Inheritance:
    """What becomes of the options of the daemon that runs, if the next one is `given` others.

    A key that the file or the environment sets is left to them, for that is what `config set` promises of a restart.
    Nothing is kept of a daemon that systemd starts, nor of one that does not say what it has. Raises ConfigInvalid.
    """
    had = [] if status.started_by == "systemd" else _options(client)
    if not had:
        return Inheritance([], [])
    set_anyway = {row.key for row in effective(directories.config_file).rows() if row.origin != "default"}
    set_now = {row.key for row in effective(directories.config_file, {}, given).rows() if row.origin == "option"}
    kept: list[str] = []
    left: list[str] = []
    for each in had:
        option = f"{each.key}={each.written}"
        if each.key in set_now or given_in_options([option]).problems:  # of another version, perhaps
            continue
        (left if each.key in set_anyway else kept).append(option)
    return Inheritance(kept, left)


def _options(client: Client) -> list[Setting]:
    try:
        return [each for each in client.settings().settings if each.origin == "option"]
    except ErllamaError:
        return []
