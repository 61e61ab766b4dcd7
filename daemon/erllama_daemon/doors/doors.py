"""All doors of a daemon: the Unix socket, and TCP if that is configured."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from erllama_cache.errors import ErllamaError
from erllama_daemon.api_key import ApiKey
from erllama_daemon.config import DaemonConfig, Folders, Hosts, Origins
from erllama_daemon.doors.connection import Connection
from erllama_daemon.doors.door import DoorWay
from erllama_daemon.doors.guard import Guard, Visitors
from erllama_daemon.doors.limits import Limits
from erllama_daemon.doors.request import BoundedRequests
from erllama_daemon.doors.tcp import TcpListener
from erllama_daemon.doors.unix import is_owner
from erllama_daemon.http.door import Entered
from erllama_daemon.http.endpoint import Refusals

log = logging.getLogger(__name__)

BACKLOG = 128
"""How many may have connected whom nobody has greeted yet."""

_TLS_GOODBYE_S = 3.0


class Doors:
    """Each serves the same application. All calls from the event loop.

    `visited` gives an application that hears of every request, of what a door refuses too.
    """

    def __init__(
        self,
        app: ASGIApp,
        refusals: Refusals,
        config: DaemonConfig,
        *,
        unix: socket.socket,
        tcp: TcpListener | None = None,
        key: ApiKey,
        visited: Callable[[ASGIApp], ASGIApp],
    ) -> None:
        self._config = config
        self._tcp = tcp
        self._visited = visited
        bounded = visited(BoundedRequests(app, Entered, lambda: self._unix.limits, refusals))
        self._unix = DoorWay(unix, bounded, Limits.of("unix", config), admits=is_owner)
        self._opened = [self._unix]
        if tcp is not None:
            self._guard = Guard(app, key, _visitors(tcp, config), refusals)
            self._web = self._tcp_door(tcp, refusals)
            self._opened.append(self._web)

    async def open(self, state: ServerState) -> list[asyncio.Server]:
        """Listens at each. Returns those who close them."""
        return [await self._open(door, state) for door in self._opened]

    def configure(self, config: DaemonConfig) -> None:
        """Takes on what can be changed while the doors are open; a certificate that was renewed, too."""
        self._config = config
        self._unix.limits = Limits.of("unix", config)
        if (tcp := self._tcp) is None:
            return
        self._web.limits = Limits.of("tcp", config)
        self._guard.visitors = _visitors(tcp, config)
        try:
            if tcp.tls is not None:
                tcp.tls.load()
        except ErllamaError as error:
            log.error("the certificate stays as it was: %s", error)

    def _tcp_door(self, tcp: TcpListener, refusals: Refusals) -> DoorWay:
        app = self._visited(BoundedRequests(self._guard, self._entered_by_tcp, lambda: self._web.limits, refusals))
        tls = None if tcp.tls is None else tcp.tls.context
        return DoorWay(tcp.socket, app, Limits.of("tcp", self._config), tls=tls)

    def _entered_by_tcp(self) -> Entered:
        folders = (self._config.http_model_folders or Folders()).each
        return Entered("tcp", tuple(os.path.normpath(os.path.expanduser(folder)) for folder in folders))  # noqa: PTH111

    async def _open(self, door: DoorWay, state: ServerState) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        make: Callable[[], Connection] = lambda: Connection(door, state, loop)  # noqa: E731
        has_tls = door.tls is not None
        return await loop.create_server(
            make,
            sock=door.socket,
            ssl=door.tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=door.limits.header_s if has_tls else None,
            ssl_shutdown_timeout=_TLS_GOODBYE_S if has_tls else None,
        )


def _visitors(tcp: TcpListener, config: DaemonConfig) -> Visitors:
    hosts, origins = (config.http_hosts or Hosts()).each, (config.http_cors_origins or Origins()).each
    return Visitors.of(tcp.host, hosts, origins)
