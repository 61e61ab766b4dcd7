"""The daemon that runs, for commands that are about it."""

from __future__ import annotations

from collections.abc import Sequence

from erllama_cli.client import Client
from erllama_cli.launcher import revive, running_daemon, start_daemon
from erllama_daemon.directories import Directories
from erllama_daemon.errors import DaemonIncompatible, DaemonNotRunning, DaemonUnreachable
from erllama_daemon.messages import DaemonStatus


def running_status(directories: Directories, settings: Sequence[str] = ()) -> DaemonStatus:
    """What the daemon is, which is started if none runs, also at a socket that the environment names.

    Raises what `running_daemon` raises.
    """
    start_daemon(directories, settings)
    client = running_daemon(directories, quiet=True)
    found = client.status()
    if found is None or found.draining:  # as when another command has it replaced
        revive(directories, settings)
        found = client.status()
    if found is None:
        raise DaemonUnreachable(
            socket=directories.socket, reason="it ended as soon as it had started", log=directories.daemon_log
        )
    return found


def status_of_any(client: Client) -> DaemonStatus | None:
    """What the daemon is, None without one. Of one whose status makes no sense here, at least its process."""
    try:
        return client.status()
    except DaemonIncompatible:
        return client.identity()


def client_of_running(directories: Directories) -> Client:
    """A client of the daemon. Raises DaemonNotRunning if there is none; starts none."""
    client = Client(directories)
    if not client.answers():
        raise DaemonNotRunning(socket=directories.socket)
    return client


def on_tcp(url: str | None) -> str:
    """How a sentence that says where the daemon is goes on if it is on TCP too."""
    return "" if url is None else f"\nand at {url}, for who has the key: erllama daemon key"
