"""Starts the daemon when a command needs it: exactly one, however many commands start together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from erllama_cli.client import Client
from erllama_cli.connection import unreachable
from erllama_daemon import __version__
from erllama_daemon.directories import SOCKET_VARIABLE, Directories, create_private
from erllama_daemon.errors import DaemonLost, DaemonUnreachable

if TYPE_CHECKING:
    from erllama_daemon.config import DaemonConfig

# -P: a folder that happens to hold an `erllama_daemon` of its own is never imported from.
DAEMON_COMMAND = (sys.executable, "-P", "-m", "erllama_daemon")

START_TIMEOUT_S = 30.0
LEAVE_TIMEOUT_S = 120.0
_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.05

_IN_BACKGROUND = "--in-background"
_NOT_INHERITED = ("NOTIFY_SOCKET", "JOURNAL_STREAM", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""What systemd says to a service that a command may be part of, and not to the daemon that it starts."""

_LAST_WORDS = re.compile(r"(?:\S+ [A-Z]+ )?erllama: ")


class _JsonLine(msgspec.Struct, frozen=True):
    message: str


def running_daemon(directories: Directories, *, quiet: bool = False) -> Client:
    """A client of the daemon, which is started if nobody listens, also later, when it has ended by itself.

    One of an earlier version gives way to one of this if it is idle, of which a terminal is told unless `quiet`, as it
    is of one that serves other folders than this command's. A
    daemon at the socket that ERLLAMA_SOCKET names is somebody else's to start and to end. Raises DaemonUnreachable,
    DaemonStillRuns and ConfigInvalid.
    """
    if directories.given_socket is None:
        client = Client(directories, lambda: revive(directories))
        if not start_daemon(directories):
            _look_at_running(directories, quiet=quiet)
        return client
    client = Client(directories)
    if not client.answers():
        raise unreachable(directories, "nobody listens")
    return client


def start_daemon(directories: Directories, settings: Sequence[str] = ()) -> bool:
    """Starts the daemon if nobody listens, wherever its socket is; whether that was so.

    `settings` are KEY=VALUE, and come over the file and the environment. Raises DaemonUnreachable, ConfigInvalid,
    and what `bound_socket` raises.
    """
    client = Client(directories)
    if client.answers():
        return False
    from filelock import FileLock

    from erllama_daemon.config import read_config

    config = read_config(directories.config_file, settings)  # what the daemon would say to its log alone
    try:
        create_private(directories.start_lock.parent)
        with FileLock(directories.start_lock, timeout=2 * START_TIMEOUT_S):
            if client.answers():
                return False
            _check_address(config.daemon)
            _start(client, directories, settings)
    except OSError as error:
        raise unreachable(directories, (error.strerror or str(error)).lower()) from error
    return True


def _check_address(config: DaemonConfig) -> None:
    """Raises what the daemon would say to its log alone of where it is to listen on TCP."""
    if config.http is not None:
        from erllama_daemon.tcp_address import bound_socket

        if (bound := bound_socket(config)) is not None:
            bound.close()


def _look_at_running(directories: Directories, *, quiet: bool) -> None:
    """Has a daemon of an earlier version replaced, and tells a terminal of one that serves other folders.

    Both are in its file: a command that has to start quickly asks for no more.
    """
    version, _, folders = _announced(directories).partition(b"\n")
    if version != __version__.encode():
        from erllama_cli.daemon.replacement import replace_older

        replace_older(directories, quiet=quiet)
    elif folders.count(b"\n") == 2 and folders != b"%b\n%b\n" % tuple(map(os.fsencode, directories[:2])):
        from erllama_cli.daemon.folders import REMEDY, told_elsewhere

        told = told_elsewhere(directories, *map(os.fsdecode, folders.split(b"\n")[:2]))
        if told is not None and not quiet and sys.stderr is not None and sys.stderr.isatty():
            from erllama_cli.drawing.printable import printable
            from erllama_cli.one_line import broken_at_words, line_width

            print(broken_at_words(printable(f"[{told}. {REMEDY}]"), line_width()), file=sys.stderr)


def _announced(directories: Directories) -> bytes:
    try:
        with open(directories.version_file, "rb") as file:  # noqa: PTH123 - quicker
            return file.read()
    except OSError:
        return b""


def revive(directories: Directories, settings: Sequence[str] = ()) -> None:
    """Starts the daemon anew, once one that is about to end has ended. Raises as `start_daemon`."""
    client, deadline = Client(directories), time.monotonic() + LEAVE_TIMEOUT_S
    while _is_leaving(client):
        if time.monotonic() > deadline:
            raise unreachable(directories, f"it is stopping, and has not ended within {LEAVE_TIMEOUT_S:.0f} s")
        time.sleep(_LONGEST_PAUSE_S)
    start_daemon(directories, settings)


def _is_leaving(client: Client) -> bool:
    try:
        status = client.status()
    except (DaemonLost, DaemonUnreachable):
        return True  # in the middle of leaving
    return status is not None and status.draining


def _start(client: Client, directories: Directories, settings: Sequence[str]) -> None:
    """Starts a daemon and returns when it listens. The caller holds the lock."""
    log_start = directories.daemon_log.stat().st_size if directories.daemon_log.exists() else 0
    process = _spawn(directories, settings)
    deadline = time.monotonic() + START_TIMEOUT_S
    pause = _FIRST_PAUSE_S
    while not client.answers():
        if process.poll() is not None and not client.answers():
            raise _not_started(directories, _last_words(directories, log_start) or "it ended at once")
        if time.monotonic() > deadline:
            raise _not_started(directories, f"it did not start within {START_TIMEOUT_S:.0f} s")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    # If it ends while this command lives, no zombie may pretend that it still runs.
    threading.Thread(target=process.wait, daemon=True).start()


def _spawn(directories: Directories, settings: Sequence[str]) -> subprocess.Popen[bytes]:
    """The daemon's process: in a session of its own, so that no Ctrl-C and no closed terminal ends it."""
    create_private(directories.log)
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    if directories.given_socket is not None:
        environment[SOCKET_VARIABLE] = str(directories.given_socket)  # it works in another folder
    log = os.open(directories.daemon_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            (*DAEMON_COMMAND, _IN_BACKGROUND, *(f"--set={each}" for each in settings)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    finally:
        os.close(log)


def _last_words(directories: Directories, start: int) -> str:
    """What the log ends with, if it has grown since it ended at `start`; a shorter one was begun anew meanwhile."""
    with directories.daemon_log.open("rb") as log:
        log.seek(start if start <= os.fstat(log.fileno()).st_size else 0)
        lines = log.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    with suppress(msgspec.MsgspecError):  # `daemon.log_format` may be json
        last = msgspec.json.decode(last, type=_JsonLine).message
    found = _LAST_WORDS.match(last)
    return last[found.end() if found else 0 :].rstrip(".")


def _not_started(directories: Directories, reason: str) -> DaemonUnreachable:
    return DaemonUnreachable(socket=directories.socket, reason=reason, log=directories.daemon_log)
