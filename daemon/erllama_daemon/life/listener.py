"""The socket that the daemon listens at: one of its own making, or one that it was started with."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
from collections.abc import MutableMapping
from pathlib import Path

from erllama_daemon.directories import Directories, create_private
from erllama_daemon.errors import DaemonUnreachable, ListenerUnusable, SocketPathTooLong

log = logging.getLogger(__name__)

SOCKET_PATH_LIMIT = 107
"""Bytes of `sun_path`, less the final NUL."""

_FIRST_GIVEN = 3
"""The file descriptor after standard error, where sd_listen_fds(3) says that sockets begin."""


class Listener:
    """A listening Unix socket and its path. `is_given` says that somebody else made it, and keeps it when we end."""

    def __init__(self, listening: socket.socket, path: Path, *, is_given: bool) -> None:
        self.socket = listening
        self.path = path
        self.is_given = is_given
        self._hidden = path.with_name(f"{path.name}.leaving")
        self._file = None if is_given else path.stat()

    @property
    def is_lost(self) -> bool:
        """Whether nobody can connect any more, for its file is gone or another one's."""
        return self._file is not None and not self._is_at(self.path)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody has connected who has not been heard yet."""
        if self.socket.fileno() < 0:
            return False
        readable, _, _ = select.select([self.socket], [], [], 0)
        return bool(readable)

    def hide(self) -> None:
        """Lets nobody connect, without a word to those who have: the file takes another name. Raises OSError."""
        if self._file is not None:
            self.path.rename(self._hidden)

    def show(self) -> None:
        """Lets everybody connect again. Raises OSError."""
        if self._file is not None:
            self._hidden.rename(self.path)

    def remove(self) -> None:
        """Removes its file, if it is ours and still there. May be called again. One that cannot be is left behind."""
        for path in (self.path, self._hidden):
            try:
                if self._is_at(path):
                    path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("the socket is left behind: %s", error)

    def _is_at(self, path: Path) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, path.stat())
        except OSError:
            return False


def bind(directories: Directories) -> Listener:
    """A socket that is about to listen, 0600 in a 0700 folder, in place of one that a dead daemon left.

    The caller holds the daemon's lock. Raises SocketPathTooLong and DaemonUnreachable.
    """
    path = directories.socket
    check_length(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        if os.path.lexists(path) and not (path.is_socket() or path.is_symlink()):
            raise FileExistsError("what is there is no socket")
        path.unlink(missing_ok=True)
        listening.bind(os.fspath(path))
        return Listener(listening, path, is_given=False)
    except OSError as error:
        listening.close()
        reason = (error.strerror or str(error)).lower()
        raise DaemonUnreachable(socket=path, reason=reason, log=directories.daemon_log) from error
    finally:
        os.umask(previous)


def given_listener(environment: MutableMapping[str, str]) -> Listener | None:
    """The socket that this process was started with, as sd_listen_fds(3) says; None if there is none.

    What says so is taken out of the environment, so that no worker takes the socket for its own. Raises
    ListenerUnusable.
    """
    named = {name: environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if named["LISTEN_PID"] != str(os.getpid()):
        return None
    if named["LISTEN_FDS"] != "1":
        raise ListenerUnusable(reason=f"one socket is expected, and there are {named['LISTEN_FDS'] or 'none'}")
    try:
        os.set_inheritable(_FIRST_GIVEN, False)
        listening = socket.socket(fileno=_FIRST_GIVEN)
    except OSError as error:
        raise ListenerUnusable(reason=(error.strerror or str(error)).lower()) from error
    with contextlib.ExitStack() as unless_used:
        unless_used.callback(listening.close)
        is_stream = listening.family == socket.AF_UNIX and listening.type == socket.SOCK_STREAM
        if not is_stream or not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenerUnusable(reason="it is no Unix stream socket that listens")
        name = listening.getsockname()
        if not isinstance(name, str) or not name.startswith("/"):
            raise ListenerUnusable(reason="it has no path")
        unless_used.pop_all()
    return Listener(listening, Path(name), is_given=True)


def check_length(path: Path) -> None:
    """Raises SocketPathTooLong for a path that no Unix socket can have."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise SocketPathTooLong(socket=path, length=length, limit=SOCKET_PATH_LIMIT)


def prepare_folder(directories: Directories) -> None:
    """Creates the folder of the socket, 0700; one that the user named is left as it is. Raises OSError."""
    folder = directories.socket.parent
    create_private(folder)
    if folder == directories.runtime:
        folder.chmod(0o700)
