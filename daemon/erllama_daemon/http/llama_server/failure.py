"""Errors as llama.cpp's server tells of them."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from erllama_daemon.failures import failure_of
from erllama_daemon.http.body import hint_of, json_response, status_of
from erllama_daemon.messages import Failure

_STATUS_OF_CODE = {"context_exceeded": 400}
_TYPE_OF_CODE = {"context_exceeded": "exceed_context_size_error"}
_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


class ServerError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: the HTTP status, and what can be done about it."""

    code: int
    message: str
    type: str
    hint: str | None


class ServerFailure(msgspec.Struct, frozen=True):
    """The body of every HTTP error, and the last event of a stream that failed."""

    error: ServerError


def failed(error: Exception) -> Response:
    """The response for whatever an endpoint raised."""
    body = failure_body(failure_of(error))
    return json_response(body, body.error.code)


def failure_body(failure: Failure) -> ServerFailure:
    """A failure as these clients are told of it."""
    status = _STATUS_OF_CODE.get(failure.code) or status_of(failure)
    kind = _TYPE_OF_CODE.get(failure.code) or _TYPE_OF_STATUS.get(status, "server_error")
    return ServerFailure(ServerError(code=status, message=failure.message, type=kind, hint=hint_of(failure)))
