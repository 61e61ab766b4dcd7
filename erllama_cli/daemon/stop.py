"""`erllama daemon stop`: the daemon's end, once it has saved what it holds."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from erllama_cli import options
from erllama_cli.failures import reported_failures
from erllama_cli.output import print_json

if TYPE_CHECKING:
    from erllama_cli.client import Client
    from erllama_daemon.directories import Directories

EXAMPLES = """\b
Examples:
  erllama daemon stop"""

STOP_TIMEOUT_S = 120.0
_PAUSE_S = 0.02


def stop(as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False) -> None:
    """Stop the daemon once it has saved what it holds. Does nothing if none runs."""
    with reported_failures(as_json=as_json, debug=debug):
        from erllama_cli.client import Client
        from erllama_cli.results.daemon import Stopped
        from erllama_daemon.directories import user_directories

        directories = user_directories()
        client = Client(directories)
        found = client.status()
        if found is not None:
            client.stop()
            _await_end(client, directories, found.pid)
        if as_json:
            print_json(Stopped(found is not None, None if found is None else found.pid))
        elif not quiet:
            print("not running" if found is None else "stopped")


def _await_end(client: Client, directories: Directories, pid: int | None) -> None:
    from erllama_daemon.errors import DaemonStillRuns

    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _is_there(client, directories, pid):
        if time.monotonic() > deadline:
            raise DaemonStillRuns(pid=pid, seconds=STOP_TIMEOUT_S, log=directories.daemon_log)
        time.sleep(_PAUSE_S)


def _is_there(client: Client, directories: Directories, pid: int | None) -> bool:
    """Whether the daemon of this process has not ended.

    One here is not asked: if its socket is systemd's, that would start the next. The process of one at the socket that
    ERLLAMA_SOCKET names may be another machine's.
    """
    from erllama_daemon.errors import DaemonLost, DaemonUnreachable

    if directories.given_socket is None and pid is not None:
        return _lives(pid)
    try:
        found = client.status()
    except (DaemonLost, DaemonUnreachable):
        return False
    return found is not None and found.pid == pid


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
