"""One client's connection: HTTP/1.1 by uvicorn and h11, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
from typing import Literal

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from erllama_cache.errors import ErllamaError
from erllama_daemon.doors.door import DoorWay
from erllama_daemon.errors import HeadTooLarge, RequestMalformed, RequestTooSlow, TooManyConnections
from erllama_daemon.http.body import JSON, status_of
from erllama_daemon.log_line import facts
from erllama_daemon.messages import Failure

log = logging.getLogger(__name__)

LINGER_S = 5.0
"""How long more is read, and thrown away, of a request that has been answered: who sends first would not read else."""

CLIENT = "erllama.client"
"""Where the state of a request has the number of its connection."""

_NUMBERS = itertools.count(1)
_HEAD_TOO_LARGE = 431
_REASON_LENGTH = 200
_Part = Literal["head", "body", "rest"]


class Connection(H11Protocol):
    """Cuts off who is not let in, who is too slow to ask, and who takes nothing of an answer.

    uvicorn bounds what waits to be sent to 64 KiB, and reads no more than that ahead of whoever answers.
    """

    def __init__(self, door: DoorWay, state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config=door.http, server_state=state, app_state={CLIENT: next(_NUMBERS)}, _loop=loop)
        self._door = door
        self._limits = door.limits
        self._part: _Part | None = None
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport) or not self._door.admits(transport):
            transport.close()
            return
        is_full = self._door.is_full
        super().connection_made(transport)
        self._door.connections.add(self)
        if is_full:
            self.refuse(TooManyConnections(limit=self._limits.connections))
        else:
            self._await("head")

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return  # it was never let in
        self._door.connections.discard(self)
        self._await(None)
        self._watch_taking(stop=True)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_asking(has_moved=True)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_asking(has_moved=False)
        self._watch_taking(stop=False)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_taking(stop=False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch_taking(stop=not (self.transport.is_closing() or self.cycle.response_complete))

    def shutdown(self) -> None:
        super().shutdown()
        self._watch_taking(stop=False)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_taking(stop=False)

    def send_400_response(self, msg: str) -> None:
        """What h11 does not take for HTTP, or finds too long."""
        error = sys.exc_info()[1]
        if getattr(error, "error_status_hint", 400) == _HEAD_TOO_LARGE:
            self.refuse(HeadTooLarge(limit=f"{self._limits.header_bytes} bytes"))
        else:
            self.refuse(RequestMalformed(reason=str(error or msg)[:_REASON_LENGTH]))

    def refuse(self, error: ErllamaError) -> None:
        """Says why nothing comes of what was asked, if nothing has been said yet, and hangs up."""
        self._await(None)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.is_closing() or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        body = msgspec.json.encode(Failure.of(error))
        headers = [
            *self.server_state.default_headers,
            (b"content-type", JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=status_of(Failure.of(error)), headers=headers)
        with contextlib.suppress(h11.LocalProtocolError):  # an answer to HEAD has no body
            for event in (response, h11.Data(data=body)):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._watch_taking(stop=False)

    def _watch_asking(self, *, has_moved: bool) -> None:
        """Sets the time within which the client has to go on with its request, if it is the client's turn."""
        theirs = self.conn.their_state
        if self.transport.is_closing():
            self._await(None)
        elif theirs is h11.SEND_BODY:
            is_answered = self.conn.our_state is h11.DONE
            part: _Part = "rest" if is_answered else "body"
            if part != self._part or (has_moved and not is_answered):
                self._await(part)
        elif theirs is h11.IDLE and (self.conn.trailing_data[0] or self.timeout_keep_alive_task is None):
            if self._part != "head":
                self._await("head")
        else:
            self._await(None)

    def _await(self, part: _Part | None) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._part, self._asking = part, None
        if part is not None:
            seconds = {"head": self._limits.header_s, "body": self._limits.body_s, "rest": LINGER_S}[part]
            self._asking = self.loop.call_later(seconds, self._on_too_slow, part, seconds)

    def _on_too_slow(self, part: _Part, seconds: float) -> None:
        if part == "body" and self.flow.read_paused:
            self._await(part)  # it is not the client that is slow
        elif part == "rest" or (part == "head" and not self.conn.trailing_data[0]):
            self.transport.close()
            self._watch_taking(stop=False)
        else:
            self.refuse(RequestTooSlow(part=part, seconds=seconds))

    def _watch_taking(self, *, stop: bool) -> None:
        """Looks in a while whether the client has taken anything of what waits for it."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        if stop or self.transport is None:
            return
        self._left = self.transport.get_write_buffer_size()
        if self._left or self.transport.is_closing():
            self._taking = self.loop.call_later(self._limits.write_s, self._look_what_was_taken)

    def _look_what_was_taken(self) -> None:
        left = self.transport.get_write_buffer_size()
        is_being_written = not (self.flow.write_paused or self.transport.is_closing() or self.cycle.response_complete)
        if is_being_written:
            self._taking = None
        elif left < self._left:
            self._watch_taking(stop=False)
        else:
            log.info("a client takes nothing: %s", facts(bytes=left, limit_ms=1000 * self._limits.write_s))
            self.transport.abort()
