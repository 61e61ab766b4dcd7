"""What surrounds every request: its id, and who hears how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from erllama_daemon.http.endpoint import GONE, REFUSED_CODE, Endpoint
from erllama_daemon.http.unknown_endpoint import shown_path
from erllama_daemon.log_line import facts
from erllama_daemon.request_id import REQUEST_ID, REQUEST_ID_HEADER, request_id_of

log = logging.getLogger(__name__)

_METHOD_SHOWN = 20
_HEADER = REQUEST_ID_HEADER.encode()


@dataclass(frozen=True, slots=True)
class Visit:
    """One request over HTTP."""

    id: str
    scope: Scope

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it was led; None if nobody knows it, or it was refused on its way."""
        handler = self.scope.get("endpoint")  # the router writes it there
        found = getattr(handler, "__self__", None)
        return found if isinstance(found, Endpoint) else None


VISIT: ContextVar[Visit | None] = ContextVar("visit", default=None)
"""The request that is served; what a request starts, tasks and threads, has it too."""

OnResponse = Callable[[Visit, int | None], None]
"""Called with the status of the response; None if the client was gone before it had one."""


def around(app: ASGIApp, on_response: OnResponse) -> ASGIApp:
    """The application, each of whose requests has an id: the client's own or a new one, said in the response too.

    One that is refused, or fails, has a line in the log.
    """

    async def visited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        visit = Visit(request_id_of(_given(scope)), scope)
        started, status = time.monotonic(), None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = None if message["status"] == GONE else int(message["status"])
                message = {**message, "headers": [*message.get("headers", ()), (_HEADER, visit.id.encode())]}
            await send(message)

        # Whoever shares this task, and is no part of this request, must not take on its name.
        tokens = REQUEST_ID.set(visit.id), VISIT.set(visit)
        try:
            await app(scope, receive, send_with_id)
        finally:
            if status is not None and _is_to_be_told(visit, status):
                _log_refused(visit, status, (time.monotonic() - started) * 1000)
            on_response(visit, status)
            REQUEST_ID.reset(tokens[0])
            VISIT.reset(tokens[1])

    return visited


def _given(scope: Scope) -> bytes | None:
    return next((value for name, value in scope["headers"] if name.lower() == _HEADER), None)


def _is_to_be_told(visit: Visit, status: int) -> bool:
    """Whether it was refused; what a door refuses, that says itself."""
    return status >= 400 and (visit.endpoint is not None or status == 404)


def _log_refused(visit: Visit, status: int, ms: float) -> None:
    """Where it was led and why; of what stands in a path no more unless it led nowhere, for it may be anything."""
    endpoint, scope = visit.endpoint, visit.scope
    where = {"endpoint": endpoint.path} if endpoint else {"endpoint": "none", "path": shown_path(scope["path"])}
    method, code = scope["method"][:_METHOD_SHOWN], scope.get(REFUSED_CODE)
    log.info("request refused: %s", facts(method=method, **where, status=status, code=code, ms=ms))
