"""One request at a door: which door that is, and how long its head and its body may be."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from erllama_cache.errors import ErllamaError
from erllama_daemon.doors.connection import CLIENT
from erllama_daemon.doors.limits import Limits
from erllama_daemon.errors import BodyTooLarge, HeadTooLarge, RequestMalformed
from erllama_daemon.http.door import ENTERED, SCOPE_KEY, Entered
from erllama_daemon.http.endpoint import Refusals

LINGER_S = 5.0
"""How long the rest of a body that is too large is read, and thrown away: who sends first would not read why."""

_FRAMING_BYTES = 4
"""What stands around the name and the value of a header."""


class BoundedRequests:
    """Around an application: has it know the door, and refuses what is longer than the limits.

    Whoever reads a body that is too long raises BodyTooLarge.
    """

    def __init__(
        self, app: ASGIApp, entered: Callable[[], Entered], limits: Callable[[], Limits], refusals: Refusals
    ) -> None:
        self._app = app
        self._entered = entered
        self._limits = limits
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        client = scope.get("state", {}).get(CLIENT, 0)
        entered, limits = dataclasses.replace(self._entered(), client=client), self._limits()
        ENTERED.set(entered)  # uvicorn gives each request a task, and so a context, of its own
        scope[SCOPE_KEY] = entered.door
        try:
            _check_head(scope, limits)
        except ErllamaError as error:
            refusal = self._refusals.response(scope["path"], error)
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send)
        else:
            await self._app(scope, _Body(scope, receive, limits.body_bytes).receive, send)


class _Body:
    """A body as it is read: what the client says of its length is believed if it says too much."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._taken = 0
        self._declared = int(_header(scope, b"content-length") or 0)  # h11 has seen that it is one number
        self._is_waited_for = _header(scope, b"expect").lower() == b"100-continue"

    async def receive(self) -> Message:
        """The next part. Raises BodyTooLarge."""
        if self._declared > self._limit and self._is_waited_for:
            raise BodyTooLarge(limit=self._limit)  # before the client sends any of it
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if max(self._taken, self._declared) > self._limit:
                await self._discard(message)
                raise BodyTooLarge(limit=self._limit)
        return message

    async def _discard(self, message: Message) -> None:
        """Reads what still comes, for a while."""
        try:
            async with asyncio.timeout(LINGER_S):
                while message.get("more_body", False):
                    message = await self._receive()
        except TimeoutError:
            return


def _check_head(scope: Scope, limits: Limits) -> None:
    """Raises HeadTooLarge, and RequestMalformed for a body that says in two ways where it ends.

    h11 bounds only a head that comes in several pieces.
    """
    headers = scope["headers"]
    if len(headers) > limits.header_count:
        raise HeadTooLarge(limit=f"{limits.header_count} headers")
    size = sum(len(name) + len(value) + _FRAMING_BYTES for name, value in headers)
    size += len(scope.get("raw_path", b"")) + len(scope["query_string"])
    if size > limits.header_bytes:
        raise HeadTooLarge(limit=f"{limits.header_bytes} bytes")
    if {b"content-length", b"transfer-encoding"} <= {name for name, _value in headers}:
        raise RequestMalformed(reason="it has both a Content-Length and a Transfer-Encoding")


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for found, value in scope["headers"] if found == name), b"")
