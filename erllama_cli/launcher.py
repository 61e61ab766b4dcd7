"""Starts the daemon when a command needs it: exactly one, however many commands start together."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from erllama_cli.client import Client
from erllama_daemon.directories import Directories, create_private
from erllama_daemon.errors import DaemonUnreachable

# -P: a folder that happens to hold an `erllama_daemon` of its own is never imported from.
DAEMON_COMMAND = (sys.executable, "-P", "-m", "erllama_daemon")

START_TIMEOUT_S = 30.0
_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.05


def running_daemon(directories: Directories) -> Client:
    """A client of the daemon, which is started if nobody listens. Raises DaemonUnreachable and ConfigInvalid."""
    client = Client(directories)
    if client.answers():
        return client
    from filelock import FileLock

    from erllama_daemon.config import read_config

    read_config(directories.config_file)  # what the daemon would say to its log alone
    try:
        create_private(directories.runtime)
        with FileLock(directories.runtime / "start.lock", timeout=2 * START_TIMEOUT_S):
            if not client.answers():
                _start(client, directories)
    except OSError as error:
        raise _unreachable(directories, (error.strerror or str(error)).lower()) from error
    return client


def _start(client: Client, directories: Directories) -> None:
    """Starts a daemon and returns when it listens. The caller holds the lock."""
    log_start = directories.daemon_log.stat().st_size if directories.daemon_log.exists() else 0
    process = _spawn(directories)
    deadline = time.monotonic() + START_TIMEOUT_S
    pause = _FIRST_PAUSE_S
    while not client.answers():
        if process.poll() is not None and not client.answers():
            raise _unreachable(directories, _last_words(directories, log_start) or "it ended at once")
        if time.monotonic() > deadline:
            raise _unreachable(directories, f"it did not start within {START_TIMEOUT_S:.0f} s")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    # If it ends while this command lives, no zombie may pretend that it still runs.
    threading.Thread(target=process.wait, daemon=True).start()


def _spawn(directories: Directories) -> subprocess.Popen[bytes]:
    """The daemon's process: in a session of its own, so that no Ctrl-C and no closed terminal ends it."""
    create_private(directories.log)
    log = os.open(directories.daemon_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            DAEMON_COMMAND, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    finally:
        os.close(log)


def _last_words(directories: Directories, start: int) -> str:
    with directories.daemon_log.open("rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "").removeprefix("erllama: ").rstrip(".")


def _unreachable(directories: Directories, reason: str) -> DaemonUnreachable:
    return DaemonUnreachable(socket=directories.socket, reason=reason, log=directories.daemon_log)
