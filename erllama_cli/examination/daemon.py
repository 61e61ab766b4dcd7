"""The daemon and its socket: whether it could be there, and whether it answers."""

from __future__ import annotations

from collections.abc import Iterator

from erllama_cli.client import Client
from erllama_cli.daemon.folders import REMEDY, told_elsewhere
from erllama_cli.output import readable_seconds
from erllama_cli.results.doctor import Check
from erllama_cli.versions import Age, age_of
from erllama_daemon import __version__
from erllama_daemon.directories import Directories
from erllama_daemon.messages import DaemonStatus


def examine(directories: Directories) -> Iterator[Check]:
    """Starts none. Raises SocketPathTooLong, and what keeps one from answering."""
    status = Client(directories).status()
    if status is not None:
        yield _answering(status, directories)
    elif directories.given_socket is not None:
        remedy = "Connect it again, or unset ERLLAMA_SOCKET to use this machine's own daemon."
        yield Check("daemon", "failed", f"nobody listens at {directories.socket}, where ERLLAMA_SOCKET points", remedy)
    else:
        yield Check("daemon", "ok", f"not running; a command that needs it starts it at {directories.socket}")


def _answering(status: DaemonStatus, directories: Directories) -> Check:
    told = f"process {status.pid}, version {status.version}, up for {readable_seconds(status.uptime_s or 0.0)}"
    match age_of(status.version):
        case Age.OLDER:
            remedy = "The next command that needs it restarts it once it is idle; or now: erllama daemon restart"
            return Check("daemon", "warning", f"{told}: older than this command ({__version__})", remedy)
        case Age.NEWER:
            return Check("daemon", "warning", f"{told}: newer than this command ({__version__})", "Update erllama.")
        case Age.SAME:
            elsewhere = told_elsewhere(directories, status.cache_directory, status.data_directory)
            if elsewhere is not None:
                return Check("daemon", "warning", f"{told}: {elsewhere}", REMEDY)
            return Check("daemon", "ok", told)
