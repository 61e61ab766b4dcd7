"""A daemon's end, once it was told to stop: it saves what it holds first."""

from __future__ import annotations

import os
import time

from erllama_cli.client import Client
from erllama_daemon.directories import Directories
from erllama_daemon.errors import DaemonInUse, DaemonLost, DaemonStillRuns, DaemonUnreachable
from erllama_daemon.messages import DaemonStatus, ModelStatus, RemoteError

STOP_TIMEOUT_S = 120.0
_PAUSE_S = 0.02


def end_daemon(client: Client, directories: Directories, pid: int | None) -> None:
    """Stops the daemon whose process is `pid`, and returns when it has ended. Raises DaemonStillRuns."""
    client.stop()
    _await_end(client, directories, pid)


def end_if_idle(client: Client, directories: Directories, status: DaemonStatus) -> bool:
    """As `end_daemon`, if nobody would miss anything, and whether that was so. Raises DaemonStillRuns.

    The daemon has the last word, for it knows of what came meanwhile; one of an earlier version obeys.
    """
    if any(_is_used(model) for model in status.models):
        return False
    try:
        client.stop(only_if_idle=True)
    except RemoteError as error:
        if error.failure.code == DaemonInUse.code:
            return False
        raise
    _await_end(client, directories, status.pid)
    return True


def _is_used(model: ModelStatus) -> bool:
    """Whether it is asked something, or is as somebody wants it: with adapters attached, or loaded for ever."""
    is_busy = model.status != "idle" or bool(model.running or model.queue_depth)
    return is_busy or bool(model.adapters) or model.expires_s is None


def _await_end(client: Client, directories: Directories, pid: int | None) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _runs(client, directories, pid):
        if time.monotonic() > deadline:
            raise DaemonStillRuns(pid=pid, seconds=STOP_TIMEOUT_S, log=directories.daemon_log)
        time.sleep(_PAUSE_S)


def _runs(client: Client, directories: Directories, pid: int | None) -> bool:
    """Whether it is still there.

    That somebody listens at its socket tells nothing where systemd does, and to ask would start the next one. Of a
    daemon on another machine, it is all there is to ask.
    """
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
