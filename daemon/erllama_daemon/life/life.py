"""The life of one daemon: what it is made of, how it changes, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace
from starlette.types import ASGIApp

from erllama_cache.errors import ErllamaError
from erllama_daemon.config import DaemonConfig, Settings
from erllama_daemon.directories import Directories
from erllama_daemon.doors.tcp import TcpListener
from erllama_daemon.http.app import App, create_app, visited
from erllama_daemon.http.conversations import Conversations
from erllama_daemon.http.endpoint import Refusals
from erllama_daemon.http.gate import Gate
from erllama_daemon.life import systemd
from erllama_daemon.life.drain import GOODBYE_S, Drain
from erllama_daemon.life.idle import IdleWatch
from erllama_daemon.life.listener import Listener
from erllama_daemon.life.log import LogFile, configure_log
from erllama_daemon.life.reload import differences
from erllama_daemon.log_line import facts
from erllama_daemon.messages import DaemonStatus, Reloaded, StartedBy
from erllama_daemon.models.supervisor import WORKER_COMMAND, Supervisor
from erllama_daemon.sessions.retention import Retention

log = logging.getLogger(__name__)

_TURNS_TO_ACCEPT = 8
"""Turns of the event loop that it takes from a connection that is accepted to one that is counted; and some more."""

_PAUSE_S = 0.05

PROMPTS_LOGGED = "prompts and answers are logged, private ones apart: daemon.log_prompts"


class Doors(Protocol):
    """The server's side of it."""

    @property
    def has_visitors(self) -> bool:
        """Whether a client is connected."""

    def configure(self, config: DaemonConfig) -> None:
        """What the doors take on while they are open."""

    @property
    def connections(self) -> int:
        """How many clients are connected."""

    def close_doors(self) -> None:
        """Accepts nobody any more; those who are connected stay."""

    def close(self) -> None:
        """Ends the server, once what it has to say has been read, or a short time has passed."""

    def slam(self) -> None:
        """Ends the server now."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a daemon is started with. `read` gives the configuration as it is by then, or raises ConfigInvalid."""

    directories: Directories
    settings: Settings
    read: Callable[[], Settings]
    listener: Listener
    tcp: TcpListener | None = None
    by: StartedBy
    log: LogFile | None = None
    notifier: systemd.Notifier
    worker_command: Sequence[str] = WORKER_COMMAND


class Life:
    """From the first request to the last. All calls from the event loop; `doors` are set before anything is asked."""

    doors: Doors

    def __init__(self, start: Start) -> None:
        directories, config = start.directories, start.settings.config
        self._start = start
        self.settings = start.settings
        self._gate = Gate()
        self._conversations = Conversations(directories.sessions)
        self._supervisor = Supervisor(
            directories.cache, log=directories.daemon_log, config=config, command=start.worker_command
        )
        app = App(directories, self._supervisor, self._conversations, self)
        self.refusals = Refusals(app.endpoints())
        self.asgi: ASGIApp = self._gate.around(create_app(app), self.refusals)
        self.visited: Callable[[ASGIApp], ASGIApp] = lambda asgi: visited(asgi, app)
        self._retention = Retention(self._conversations.kept, app.answers.delete_unused, config.sessions.keep)
        self._drain = Drain(app.answers, self._supervisor)
        self._ending: asyncio.Task[None] | None = None
        self._watch = IdleWatch(
            config.daemon.idle_exit,
            idle_s=lambda: self._gate.idle_s,
            # Who asks on TCP cannot start a daemon.
            is_needed=lambda: bool(start.tcp) or self._supervisor.holds_models or self._conversations.has_private,
            is_lost=lambda: start.listener.is_lost,
            leave=self._leave,
            abandon=self.stop,
        )
        self._chores: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Says that clients are served from now on, and begins what is done beside that."""
        start = self._start
        told = facts(pid=os.getpid(), socket=start.listener.path, url=start.tcp and start.tcp.url, by=start.by)
        log.info("daemon started: %s", told)
        if self.settings.config.daemon.log_prompts:
            log.warning(PROMPTS_LOGGED)
        self._chores = [asyncio.create_task(self._watch.run()), asyncio.create_task(self._retention.run())]
        self._start.notifier.tell(systemd.READY)

    def stop(self) -> None:
        """Takes no new requests, has what runs cancelled and saved, and ends. May be called again."""
        if self._ending is not None:
            return
        self._gate.is_shut = True
        self._start.notifier.tell(systemd.STOPPING, systemd.needs(self._drain.limit_s + GOODBYE_S))
        if self._start.listener.is_given:
            self.doors.close_doors()  # who comes now waits in the socket for the next daemon
        self._ending = asyncio.create_task(self._end())

    def stop_or_hurry(self) -> None:
        """Stops; if it is doing so already, ends now: what has not been saved is lost."""
        if self._ending is None:
            self.stop()
        else:
            self._drain.hurry()
            self.doors.slam()

    def why_in_use(self) -> str | None:
        """What would be missed if the daemon ended now; None if nothing would. What is cached would not."""
        if self._gate.is_entered:
            return "it is being asked something"
        if self._conversations.has_private:
            return "a private conversation lives in it"
        return self._supervisor.why_wanted

    def reload(self) -> Reloaded:
        """Reads the configuration again and takes on what is different. Raises ConfigInvalid: nothing has changed."""
        start = self._start
        start.notifier.tell(systemd.reloading())
        try:
            settings = start.read()
        except ErllamaError as error:
            log.error("the configuration stays as it was: %s", error)
            raise
        finally:
            start.notifier.tell(systemd.READY)
        found, config = differences(self.settings.config, settings.config), settings.config
        self.settings = settings
        self._supervisor.configure(config)
        self._retention.configure(config.sessions.keep)
        self._watch.limit_s = config.daemon.idle_exit
        self.doors.configure(config.daemon)
        configure_log(config.daemon)
        told = facts(changed=",".join(found.changed) or "nothing", after_restart=",".join(found.after_restart) or None)
        log.info("configuration read: %s", told)
        return found

    def hang_up(self) -> None:
        """What SIGHUP asks for: the log's file is opened again, and the configuration read."""
        if self._start.log is not None:
            self._start.log.reopen()
        try:
            self.reload()
        except ErllamaError:
            return  # the log says so

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self.doors.connections

    def told(self, status: DaemonStatus) -> DaemonStatus:
        """The status with what is to be said of this life."""
        start, limit_s = self._start, self._watch.limit_s
        return replace(
            status,
            socket=str(start.listener.path),
            url=None if start.tcp is None else start.tcp.url,
            log=None if start.log is None else start.log.baseFilename,
            started_by=start.by,
            idle_exit_s=None if limit_s is None else float(limit_s),
            draining=self._ending is not None,
        )

    async def close(self) -> None:
        """Puts everything away, whatever has been done before."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        if self._ending is None:
            self.stop()
        if self._ending is not None:
            await self._ending
        self._conversations.close()
        self._start.listener.remove()
        log.info("daemon stopped: %s", facts(pid=os.getpid()))

    async def _end(self) -> None:
        await self._drain.run()
        self._start.listener.remove()
        self.doors.close()

    async def _leave(self) -> bool:
        """Ends an idle daemon. Who comes at this very moment is served: then it stays, or ends a little later."""
        listener = self._start.listener
        if listener.is_given:
            if self.doors.has_visitors or listener.is_awaited:
                return False
            self.doors.close_doors()
            while await self._is_visited():
                await asyncio.sleep(_PAUSE_S)
        else:
            listener.hide()
            if await self._is_visited() or not self._watch.is_due:
                listener.show()
                return False
        self.stop()
        return True

    async def _is_visited(self) -> bool:
        """Whether somebody is at the door; all who connected before this was asked are heard."""
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
            if self._start.listener.is_awaited or self.doors.has_visitors:
                return True
        return False
