"""A daemon gives way to another of this version."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from erllama_cli.client import Client
from erllama_cli.daemon.ending import end_daemon, end_if_idle
from erllama_cli.daemon.inheritance import inheritance
from erllama_cli.versions import Age, age_of
from erllama_daemon import __version__
from erllama_daemon.directories import Directories
from erllama_daemon.errors import RequestInvalid
from erllama_daemon.messages import DaemonStatus


def restart_daemon(
    client: Client, directories: Directories, status: DaemonStatus, settings: Sequence[str] = ()
) -> None:
    """Ends the daemon, once it has saved, and has the next one begin where it was begun, configured by `settings` too.

    Raises RequestInvalid for settings of a service, whose command line is systemd's, DaemonStillRuns,
    DaemonUnreachable and ConfigInvalid.
    """
    if settings and status.started_by == "systemd":
        raise RequestInvalid(reason="systemd starts this daemon, and knows of no --set; there is `erllama config set`")
    end_daemon(client, directories, status.pid)
    _begin_again(directories, status, settings)


def replace_older(directories: Directories, *, quiet: bool = False) -> None:
    """Has a daemon of an earlier version replaced, if nobody would miss anything, or else says on a terminal that it is
    of an earlier version. The caller found that the daemon is not of this version, or does not say so.

    However many commands do this at once, it is done once. Raises DaemonStillRuns, DaemonUnreachable and ConfigInvalid.
    """
    client = Client(directories)
    status = _older(client)
    if status is None:
        return
    from filelock import FileLock

    from erllama_cli.launcher import START_TIMEOUT_S

    replaced = False
    if _is_ours_to_end(status):
        with FileLock(_lock(directories), timeout=2 * START_TIMEOUT_S):
            status = _older(client)
            if status is None:
                return
            kept = inheritance(client, directories, status).kept
            replaced = end_if_idle(client, directories, status)
            if replaced:
                _begin_again(directories, status, kept)
    if not quiet and sys.stderr is not None and sys.stderr.isatty():
        print(f"[{_notice(status, replaced=replaced)}]", file=sys.stderr)


def _older(client: Client) -> DaemonStatus | None:
    """What the daemon is, if it is of an earlier version than this command."""
    status = client.status()
    if status is None or status.draining or age_of(client.daemon_version) is not Age.OLDER:
        return None
    return status


def _lock(directories: Directories) -> Path:
    """Held by who replaces a daemon; another than who starts one holds, which is done meanwhile."""
    return directories.socket.with_name(f"{directories.socket.name}.replace")


def _is_ours_to_end(status: DaemonStatus) -> bool:
    """Whether a command may end it unasked: one that a command started, or a service that runs what this command is."""
    if status.started_by == "systemd":
        return _program(status.pid) == sys.executable
    return status.started_by != "foreground"


def _program(pid: int | None) -> str | None:
    """What a process was started as."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="surrogateescape")
    except OSError:
        return None


def _begin_again(directories: Directories, before: DaemonStatus, settings: Sequence[str] = ()) -> None:
    from erllama_cli.launcher import start_daemon
    from erllama_cli.service.systemd import Systemd

    if before.started_by == "systemd":
        Systemd(directories).start()
    start_daemon(directories, settings)


def _notice(status: DaemonStatus, *, replaced: bool) -> str:
    old = "an earlier version" if status.version in (None, __version__) else f"version {status.version}"
    if replaced:
        return f"the daemon was of {old}, and this command is of version {__version__}: it was restarted"
    told = f"the daemon is of {old}, and this command of version {__version__}"
    return f"{told}; when it is not needed: erllama daemon restart"
