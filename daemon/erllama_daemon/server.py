"""The daemon's process: takes the lock, binds the socket, serves, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator
from types import FrameType

import uvicorn
from filelock import FileLock, Timeout
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from erllama_cache.errors import ErllamaError
from erllama_daemon.config import Config, read_config
from erllama_daemon.directories import Directories, create_private, user_directories
from erllama_daemon.errors import DaemonAlreadyRuns, DaemonUnreachable, SocketPathTooLong
from erllama_daemon.http.answers import Answers
from erllama_daemon.http.app import App, create_app
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.models.supervisor import Supervisor
from erllama_daemon.models.worker_process import STOP_TIMEOUT_S
from erllama_daemon.sessions.retention import Retention

log = logging.getLogger(__name__)

SOCKET_PATH_LIMIT = 107
"""Bytes of `sun_path`, less the final NUL."""

GRACE_S = 5
"""How long answers that were cut off by a stop have to reach their clients."""


class OwnerOnlyProtocol(H11Protocol):
    """HTTP/1.1 for the socket's owner (and root): anyone else is cut off before a byte is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("socket")
        is_stranger = hasattr(socket, "SO_PEERCRED") and _peer_uid(peer) not in (0, os.getuid())
        if isinstance(transport, asyncio.Transport) and not is_stranger:
            super().connection_made(transport)
        else:
            transport.close()


class Server(uvicorn.Server):
    """Ends like a daemon should: a signal first cancels what is running, so that it is saved and answered."""

    answers: Answers

    def stop(self) -> None:
        """Cancels every request and ends the server soon."""
        self.answers.cancel_all()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        asyncio.get_event_loop().call_soon_threadsafe(self.answers.cancel_all)
        super().handle_exit(sig, frame)


def bind(directories: Directories) -> socket.socket:
    """A listening socket, 0600 in a 0700 folder, in place of one that a dead daemon left.

    The caller holds the daemon's lock. Raises SocketPathTooLong and DaemonUnreachable.
    """
    path = directories.socket
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise SocketPathTooLong(socket=path, length=length, limit=SOCKET_PATH_LIMIT)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
    except OSError as error:
        listener.close()
        raise DaemonUnreachable(socket=path, reason=error, log=directories.daemon_log) from error
    finally:
        os.umask(previous)
    return listener


def acquire_lock(directories: Directories) -> FileLock:
    """The lock that makes a daemon the only one; held until the process ends, however it ends.

    Waits for a daemon that is on its way out. Raises DaemonAlreadyRuns if one answers.
    """
    create_private(directories.runtime)
    directories.runtime.chmod(0o700)
    lock = FileLock(directories.runtime / "daemon.lock")
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while True:
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            if _answers(directories) or time.monotonic() > deadline:
                raise DaemonAlreadyRuns(socket=directories.socket) from None
        else:
            return lock


async def serve(directories: Directories, config: Config) -> None:
    """Serves until it is told to stop by a signal or a request."""
    conversations = Conversations(directories.sessions)
    supervisor = Supervisor(directories.cache, log=directories.daemon_log, config=config)
    listener = bind(directories)

    @contextlib.asynccontextmanager
    async def lifespan(_starlette: Starlette) -> AsyncIterator[None]:
        log.info("daemon started: pid=%d socket=%s", os.getpid(), directories.socket)
        async with _meanwhile(retention_of(conversations, app.answers, config)):
            yield
        # After a signal nothing behind `server.serve` runs, so everything is put away here.
        app.answers.cancel_all()
        await app.answers.finish()
        await supervisor.stop()
        conversations.close()
        directories.socket.unlink(missing_ok=True)
        log.info("daemon stopped: pid=%d", os.getpid())

    app = App(directories, supervisor, conversations, lambda: server.stop())
    settings = uvicorn.Config(
        create_app(app, lifespan),
        http=OwnerOnlyProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = Server(settings)
    server.answers = app.answers
    await server.serve(sockets=[listener])


def retention_of(conversations: Conversations, answers: Answers, config: Config) -> Retention | None:
    """What lets unused conversations go, if the user wants that."""
    keep_s = config.sessions.keep
    return None if keep_s is None else Retention(conversations.kept, answers.delete_unused, keep_s)


@contextlib.asynccontextmanager
async def _meanwhile(retention: Retention | None) -> AsyncIterator[None]:
    if retention is None:
        yield
        return
    task = asyncio.create_task(retention.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def main() -> int:
    """Runs the daemon in the foreground; its log goes to stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    directories = user_directories()
    try:
        config = read_config(directories.config_file)
        with acquire_lock(directories):
            asyncio.run(serve(directories, config))
    except ErllamaError as error:
        print(f"erllama: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        log.info("stopped by Ctrl-C")
    return 0


def _answers(directories: Directories) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(directories.socket))
        except OSError:
            return False
        return True


def _peer_uid(peer: socket.socket) -> int:
    """The user at the other end of a Unix socket."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)
