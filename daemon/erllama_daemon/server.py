"""The daemon's process: takes the lock, listens, serves, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from erllama_cache.errors import ErllamaError
from erllama_daemon import __version__
from erllama_daemon.api_key import ApiKey
from erllama_daemon.catalog.find import ALIASES
from erllama_daemon.config import DaemonConfig, Settings, effective
from erllama_daemon.config.overrides import options_among
from erllama_daemon.directories import Directories, user_directories
from erllama_daemon.doors.doors import Doors
from erllama_daemon.doors.tcp import open_tcp
from erllama_daemon.errors import ConfigInvalid, DaemonUnreachable
from erllama_daemon.life.drain import GOODBYE_S, longest_s
from erllama_daemon.life.life import Life, Start
from erllama_daemon.life.listener import Listener, bind, given_listener
from erllama_daemon.life.locks import only_daemon
from erllama_daemon.life.log import LogFile, open_log
from erllama_daemon.life.origin import started_by
from erllama_daemon.life.systemd import Notifier
from erllama_daemon.life.version import announced_version
from erllama_daemon.messages import VERSION_HEADER, StartedBy

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Serves one life, which says when it ends, at every door. Sleeps while nothing is asked."""

    def __init__(self, life: Life, doors: Doors) -> None:
        super().__init__(
            uvicorn.Config(
                life.asgi,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                headers=[(VERSION_HEADER, __version__)],
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=GOODBYE_S,
            )
        )
        self._life = life
        self._doors = doors
        self._closed = asyncio.Event()
        life.doors = self

    @property
    def has_visitors(self) -> bool:
        """Whether a client is connected."""
        return bool(self.connections)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.server_state.connections)

    def configure(self, config: DaemonConfig) -> None:
        """What the doors take on while they are open."""
        self._doors.configure(config)

    def close_doors(self) -> None:
        """Accepts nobody any more; those who are connected stay."""
        for server in self.servers:
            server.close()

    def close(self) -> None:
        """Ends the server, once what it has to say has been read, or a short time has passed."""
        self.should_exit = True
        self._closed.set()

    def slam(self) -> None:
        """Ends the server now."""
        self.force_exit = True
        self.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens every door; uvicorn is given none itself."""
        del sockets
        self.servers = await self._doors.open(self.server_state)
        self.started = True

    async def main_loop(self) -> None:
        """Waits for the end; clients are served meanwhile."""
        await self.on_tick(0)
        self._life.begin()
        await self._closed.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Has signals do what a daemon's do."""
        loop = asyncio.get_running_loop()
        had_terminal = os.isatty(2)

        def hang_up() -> None:
            # Who keeps a daemon in a window and closes that does not ask for another configuration.
            if had_terminal and not os.isatty(2):
                self._life.stop()
            else:
                self._life.hang_up()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._life.stop_or_hurry)
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        yield


async def serve(start: Start) -> None:
    """Serves until a signal, a request or the daemon's own idleness ends it."""
    life = Life(start)
    try:
        await Server(life, _doors(start, life)).serve()
    finally:
        await life.close()


def _doors(start: Start, life: Life) -> Doors:
    key = ApiKey(start.directories)
    if start.tcp is not None:
        key.text()  # so that there is one
    return Doors(
        life.asgi,
        life.refusals,
        start.settings.config.daemon,
        unix=start.listener.socket,
        tcp=start.tcp,
        key=key,
        visited=life.visited,
    )


def main() -> int:
    """Runs the daemon until its end."""
    by = started_by(sys.argv[1:], os.environ)
    directories = user_directories()
    try:
        _run(by, directories)
    except ErllamaError as error:
        return _told(by, error)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return _told(by, DaemonUnreachable(socket=directories.socket, reason=reason, log=directories.daemon_log))
    return 0


def _run(by: StartedBy, directories: Directories) -> None:
    notifier, given = Notifier.of_environment(), given_listener(os.environ)
    if given is not None and given.path != directories.socket:
        directories = directories._replace(given_socket=given.path)
    settings, log_file = _configured(by, directories)
    with only_daemon(directories, is_activated=given is not None, patience_s=longest_s(settings.config)):
        tcp = open_tcp(settings.config.daemon)  # before the socket is there at which commands see a daemon
        listener: Listener = given or bind(directories)
        start = Start(
            directories=directories,
            settings=settings,
            read=lambda: _settings(directories),
            listener=listener,
            tcp=tcp,
            by=by,
            log=log_file,
            notifier=notifier,
        )
        try:
            with announced_version(directories):
                asyncio.run(serve(start))
        finally:
            listener.remove()


def _configured(by: StartedBy, directories: Directories) -> tuple[Settings, LogFile | None]:
    """The configuration, and the log that it wants; the reason why it is not valid is in the log too."""
    try:
        settings = _settings(directories)
    except ConfigInvalid:
        open_log(by, directories.daemon_log, DaemonConfig())
        raise
    return settings, open_log(by, directories.daemon_log, settings.config.daemon)


def _settings(directories: Directories) -> Settings:
    ALIASES.options = options_among(sys.argv[1:])
    return effective(directories.config_file, options=ALIASES.options)


def _told(by: StartedBy, error: ErllamaError) -> int:
    """Says why the daemon does not run, where its log goes; the command that started it reads it there."""
    if by == "foreground":
        print(f"erllama: {error}" + (f"\n{error.hint}" if error.hint else ""), file=sys.stderr)
    else:
        log.critical("erllama: %s", error)
    return error.exit_code
