"""A connection to the daemon: one request, and its answer."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from erllama_cli.exchange import AnswerBroken, Exchange
from erllama_daemon import __version__
from erllama_daemon.directories import Directories
from erllama_daemon.errors import (
    DaemonIncompatible,
    DaemonLost,
    DaemonStopping,
    DaemonUnreachable,
    GivenSocketUnreachable,
    RequestInvalid,
    SocketPathTooLong,
)
from erllama_daemon.messages import VERSION_HEADER, Failure, RemoteError

Decoded = TypeVar("Decoded")

_SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107


class Connector:
    """Opens a connection for each request. `revive` replaces a daemon that is gone, or going."""

    def __init__(self, directories: Directories, revive: Callable[[], None] | None) -> None:
        self._directories = directories
        self._revive = revive
        self.daemon_version: str | None = None
        """What the daemon said of its version when it was last asked; None if it said nothing."""

    @contextmanager
    def ask(
        self, method: str, path: str, body: msgspec.Struct | None = None, timeout_s: float | None = None
    ) -> Iterator[Exchange]:
        """The response to a request. Raises as `Client` says."""
        payload = None if body is None else msgspec.json.encode(body)
        revive = self._revive
        while True:
            connection = self._connected(revive)
            connection.settimeout(timeout_s)
            try:
                with connection, Exchange(connection, method, path, payload) as response:
                    self.daemon_version = response.header(VERSION_HEADER)
                    if not response.is_refusal:
                        yield response
                        return
                    failure = self.decoded(response.read(), Failure)
            except (ConnectionError, AnswerBroken) as error:
                raise DaemonLost(log=self._directories.daemon_log) from error
            except TimeoutError as error:
                raise self.unreachable(error) from error
            if revive is None or failure.code != DaemonStopping.code:
                raise RemoteError(self._explained(failure))
            revive()
            revive = None

    def _explained(self, failure: Failure) -> Failure:
        """What the daemon refused; if it did not understand, its version may be why."""
        if failure.code != RequestInvalid.code or self.daemon_version == __version__:
            return failure
        hint = f"The daemon is of {self._their_version}, and this command of version {__version__}: that may be why."
        return msgspec.structs.replace(failure, hint=f"{hint} To have one of this: erllama daemon restart")

    @property
    def _their_version(self) -> str:
        return "an earlier version" if self.daemon_version is None else f"version {self.daemon_version}"

    def _connected(self, revive: Callable[[], None] | None) -> socket.socket:
        try:
            try:
                return self.connect()
            except (FileNotFoundError, ConnectionRefusedError):
                if revive is None:
                    raise
                revive()
                return self.connect()
        except OSError as error:
            raise self.unreachable(error) from error

    def connect(self) -> socket.socket:
        """The daemon's socket. Raises OSError and SocketPathTooLong."""
        path = os.fsencode(self._directories.socket)
        if len(path) > _SOCKET_PATH_LIMIT:
            raise SocketPathTooLong(socket=self._directories.socket, length=len(path), limit=_SOCKET_PATH_LIMIT)
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.connect(path)
        except OSError:
            connected.close()
            raise
        return connected

    def decoded(self, payload: bytes, kind: type[Decoded]) -> Decoded:
        """A body as a struct. Raises DaemonIncompatible."""
        return self.checked(msgspec.json.Decoder(kind).decode, payload)

    def checked(self, decode: Callable[[bytes], Decoded], payload: bytes) -> Decoded:
        """What a decoder makes of it. Raises DaemonIncompatible."""
        try:
            return decode(payload)
        except msgspec.MsgspecError as error:
            raise DaemonIncompatible(
                socket=self._directories.socket, theirs=self._their_version, ours=__version__
            ) from error

    def unreachable(self, error: OSError) -> DaemonUnreachable:
        """The error that names why the system says that nobody is there."""
        return unreachable(self._directories, (error.strerror or str(error)).lower())


def unreachable(directories: Directories, reason: str) -> DaemonUnreachable:
    """The error that says why nobody answers: at the socket that the environment names, or at the user's own."""
    kind = DaemonUnreachable if directories.given_socket is None else GivenSocketUnreachable
    return kind(socket=directories.socket, reason=reason, log=directories.daemon_log)
