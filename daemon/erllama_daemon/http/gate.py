"""The gate that every request goes through: it knows when the daemon was last asked for anything, and can be shut."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from erllama_daemon.errors import DaemonStopping
from erllama_daemon.http.endpoint import Refusals

ALWAYS_OPEN = ("/v1/status", "/v1/stop", "/v1/cancel/", "/v1/requests", "/metrics", "/health", "/v1/health")
"""What is neither refused nor a use of the daemon: to look at it, to end it, and to end an answer."""


class Gate:
    """Around an application. All calls from the event loop; `clock` gives seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_shut = False
        self._clock = clock
        self._used = clock()
        self._inside = 0

    @property
    def is_entered(self) -> bool:
        """Whether something is being asked."""
        return bool(self._inside)

    @property
    def idle_s(self) -> float:
        """How long nothing has been asked; 0 while something is."""
        return 0.0 if self._inside else max(0.0, self._clock() - self._used)

    def around(self, app: ASGIApp, refusals: Refusals) -> ASGIApp:
        """The application behind the gate; those who are refused hear it in the words of the API that they ask."""

        async def passed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"].startswith(ALWAYS_OPEN):
                await app(scope, receive, send)
            elif self.is_shut:
                await refusals.response(scope["path"], DaemonStopping())(scope, receive, send)
            else:
                await self._enter(app, scope, receive, send)

        return passed

    async def _enter(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._inside += 1
        try:
            await app(scope, receive, send)
        finally:
            self._inside -= 1
            self._used = self._clock()
