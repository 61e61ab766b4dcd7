"""The locks that make a daemon the only one: at its socket, and over the conversations."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from erllama_daemon.directories import Directories, create_private
from erllama_daemon.errors import DaemonAlreadyRuns, DaemonLocked, SessionsInUse
from erllama_daemon.life.listener import prepare_folder

log = logging.getLogger(__name__)

_PAUSE_S = 0.05


@contextmanager
def only_daemon(directories: Directories, *, is_activated: bool, patience_s: float) -> Iterator[None]:
    """Holds both locks until the process ends, however it ends.

    Waits `patience_s` for a daemon that is on its way out. Raises DaemonAlreadyRuns if one answers at the socket,
    DaemonLocked if one neither answers nor ends, SessionsInUse if one at another socket has the conversations, and
    OSError. Who `is_activated` cannot ask whether one answers: at its socket, it would be asking itself.
    """
    prepare_folder(directories)
    with _at_socket(directories, is_activated, patience_s), _over_sessions(directories):
        yield


@contextmanager
def _at_socket(directories: Directories, is_activated: bool, patience_s: float) -> Iterator[None]:
    lock = FileLock(directories.lock, mode=0o600)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            lock.acquire(timeout=_PAUSE_S)
            break
        except Timeout:
            if not is_activated and answers(directories.socket):
                raise DaemonAlreadyRuns(socket=directories.socket) from None
            if time.monotonic() > deadline:
                raise DaemonLocked(lock=directories.lock) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _over_sessions(directories: Directories) -> Iterator[None]:
    # Turns are put in order, and kept until they can be written, in the memory of one process.
    with contextlib.ExitStack() as held:
        lock = FileLock(directories.sessions_lock, mode=0o600)
        try:
            create_private(directories.data)
            held.enter_context(lock.acquire(timeout=0))
        except Timeout:
            raise SessionsInUse(path=directories.sessions) from None
        except OSError as error:
            # A folder that cannot be written is named by the database itself; one without locks has one user.
            log.warning("the conversations cannot be locked: %s", error)
        yield


def answers(path: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True
