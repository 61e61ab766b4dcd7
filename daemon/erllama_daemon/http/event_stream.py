"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

SSE = "text/event-stream"


def sent_event(data: object, name: str | None = None) -> bytes:
    """One event, with a struct as its data; JSON has no line ends."""
    line = b"data: " + msgspec.json.encode(data) + b"\n\n"
    return line if name is None else b"event: " + name.encode() + b"\n" + line


class EventStream(StreamingResponse):
    """A response with events as they come. When it ends, or the client goes away, `hang_up` is called."""

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        hang_up: Callable[[], None],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(_closing(events), media_type=SSE, headers={"cache-control": "no-cache", **(headers or {})})
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it all."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hang_up()


async def _closing(events: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(events) as open_events:  # closed at once when the client goes away, not when collected
        async for event in open_events:
            yield event
