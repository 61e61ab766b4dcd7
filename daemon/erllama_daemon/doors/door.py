"""A door: a socket that listens, what is served there, and who is inside."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from erllama_daemon.doors.limits import Limits


class DoorWay:
    """All that the connections of one door share. `admits` says whether a peer is heard at all.

    `limits` may change at any time: connections that are made later have the new ones.
    """

    def __init__(
        self,
        listening: socket.socket,
        app: ASGIApp,
        limits: Limits,
        *,
        admits: Callable[[asyncio.BaseTransport], bool] = lambda _transport: True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket = listening
        self.admits = admits
        self.tls = tls
        self.connections: set[asyncio.Protocol] = set()
        self.http = uvicorn.Config(
            app,
            interface="asgi3",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            proxy_headers=False,
        )
        self.http.load()
        self.limits = limits

    @property
    def limits(self) -> Limits:
        """What each client may take."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self.http.h11_max_incomplete_event_size = limits.header_bytes
        self.http.timeout_keep_alive = limits.idle_s  # type: ignore[assignment]

    @property
    def is_full(self) -> bool:
        """Whether as many are connected as may be."""
        return len(self.connections) >= self._limits.connections
