"""Bodies of HTTP requests and responses: JSON, and streams of JSON lines."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from erllama_daemon.errors import EXIT_CONTEXT, EXIT_MODEL, EXIT_USAGE, RequestInvalid
from erllama_daemon.failures import failure_of
from erllama_daemon.http.json_values import check_values
from erllama_daemon.messages import Event, Failure, LoadEvent, RecomputeEvent
from erllama_daemon.messages.checks import check_carriable

JSON = "application/json"
NDJSON = "application/x-ndjson"

_STATUS_OF_CODE = {
    "endpoint_unknown": 404,
    "session_unknown": 404,
    "no_session": 404,
    "turn_unknown": 404,
    "parent_unknown": 404,
    "session_ambiguous": 409,
    "session_name_taken": 409,
    "session_moved": 409,
    "adapter_unknown": 404,
    "not_supported": 501,
    "busy": 503,
    "slots_busy": 503,
    "daemon_stopping": 503,
    "daemon_in_use": 409,
    "api_key_missing": 401,
    "api_key_wrong": 401,
    "host_refused": 403,
    "origin_refused": 403,
    "owner_only": 403,
    "file_outside": 403,
    "body_too_large": 413,
    "head_too_large": 431,
    "request_too_slow": 408,
    "too_many_connections": 503,
    "template_failed": 400,
    "response_not_kept": 404,
    "not_cached": 412,
}
_STATUS_OF_EXIT = {EXIT_USAGE: 400, EXIT_MODEL: 404, EXIT_CONTEXT: 413}
_OPTION = re.compile(r"(?<![\w-])--[a-z]")
_TYPED = ("request_invalid", "prompt_empty")
_MODELS_UNKNOWN = ("model_missing", "model_unknown")
_TOLD_WITH_HINT = (*_MODELS_UNKNOWN, "model_ambiguous", "model_not_named", "demo_model_missing", "endpoint_unknown")
_ALIAS = " A name that a program insists on can stand for any: erllama models alias NAME MODEL"
_Body = TypeVar("_Body")
_StreamEvent = Event | LoadEvent | RecomputeEvent


async def read_body(request: Request, kind: type[_Body]) -> _Body:
    """The request's body as a struct that a worker could be sent. Raises RequestInvalid."""
    text = await request.body()
    check_values(text)
    try:
        body = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RequestInvalid(reason=error) from error
    check_carriable(body)
    return body


def json_response(body: object, status: int = 200) -> Response:
    """A response with a struct as its body."""
    return Response(msgspec.json.encode(body), status_code=status, media_type=JSON)


class LinesResponse(StreamingResponse):
    """A response with one event a line, as they come. When it ends, or the client goes away, `hang_up` is called.

    Closing the generator is not enough for that: one that was never started does not notice.
    """

    def __init__(
        self,
        events: AsyncGenerator[_StreamEvent, None],
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(_lines(events), media_type=NDJSON)
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it all."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hang_up()


async def error_response(_request: Request, error: Exception) -> Response:
    """The response for whatever an endpoint raised."""
    return failure_response(error)


def failure_response(error: Exception) -> Response:
    """The response that tells of an error."""
    failure = failure_of(error)
    return json_response(failure, status_of(failure))


def status_of(failure: Failure) -> int:
    """The HTTP status of a failure."""
    return _STATUS_OF_CODE.get(failure.code) or _STATUS_OF_EXIT.get(failure.exit_code, 500)


def hint_of(failure: Failure) -> str | None:
    """What programs are told that can be done about it.

    Hints that name options and pipes are for who typed the request into a terminal.
    """
    hint = failure.hint
    return None if hint is None or failure.code in _TYPED or _OPTION.search(hint) else hint


def message_of(failure: Failure) -> str:
    """What went wrong, with what can be done about a name that leads nowhere: most programs show no more than this."""
    hint = hint_of(failure)
    if hint is None or failure.code not in _TOLD_WITH_HINT:
        return failure.message
    alias = _ALIAS if failure.code in _MODELS_UNKNOWN else ""
    return f"{failure.message} {hint}{alias}"


async def _lines(events: AsyncGenerator[_StreamEvent, None]) -> AsyncIterator[bytes]:
    async with aclosing(events) as open_events:  # closed at once when the client goes away, not when collected
        async for event in open_events:
            yield msgspec.json.encode(event) + b"\n"
